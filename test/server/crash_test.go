// SPDX-License-Identifier: Apache-2.0

package server

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	velerov1 "hozon.dev/hozon/api/velero/v1"
	"hozon.dev/hozon/internal/blob/s3"
	"hozon.dev/hozon/internal/cluster/clustertest"
	"hozon.dev/hozon/internal/store"
	"hozon.dev/hozon/test/daemon"
	"hozon.dev/hozon/test/s3server"
)

// inPod makes a server believe that it runs in a pod, where one that comes back after a crash has the same name, and the lead at once.
const inPod = "KUBERNETES_SERVICE_HOST=127.0.0.1"

// kills is how many times servers are killed.
func kills(t *testing.T) int {
	t.Helper()
	n, err := strconv.Atoi(os.Getenv("HOZON_CRASH_RUNS"))
	if err != nil {
		return 8
	}
	return n
}

func random(t *testing.T) *rand.Rand {
	t.Helper()
	seed, err := strconv.ParseUint(os.Getenv("HOZON_SEED"), 10, 64)
	if err != nil {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("HOZON_SEED=%d", seed)
	return rand.New(rand.NewPCG(seed, 0))
}

// sound checks with the store's own means that all backups of the bucket are what they were, and that nothing else is left.
func (w *world) sound() {
	w.t.Helper()
	w.t.Setenv("AWS_ACCESS_KEY_ID", w.s3.AccessKey)
	w.t.Setenv("AWS_SECRET_ACCESS_KEY", w.s3.SecretKey)
	ctx := w.t.Context()
	b, err := s3.Open(ctx, s3.Config{Bucket: w.ns, Endpoint: w.s3.Endpoint, Region: s3server.Region, PathStyle: s3.On})
	if err != nil {
		w.t.Fatal(err)
	}
	st, err := store.Open(ctx, b)
	if err != nil {
		w.t.Fatal(err)
	}
	names, err := st.Backups(ctx)
	if err != nil {
		w.t.Fatal(err)
	}
	if folders := w.stored("backups"); len(folders) != len(names) {
		w.t.Errorf("there are %d backups, and folders %v", len(names), folders)
	}
	for _, name := range names {
		result, err := st.Verify(ctx, name, func(int) {})
		if err != nil || len(result.Damages) > 0 {
			w.t.Errorf("backup %s: %+v, %v", name, result, err)
		}
	}
	if claims := w.stored("metadata/hozon/runs"); len(claims) > 0 {
		w.t.Errorf("claims are left: %v", claims)
	}
}

// fill puts n ConfigMaps into the namespace with the objects.
func (w *world) fill(n int) {
	w.t.Helper()
	for i := range n {
		w.create(&corev1.ConfigMap{
			ObjectMeta: metav1.ObjectMeta{Namespace: w.app, Name: fmt.Sprintf("filling-%d", i)}, Data: map[string]string{"a": strings.Repeat(strconv.Itoa(i), 1000)},
		})
	}
}

// TestServerKilled kills the server again and again, at random moments of a backup and a restore. Each of them comes to its end within a
// minute of the restart, and what is in the bucket is whole.
func TestServerKilled(t *testing.T) {
	w := newWorld(t)
	w.fill(200)
	rng := random(t)
	p := w.servePod()
	w.create(w.backup("base"))
	w.awaitBackup("base", velerov1.BackupPhaseCompleted)
	repeated := 0
	for i := range kills(t) {
		name := fmt.Sprintf("b%d", i)
		target := fmt.Sprintf("%s-r%d", w.app, i)
		w.create(w.backup(name))
		w.create(w.restore(name, "base", target))
		time.Sleep(time.Duration(rng.IntN(500)) * time.Millisecond)
		p.Kill()
		p = w.servePod()
		began := time.Now()
		b := w.awaitBackup(name, velerov1.BackupPhaseCompleted)
		r := w.awaitRestore(name, velerov1.RestorePhaseCompleted)
		if took := time.Since(began); took > time.Minute {
			t.Errorf("after the restart it took %v", took)
		}
		if b.Annotations["hozon.dev/attempt"] != "1" || r.Annotations["hozon.dev/attempt"] != "1" {
			repeated++
		}
		got := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: target, Name: "filling-199"}}
		w.get(got)
	}
	t.Logf("%d of %d kills hit a run", repeated, kills(t))
	w.sound()
}

