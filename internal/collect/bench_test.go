// SPDX-License-Identifier: Apache-2.0

package collect_test

import (
	"fmt"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"hozon.dev/hozon/internal/cluster"
	"hozon.dev/hozon/internal/cluster/clustertest"
	"hozon.dev/hozon/internal/collect"
)

// nowhere is a Sink that keeps nothing.
type nowhere struct{ bytes atomic.Int64 }

func (n *nowhere) Lane() collect.Lane { return n }
func (n *nowhere) Add(it collect.Item) error {
	n.bytes.Add(int64(len(it.Body)))
	return nil
}
func (n *nowhere) Close() error { return nil }

// BenchmarkRun collects 10,000 objects of about 4 kB into nothing, with the discovery, and reports the CPU time of this process and the API calls.
func BenchmarkRun(b *testing.B) {
	own := clustertest.Start(b, clustertest.Options{UnsafeNoFsync: true})
	c := open(b, own)
	seed(b, c, 10_000)
	for b.Loop() {
		c := open(b, own)
		before := cpu(b)
		types, _, err := c.Types(b.Context(), false)
		if err != nil {
			b.Fatal(err)
		}
		result, err := collect.Run(b.Context(), c, collect.Request{Types: types, Exact: true, Consistency: collect.Require}, new(nowhere))
		if err != nil || len(result.Problems) > 0 {
			b.Fatal(err, result.Problems)
		}
		b.ReportMetric(float64(cpu(b)-before)/1e6, "cpu-ms/op")
		b.ReportMetric(float64(result.Items), "items")
		b.ReportMetric(float64(result.Bytes)/1e6, "MB")
		b.ReportMetric(float64(c.Calls()["total"]), "calls")
	}
}

// seed makes n objects of a realistic mix in 26 namespaces.
func seed(b *testing.B, c *cluster.Client, n int) {
	b.Helper()
	for i := range 26 {
		create(b, c, "v1/namespaces", "", fmt.Sprintf(`{"metadata":{"name":"seed-%02d"}}`, i))
	}
	pad := strings.Repeat("lorem ipsum ", 290)
	var g errgroup.Group
	g.SetLimit(16)
	for i := range n {
		g.Go(func() error {
			ns, name := fmt.Sprintf("seed-%02d", i%26), fmt.Sprintf("object-%05d", i)
			meta := fmt.Sprintf(`"metadata":{"name":%q,"labels":{"app":"a%d"},"annotations":{"note":"%d"}}`, name, i%50, i)
			switch i % 10 {
			case 0, 1, 2, 3:
				return tryCreate(b.Context(), c, "v1/configmaps", ns, fmt.Sprintf(`{%s,"data":{"pad":%q}}`, meta, pad))
			case 4, 5:
				return tryCreate(b.Context(), c, "v1/secrets", ns, fmt.Sprintf(`{%s,"stringData":{"pad":%q}}`, meta, pad[:2500]))
			case 6, 7:
				return tryCreate(b.Context(), c, "v1/pods", ns, fmt.Sprintf(`{%s,"spec":{"containers":[{"name":"c","image":"i","env":[{"name":"A","value":%q}]}]}}`, meta, pad[:2500]))
			case 8:
				return tryCreate(b.Context(), c, "apps/v1/deployments", ns, fmt.Sprintf(`{%s,"spec":{"replicas":0,"selector":{"matchLabels":{"a":"b"}},"template":{"metadata":{"labels":{"a":"b"},"annotations":{"pad":%q}},"spec":{"containers":[{"name":"c","image":"i"}]}}}}`, meta, pad[:2500]))
			}
			return tryCreate(b.Context(), c, "v1/serviceaccounts", ns, fmt.Sprintf(`{%s}`, meta))
		})
	}
	if err := g.Wait(); err != nil {
		b.Fatal(err)
	}
}

// cpu is the CPU time of this process so far.
func cpu(t testing.TB) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
