// SPDX-License-Identifier: Apache-2.0

package clustertest

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// tempPrefix marks the folders of clusters that belong to a test binary.
const tempPrefix = "hozon-cluster-"

// Start starts a cluster for t alone (none with -short: then t is skipped), which is closed when t ends; if t failed
// the ends of the components' logs are printed.
func Start(t testing.TB, opts Options) *Cluster {
	t.Helper()
	skipShort(t)
	skipNode(t, opts)
	c, err := launchTemp(opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(c.Logs())
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

// skipShort leaves tests with real servers out of `go test -short`, which is for tests that are done in seconds.
func skipShort(t testing.TB) {
	if testing.Short() {
		t.Skip("starts a control plane")
	}
}

// skipNode skips t where the kernel or the rights for a node are missing.
func skipNode(t testing.TB, opts Options) {
	t.Helper()
	if !opts.Node {
		return
	}
	if err := CheckNode(); err != nil {
		t.Skip(err)
	}
}

// shared and sharedNode are the clusters of the test binary. They have to be
// variables of the package: TestMain and the tests have nothing else in common.
var shared, sharedNode common

type common struct {
	once    sync.Once
	cluster *Cluster
	err     error
}

// Shared returns the cluster of this test binary, a plain one without
// controllers and without fsync, and starts it if no test has before. The
// package's TestMain must be Main, which closes it. Tests keep out of each
// other's way by using their own Namespace.
func Shared(t testing.TB) *Cluster {
	t.Helper()
	return shared.get(t, Options{UnsafeNoFsync: true})
}

// SharedNode is like Shared, for a cluster of its own with a node.
func SharedNode(t testing.TB) *Cluster {
	t.Helper()
	return sharedNode.get(t, Options{UnsafeNoFsync: true, Node: true})
}

func (s *common) get(t testing.TB, opts Options) *Cluster {
	t.Helper()
	skipShort(t)
	skipNode(t, opts)
	s.once.Do(func() { s.cluster, s.err = launchTemp(opts) })
	if s.err != nil {
		t.Fatal(s.err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(s.cluster.Logs())
		}
	})
	return s.cluster
}

// Main runs the tests and closes the shared clusters, if there are any:
//
//	func TestMain(m *testing.M) { clustertest.Main(m) }
func Main(m *testing.M) {
	m.Run() // the exit code is kept by m, and used when TestMain returns
	for _, c := range []*Cluster{shared.cluster, sharedNode.cluster} {
		if c == nil {
			continue
		}
		if err := c.Close(); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
	}
}

// Namespace creates a namespace for t alone and returns its name, which is
// made of the test's and a random suffix. It is not deleted: it goes with the
// cluster.
func (c *Cluster) Namespace(t testing.TB) string {
	t.Helper()
	name := namespaceName(t.Name())
	body := fmt.Sprintf(`{"apiVersion":"v1","kind":"Namespace","metadata":{"name":%q}}`, name)
	if _, err := c.call(t.Context(), http.MethodPost, "/api/v1/namespaces", body); err != nil {
		t.Fatal(err)
	}
	return name
}

// namespaceName makes a DNS label of a test's name.
func namespaceName(test string) string {
	label := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return '-'
	}, strings.ToLower(test))
	const most = 63 - len("-12345678")
	label = strings.Trim(label[:min(len(label), most)], "-")
	return label + "-" + strings.ToLower(rand.Text()[:8])
}

func launchTemp(opts Options) (*Cluster, error) {
	sweep(os.TempDir(), time.Now())
	dir, err := os.MkdirTemp("", tempPrefix)
	if err != nil {
		return nil, err
	}
	c, err := Launch(context.Background(), dir, opts)
	if err != nil {
		os.RemoveAll(dir)
	}
	return c, err
}

// sweep removes the folders of test binaries that were killed. A folder is
// left alone while its lock is held, and in its first minutes, when its owner
// may not have come to take it.
func sweep(temp string, now time.Time) {
	dirs, _ := filepath.Glob(filepath.Join(temp, tempPrefix+"*"))
	for _, dir := range dirs {
		info, err := os.Lstat(dir)
		if err != nil || !info.IsDir() || now.Sub(info.ModTime()) < 5*time.Minute {
			continue
		}
		lock, err := lockDir(dir)
		if err != nil {
			continue
		}
		os.RemoveAll(dir)
		lock.Close()
	}
}
