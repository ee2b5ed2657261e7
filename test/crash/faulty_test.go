// SPDX-License-Identifier: Apache-2.0

package crash

import (
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"hozon.dev/hozon/internal/cluster/clustertest"
)

// TestFaultyAPIServer lets 5 of 100 calls fail: with 500 before or after they were carried out, and with 429. Nothing of that is
// to be seen in the end. It takes ten seconds and more, because of the Retry-After of a second.
func TestFaultyAPIServer(t *testing.T) {
	if testing.Short() {
		t.Skip("starts servers")
	}
	c := clustertest.Shared(t)
	s := newShell(t, c, 400)
	p := newProxy(t, c)
	s.kubeconfig = p.kubeconfig
	rng, faults := random(t), 0
	var mu sync.Mutex
	p.judge = func(*http.Request) verdict {
		mu.Lock()
		defer mu.Unlock()
		if rng.IntN(100) >= 5 {
			return verdict{}
		}
		faults++
		return anyFault(rng)
	}
	s.run(t, 0, s.backupArgs("b")...)
	s.whole(t)
	text := s.run(t, 0, s.restoreArgs("r", "b", s.namespace+"-r")...)
	p.judge = nil
	s.equal(t, s.namespace+"-r")
	t.Logf("%d of %d calls failed: %s", faults, p.total(), text)
	for _, h := range p.hasty {
		t.Error(h)
	}
}

func anyFault(rng *rand.Rand) verdict {
	switch rng.IntN(3) {
	case 0:
		return verdict{status: http.StatusInternalServerError}
	case 1:
		return verdict{status: http.StatusInternalServerError, done: true}
	}
	return verdict{status: http.StatusTooManyRequests, after: 1}
}

// TestThrottledAPIServer puts off every call for some seconds, in the middle of a backup and of a restore. No call comes again
// before its time. It takes as long as the two storms.
func TestThrottledAPIServer(t *testing.T) {
	if testing.Short() {
		t.Skip("starts servers")
	}
	c := clustertest.Shared(t)
	s := newShell(t, c, 400)
	p := newProxy(t, c)
	s.kubeconfig = p.kubeconfig
	for _, command := range []struct {
		name  string
		calm  func(r *http.Request) bool // the storm begins after the first request that is not
		args  []string
		limit float64 // calls a second
	}{
		// 3 lanes; at the worst the 60 kinds are probed at once.
		{"backup", func(r *http.Request) bool { return !strings.Contains(r.URL.RawQuery, "resourceVersionMatch=Exact") }, s.backupArgs("b"), 40},
		// Those that are under way, 64 at most, come once in two seconds.
		{"restore", func(r *http.Request) bool { return r.Method != http.MethodPost }, s.restoreArgs("r", "b", s.namespace+"-r"), 40},
	} {
		t.Run(command.name, func(t *testing.T) {
			const length = 3 * time.Second
			var mu sync.Mutex
			var began, ended time.Time
			before, during := 0, 0
			p.judge = func(r *http.Request) verdict {
				mu.Lock()
				defer mu.Unlock()
				if began.IsZero() && command.calm(r) {
					return verdict{}
				}
				if before++; began.IsZero() && command.name == "restore" && before < 100 {
					return verdict{} // the limit has room to grow
				}
				now := time.Now()
				if began.IsZero() {
					began, ended = now, now.Add(length)
				}
				if now.After(ended) {
					return verdict{}
				}
				during++
				return verdict{status: http.StatusTooManyRequests, after: 2}
			}
			s.run(t, 0, command.args...)
			mu.Lock()
			defer mu.Unlock()
			if during == 0 {
				t.Fatal("there was no storm")
			}
			if rate := float64(during) / length.Seconds(); rate > command.limit {
				t.Errorf("%.0f calls a second came in the storm, want no more than %.0f", rate, command.limit)
			} else {
				t.Logf("%.1f calls a second in the storm", rate)
			}
		})
	}
	p.judge = nil
	s.whole(t)
	s.equal(t, s.namespace+"-r")
	for _, h := range p.hasty {
		t.Error(h)
	}
}