// TestServerCancel cancels a backup whose store hangs, and one that waits behind it.
func TestServerCancel(t *testing.T) {
	w := newWorld(t)
	w.serve()
	w.awaitLocation("default", velerov1.BackupStorageLocationPhaseAvailable)
	w.freezeStore()
	for _, name := range []string{"runs", "waits", "last"} {
		w.create(w.backup(name))
		await(w, w.backup(name), &velerov1.BackupList{}, func(b *velerov1.Backup) bool { return b.Status.Phase != "" })
	}
	w.awaitPhase("runs", velerov1.BackupPhaseInProgress)
	if b := w.awaitPhase("last", velerov1.BackupPhaseQueued); b.Status.QueuePosition != 2 {
		t.Errorf("the third is at position %d", b.Status.QueuePosition)
	}
	free := &velerov1.Backup{ObjectMeta: w.meta("free"), Spec: velerov1.BackupSpec{IncludedNamespaces: []string{"default"}}}
	w.create(free) // of other namespaces: it overtakes
	w.awaitPhase("free", velerov1.BackupPhaseInProgress)
	began := time.Now()
	for _, name := range []string{"waits", "runs"} {
		edit(w, w.backup(name), func(b *velerov1.Backup) {
			b.Annotations = map[string]string{"hozon.dev/cancel": "true", "hozon.dev/run": b.Annotations["hozon.dev/run"]}
		})
		if b := w.awaitBackup(name, velerov1.BackupPhaseFailed); !strings.Contains(b.Status.FailureReason, "cancelled by the user") {
			t.Errorf("%s: %s", name, b.Status.FailureReason)
		}
	}
	if took := time.Since(began); took > 30*time.Second {
		t.Errorf("it took %v", took)
	}
	w.thawStore()
	w.awaitBackup("last", velerov1.BackupPhaseCompleted)
	w.awaitBackup("free", velerov1.BackupPhaseCompleted)
}

// TestServerCancelRestore cancels a restore whose store hangs.
func TestServerCancelRestore(t *testing.T) {
	w := newWorld(t)
	w.serve()
	edit(w, w.location("default", w.ns, true), func(l *velerov1.BackupStorageLocation) {
		l.Spec.ValidationFrequency = &velerov1.Duration{Duration: time.Hour} // or it would be found out that the store hangs
	})
	w.awaitLocation("default", velerov1.BackupStorageLocationPhaseAvailable)
	w.create(w.backup("base"))
	w.awaitBackup("base", velerov1.BackupPhaseCompleted)
	w.freezeStore()
	w.create(w.restore("hangs", "base", w.app+"-r"))
	await(w, w.restore("hangs", "", ""), &velerov1.RestoreList{}, func(r *velerov1.Restore) bool { return r.Status.Phase == velerov1.RestorePhaseInProgress })
	began := time.Now()
	w.hozon([]string{"Request to cancel restore"}, "restore", "cancel", "hangs")
	if r := w.awaitRestore("hangs", velerov1.RestorePhaseFailed); !strings.Contains(r.Status.FailureReason, "cancelled by the user") {
		t.Errorf("hangs: %s", r.Status.FailureReason)
	}
	t.Logf("from the command to the end: %v", time.Since(began))
	w.thawStore()
}

// TestServerStoreGone takes the store away for ten seconds, in the middle of an upload: connections are made, and then they break.
func TestServerStoreGone(t *testing.T) {
	w := newWorld(t)
	w.serve("--store-validation-frequency", "1h")
	edit(w, w.location("default", w.ns, true), func(l *velerov1.BackupStorageLocation) {
		l.Spec.ValidationFrequency = &velerov1.Duration{Duration: time.Hour}
	})
	w.awaitLocation("default", velerov1.BackupStorageLocationPhaseAvailable)
	w.create(w.backup("before"))
	w.awaitBackup("before", velerov1.BackupPhaseCompleted)
	w.freezeStore()
	w.create(w.backup("a"))
	w.awaitPhase("a", velerov1.BackupPhaseInProgress)
	w.create(w.restore("r", "before", w.app+"-r"))
	time.Sleep(time.Second) // for the first files to be on their way
	w.s3.Kill()
	time.Sleep(10 * time.Second)
	if err := w.s3.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.awaitBackup("a", velerov1.BackupPhaseCompleted)
	w.awaitRestore("r", velerov1.RestorePhaseCompleted)
	w.sound()
}

// TestServerAPIGone restarts the API server during a backup and a restore. A server that loses its lead by that ends, and is started again as a kubelet would.
func TestServerAPIGone(t *testing.T) {
	c := clustertest.Start(t, clustertest.Options{UnsafeNoFsync: true})
	installCRDs(t, c)
	w := inCluster(t, c, s3server.Start(t))
	w.fill(50)
	p := w.servePod()
	w.create(w.backup("before"))
	w.awaitBackup("before", velerov1.BackupPhaseCompleted)
	w.create(w.backup("a"))
	w.create(w.restore("r", "before", w.app+"-r"))
	c.KillAPIServer()
	time.Sleep(2 * time.Second)
	if err := c.StartAPIServer(t.Context()); err != nil {
		t.Fatal(err)
	}
	stop := w.keepAlive(p)
	defer stop()
	w.awaitBackup("a", velerov1.BackupPhaseCompleted)
	w.awaitRestore("r", velerov1.RestorePhaseCompleted)
	w.sound()
}

