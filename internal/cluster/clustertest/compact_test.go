// SPDX-License-Identifier: Apache-2.0

package clustertest

import (
	"encoding/json"
	"strings"
	"testing"
)

// Starts a cluster, 3 s.
func TestCompact(t *testing.T) {
	c := Start(t, Options{UnsafeNoFsync: true, APIServerFlags: []string{CompactAtOnce}})
	const list = "/api/v1/namespaces?resourceVersionMatch=Exact&resourceVersion="
	c.Namespace(t)
	old := revision(t, c)
	c.Namespace(t)
	if _, err := c.get(t.Context(), list+old); err != nil {
		t.Fatalf("before: %v", err)
	}
	if err := c.Compact(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := c.get(t.Context(), list+old); err == nil || !strings.Contains(err.Error(), "410") {
		t.Errorf("after: %v", err)
	}
	if _, err := c.get(t.Context(), list+revision(t, c)); err != nil {
		t.Errorf("the present: %v", err)
	}
}

func revision(t *testing.T, c *Cluster) string {
	t.Helper()
	body, err := c.get(t.Context(), "/api/v1/namespaces?limit=1")
	if err != nil {
		t.Fatal(err)
	}
	var list struct {
		Metadata struct{ ResourceVersion string }
	}
	if err := json.Unmarshal(body, &list); err != nil {
		t.Fatal(err)
	}
	return list.Metadata.ResourceVersion
}
