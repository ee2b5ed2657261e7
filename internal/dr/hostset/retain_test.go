// SPDX-License-Identifier: Apache-2.0

package hostset

import (
	"slices"
	"strings"
	"testing"
	"time"
)

// TestOutdated keeps the newest whole backups of the same machines, and all that somebody has named or that are of other machines.
func TestOutdated(t *testing.T) {
	at := func(day int, name string, hosts ...string) Record {
		r := Record{Name: name, Created: time.Date(2026, 1, day, 0, 0, 0, 0, time.UTC)}
		for _, h := range hosts {
			h, failed := strings.CutSuffix(h, "!")
			s := Saved{Name: h}
			if failed {
				s.Error = "away"
			}
			r.Hosts = append(r.Hosts, s)
		}
		return r
	}
	all := []Record{
		at(1, "auto-1", "b", "a"), at(2, "named", "a", "b"), at(3, "auto-3", "a"), at(4, "auto-4", "a", "b"), at(5, "auto-5", "a", "b"), at(6, "auto-6", "a!", "b"), at(7, "auto-7", "a", "b"),
	}
	may := func(r Record) bool { return r.Name != "named" }
	for keep, want := range map[int]string{1: "auto-6 auto-5 auto-4 auto-1", 2: "auto-4 auto-1", 3: "auto-1", 9: ""} {
		got := Outdated(all, &all[6], keep, may)
		if !slices.Equal(got, strings.Fields(want)) {
			t.Errorf("%d kept: %v, want %s", keep, got, want)
		}
	}
}
