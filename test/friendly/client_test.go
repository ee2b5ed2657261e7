// SPDX-License-Identifier: Apache-2.0

package friendly

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"hozon.dev/hozon/internal/cluster"
	"hozon.dev/hozon/internal/cluster/clustertest"
	"hozon.dev/hozon/internal/object"
)

// every is the time between two calls of the client: 100 a second, half of them reads, half of them writes.
const every = 10 * time.Millisecond

var configMaps = object.Type{Version: "v1", Resource: "configmaps", Kind: "ConfigMap", Namespaced: true}

// neighbour is a client that uses the API server steadily and measures it.
type neighbour struct {
	client    *cluster.Client
	namespace string

	mu    sync.Mutex
	taken []time.Duration // of the phase under way
	err   error
}

func newNeighbour(t *testing.T, c *clustertest.Cluster) *neighbour {
	t.Helper()
	n := &neighbour{client: open(t, c), namespace: c.Namespace(t)}
	for i := range beats {
		if _, err := n.client.Create(t.Context(), configMaps, n.namespace, body(i), cluster.WriteOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		n.run(ctx)
	}()
	t.Cleanup(func() { stop(); <-done })
	return n
}

// beats is the number of the client's objects.
const beats = 16

func beat(i int) string { return fmt.Sprintf("beat-%d", i%beats) }

func body(i int) []byte {
	return fmt.Appendf(nil, `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":%q},"data":{"i":"%d"}}`, beat(i), i)
}

// run calls at fixed times, whether the calls before have come back or not, so that one long answer does not keep others from being measured.
func (n *neighbour) run(ctx context.Context) {
	var calls sync.WaitGroup
	defer calls.Wait()
	tick := time.NewTicker(every)
	defer tick.Stop()
	for i := 0; ; i++ {
		select {
		case <-tick.C:
			calls.Go(func() { n.call(ctx, i) })
		case <-ctx.Done():
			return
		}
	}
}

func (n *neighbour) call(ctx context.Context, i int) {
	name, began := beat(i), time.Now()
	var err error
	if i/beats%2 == 0 {
		_, err = n.client.Get(ctx, configMaps, n.namespace, name)
	} else {
		_, err = n.client.Update(ctx, configMaps, n.namespace, name, body(i), cluster.WriteOptions{})
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.taken = append(n.taken, time.Since(began))
	if err != nil && ctx.Err() == nil && n.err == nil {
		n.err = err
	}
}

// figures of one phase.
type figures struct {
	p50, p99, max time.Duration
	calls         int
}

func (f figures) String() string {
	ms := func(d time.Duration) string { return fmt.Sprintf("%.1f", float64(d)/float64(time.Millisecond)) }
	return fmt.Sprintf("p50 %s ms, p99 %s ms, max %s ms, %d calls", ms(f.p50), ms(f.p99), ms(f.max), f.calls)
}

// during measures while work is done.
func (n *neighbour) during(t *testing.T, work func()) figures {
	t.Helper()
	n.mu.Lock()
	n.taken = nil
	n.mu.Unlock()
	work()
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.err != nil {
		t.Fatal(n.err)
	}
	return summary(n.taken)
}

func summary(taken []time.Duration) figures {
	sorted := slices.Clone(taken)
	slices.Sort(sorted)
	if len(sorted) == 0 {
		return figures{}
	}
	return figures{
		p50: sorted[len(sorted)/2], p99: sorted[len(sorted)*99/100], max: sorted[len(sorted)-1], calls: len(sorted),
	}
}
