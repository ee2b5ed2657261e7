// SPDX-License-Identifier: Apache-2.0

package crash

import (
	"encoding/json"
	"net/http"
	"strings"
	"sync"
	"testing"

	"hozon.dev/hozon/internal/cluster/clustertest"
	"hozon.dev/hozon/internal/store"
)

// TestWindow: the revision of a backup is compacted away while it is listed, as it happens when the store is so slow that the API server's
// window has passed. Starts a cluster of its own, that keeps no past states in memory.
func TestWindow(t *testing.T) {
	if testing.Short() {
		t.Skip("starts servers")
	}
	c := clustertest.Start(t, clustertest.Options{UnsafeNoFsync: true, APIServerFlags: []string{clustertest.CompactAtOnce}})
	s := newShell(t, c, 60)
	p := newProxy(t, c)
	s.kubeconfig = p.kubeconfig
	tests := []struct {
		name        string
		times       int // attempts whose revision is lost
		consistency string
		code        int
		mode        store.ConsistencyMode
		says        string
	}{
		{"once", 1, "prefer", 0, store.Exact, ""},
		{"once-required", 1, "require", 0, store.Exact, ""},
		{"always", 100, "prefer", 0, store.PerKind, "1 warnings"},
		{"always-required", 100, "require", 1, "", "--consistency=require does not allow a revision for each kind"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			revisions := map[string]bool{}
			p.judge = compactor(t, c, tt.times, revisions)
			text := s.run(t, tt.code, s.backupArgs(tt.name, "--consistency", tt.consistency)...)
			if !strings.Contains(text, tt.says) {
				t.Errorf("it says %q, want %q in it", text, tt.says)
			}
			p.judge = nil
			if len(revisions) != 2 { // the one that was lost, and the newer one
				t.Errorf("it tried the revisions %v", revisions)
			}
			names := s.whole(t)
			if tt.code == 1 {
				if len(names) != 0 {
					t.Errorf("listed: %v", names)
				}
				if files := s.files(t, ""); len(files) > 0 {
					t.Errorf("left behind: %v", files)
				}
				return
			}
			var described struct {
				Hozon struct{ Manifest store.Manifest }
			}
			if err := json.Unmarshal([]byte(s.run(t, 0, "backup", "describe", tt.name, "-o", "json")), &described); err != nil {
				t.Fatal(err)
			}
			if got := described.Hozon.Manifest.Consistency.Mode; got != tt.mode {
				t.Errorf("the consistency is %q, want %q", got, tt.mode)
			}
			s.run(t, 0, "backup", "delete", tt.name, "--confirm")
		})
	}
}

// compactor compacts everything away when the first list at a new exact revision is asked for, for some revisions.
func compactor(t *testing.T, c *clustertest.Cluster, times int, seen map[string]bool) func(*http.Request) verdict {
	var mu sync.Mutex
	return func(r *http.Request) verdict {
		q := r.URL.Query()
		if q.Get("resourceVersionMatch") != "Exact" {
			return verdict{}
		}
		mu.Lock()
		defer mu.Unlock()
		if rv := q.Get("resourceVersion"); !seen[rv] {
			seen[rv] = true
			if len(seen) <= times {
				for range 2 { // the first one writes, so that the second one goes beyond the revision
					if err := c.Compact(t.Context()); err != nil {
						t.Error(err)
					}
				}
			}
		}
		return verdict{}
	}
}
