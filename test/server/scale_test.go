// SPDX-License-Identifier: Apache-2.0

package server

import (
	"fmt"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	velerov1 "hozon.dev/hozon/api/velero/v1"
	"hozon.dev/hozon/internal/cluster/clustertest"
	"hozon.dev/hozon/test/daemon"
	"hozon.dev/hozon/test/s3server"
)

// memoryLimit is what the server may use in a backup of 10,000 objects, and in a restore of 5,000.
const memoryLimit = 150 << 20

// TestServerScale backs up as many objects as HOZON_SCALE says and restores half of them by a server that has just started, and looks at time and memory. The
// garbage collector is tuned by cmd/hozon, so that is what runs.
func TestServerScale(t *testing.T) {
	n, err := strconv.Atoi(os.Getenv("HOZON_SCALE"))
	if err != nil {
		t.Skip("takes a minute and more: HOZON_SCALE=10000")
	}
	c := clustertest.Start(t, clustertest.Options{UnsafeNoFsync: true})
	installCRDs(t, c)
	w := inCluster(t, c, s3server.Start(t))
	other := c.Namespace(t)
	w.spread(w.app, n/2)
	w.spread(other, n/2)
	w.env = []string{"GOGC=50"} // as cmd/hozon sets it
	p := w.serve()
	w.awaitLocation("default", velerov1.BackupStorageLocationPhaseAvailable)
	all := w.backup("all")
	all.Spec.IncludedNamespaces = append(all.Spec.IncludedNamespaces, other)
	began := time.Now()
	w.create(all)
	b := w.awaitBackup("all", velerov1.BackupPhaseCompleted)
	t.Logf("backup of %d objects, created to Completed: %v", b.Status.Progress.ItemsBackedUp, time.Since(began))
	w.wantPeak(p)
	p.Stop(patience)
	p = w.serve()
	half := w.restore("half", "all", w.app+"-r")
	half.Spec.IncludedNamespaces = []string{w.app}
	began = time.Now()
	w.create(half)
	r := awaitFor(w, 10*time.Minute, w.restore("half", "", ""), &velerov1.RestoreList{}, func(r *velerov1.Restore) bool { return r.Status.CompletionTimestamp != nil })
	t.Logf("restore of %d objects, created to %s: %v", r.Status.Progress.ItemsRestored, r.Status.Phase, time.Since(began))
	w.wantPeak(p)
}

// wantPeak looks at what a server has used so far.
func (w *world) wantPeak(p *daemon.Process) {
	w.t.Helper()
	usage, err := p.Usage()
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Logf("peak memory %d MiB, CPU %v", usage.Peak>>20, usage.CPU)
	if usage.Peak > memoryLimit {
		w.t.Errorf("the server used %d MiB", usage.Peak>>20)
	}
}

// spread puts n ConfigMaps into a namespace, as quickly as it can.
func (w *world) spread(namespace string, n int) {
	w.t.Helper()
	var all sync.WaitGroup
	next := make(chan int)
	for range 16 {
		all.Go(func() {
			for i := range next {
				o := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: fmt.Sprintf("filling-%d", i)}, Data: map[string]string{"a": strconv.Itoa(i)}}
				if err := w.client.Create(w.t.Context(), o); err != nil {
					w.t.Errorf("create %s: %v", o.Name, err)
				}
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	all.Wait()
}