// TestServerLeader runs two replicas, kills the one that leads in the middle of a backup, and lets the other finish.
func TestServerLeader(t *testing.T) {
	w := newWorld(t)
	first := w.serve()
	w.awaitLocation("default", velerov1.BackupStorageLocationPhaseAvailable)
	port := w.newPort()
	second := w.startServer("second", port)
	w.awaitReady(second, port)
	w.freezeStore()
	w.create(w.backup("a"))
	w.awaitPhase("a", velerov1.BackupPhaseInProgress)
	first.Kill()
	w.thawStore()
	began := time.Now()
	b := w.awaitBackup("a", velerov1.BackupPhaseCompleted)
	t.Logf("the other replica was done after %v", time.Since(began))
	if b.Annotations["hozon.dev/attempt"] != "2" {
		t.Errorf("attempt %s", b.Annotations["hozon.dev/attempt"])
	}
	if log := second.LogTail(1000); !strings.Contains(log, "backup begins again: the process that ran it is gone") {
		t.Errorf("it does not say so:\n%s", log)
	}
	w.sound()
}

// TestServerLeftovers finds what a real Velero's server did not survive.
func TestServerLeftovers(t *testing.T) {
	w := newWorld(t)
	b := w.backup("old")
	b.Status.Phase = velerov1.BackupPhaseInProgress
	w.create(b)
	r := w.restore("old", "old", "elsewhere")
	r.Status.Phase = velerov1.RestorePhaseInProgress
	w.create(r)
	killed := w.backup("killed")
	killed.Annotations = map[string]string{"hozon.dev/run": "x", "hozon.dev/attempt": "3"}
	killed.Status.Phase = velerov1.BackupPhaseInProgress
	w.create(killed)
	p := w.serve()
	if b := w.awaitBackup("killed", velerov1.BackupPhaseFailed); !strings.HasPrefix(b.Status.FailureReason, "3 runs did not come to their end") {
		t.Errorf("killed three times: %s", b.Status.FailureReason)
	}
	if b := w.awaitBackup("old", velerov1.BackupPhaseFailed); b.Status.FailureReason != `found a backup with status "InProgress" during the server starting, mark it as "Failed"` {
		t.Errorf("backup: %s", b.Status.FailureReason)
	}
	if r := w.awaitRestore("old", velerov1.RestorePhaseFailed); r.Status.FailureReason != `found a restore with status "InProgress" during the server starting, mark it as "Failed"` {
		t.Errorf("restore: %s", r.Status.FailureReason)
	}

	w.create(w.backup("committed"))
	made := w.awaitBackup("committed", velerov1.BackupPhaseCompleted)
	p.Stop(patience)
	edit(w, w.backup("committed"), func(b *velerov1.Backup) { b.Status = velerov1.BackupStatus{Phase: velerov1.BackupPhaseInProgress} })
	w.serve()
	again := w.awaitBackup("committed", velerov1.BackupPhaseCompleted)
	if again.Annotations["hozon.dev/run"] != made.Annotations["hozon.dev/run"] || !again.Status.CompletionTimestamp.Equal(made.Status.CompletionTimestamp) {
		t.Errorf("what was committed was done again: %+v, %+v", made.Annotations, again.Annotations)
	}
}

func (w *world) awaitPhase(name string, phase velerov1.BackupPhase) *velerov1.Backup {
	w.t.Helper()
	return await(w, w.backup(name), &velerov1.BackupList{}, func(b *velerov1.Backup) bool { return b.Status.Phase == phase })
}

// freezeStore stops the S3 server's process: connections are made, and nothing answers.
func (w *world) freezeStore() { w.signalStore(syscall.SIGSTOP) }

func (w *world) thawStore() { w.signalStore(syscall.SIGCONT) }

func (w *world) signalStore(s syscall.Signal) {
	w.t.Helper()
	if err := syscall.Kill(w.s3.Process().PID(), s); err != nil {
		w.t.Fatal(err)
	}
}

// servePod starts a server as the next container of the same pod.
func (w *world) servePod() *daemon.Process {
	w.t.Helper()
	w.env = []string{inPod}
	return w.serve()
}

// keepAlive starts the server again when it ends, until it is told to stop.
func (w *world) keepAlive(p *daemon.Process) (stop func()) {
	over := make(chan struct{})
	idle := make(chan struct{})
	go func() {
		defer close(idle)
		for {
			select {
			case <-over:
				return
			case <-p.Done():
			}
			next, err := daemon.Start(w.command("server", w.port))
			if err != nil {
				w.t.Error(err)
				return
			}
			p = next
		}
	}()
	return func() {
		close(over)
		<-idle
		p.Kill()
	}
}

// TestServerKilledDeleting kills the server again and again while it deletes. The backup is gone in the end, with all of its files.
func TestServerKilledDeleting(t *testing.T) {
	w := newWorld(t)
	rng := random(t)
	p := w.servePod()
	for i := range kills(t) / 2 {
		name := fmt.Sprintf("b%d", i)
		w.create(w.backup(name))
		w.awaitBackup(name, velerov1.BackupPhaseCompleted)
		w.create(w.deletion(name, name))
		time.Sleep(time.Duration(rng.IntN(100)) * time.Millisecond)
		p.Kill()
		p = w.servePod()
		await(w, w.backup(name), &velerov1.BackupList{}, deleted)
		await(w, w.deletion(name, name), &velerov1.DeleteBackupRequestList{}, deleted)
	}
	w.sound()
}
