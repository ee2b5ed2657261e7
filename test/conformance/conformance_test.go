// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"context"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"hozon.dev/hozon/internal/cluster/clustertest"
)

func TestMain(m *testing.M) { clustertest.Main(m) }

// TestConformance runs every case in every way. HOZON_CASES="C3 C9" runs only those.
func TestConformance(t *testing.T) {
	hozon, err := NewHozon(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	hooks := NewHooks()
	defer hooks.Close()
	suite := Suite{SUT: hozon, Source: NewSite(t), Target: NewSite(t), Hooks: hooks, Log: t.Logf}
	if only := os.Getenv("HOZON_CASES"); only != "" {
		suite.Only = strings.Fields(only)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	verdicts, err := suite.Run(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range slices.Sorted(maps.Keys(verdicts)) {
		for _, way := range Ways {
			fails, tried := verdicts[id][way]
			if !tried {
				continue
			}
			t.Run(id+"/"+string(way), func(t *testing.T) {
				for _, text := range fails {
					t.Error(text)
				}
			})
		}
	}
}
