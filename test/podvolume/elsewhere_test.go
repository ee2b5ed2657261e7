// SPDX-License-Identifier: Apache-2.0

package podvolume

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"hozon.dev/hozon/internal/cluster/clustertest"
	"hozon.dev/hozon/internal/vault/vaulttest"
)

// elsewhere is a world in another cluster, with a node of its own, and the same folder as its location.
func (w *world) elsewhere() *world {
	w.t.Helper()
	c := clustertest.Start(w.t, clustertest.Options{Node: true, UnsafeNoFsync: true})
	if err := furnish(w.t, c, prepared.program); err != nil {
		w.t.Fatal(err)
	}
	o := &world{Cluster: c, t: w.t, ns: c.Namespace(w.t), app: c.Namespace(w.t), root: w.root, server: port(w.t), agent: port(w.t)}
	o.location()
	return o
}

// password is what new repositories are given, and others are tried with.
func (w *world) password(text string) {
	w.t.Helper()
	w.kubectl("", "-n", w.ns, "create", "secret", "generic", "velero-repo-credentials", "--from-literal=repository-password="+text)
}

// known waits until the server has found a backup in the location.
func (w *world) known(backup string) {
	w.t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(200 * time.Millisecond) {
		names := w.kubectl("", "-n", w.ns, "get", "backups", "-o", "jsonpath={.items[*].metadata.name}")
		if strings.Contains(" "+names+" ", " "+backup+" ") {
			return
		}
		if time.Now().After(deadline) {
			w.t.Fatalf("the server has not found backup %s in %s, but %q", backup, patience, names)
		}
	}
}

// TestAnotherCluster: a cluster that has nothing of the one that made a backup, which is gone, but the bucket, brings its volumes back, and goes on with their
// repository. The password of that is the location's: each cluster has another one in its Secret.
func TestAnotherCluster(t *testing.T) {
	w := newWorld(t, "")
	first := w.elsewhere()
	uid := func(w *world) string {
		return w.kubectl("", "get", "namespace", "kube-system", "-o", "jsonpath={.metadata.uid}")
	}
	if a, b := uid(first), uid(w); a == b || a == "" {
		t.Fatalf("one cluster: %q, %q", a, b)
	}
	first.password("of the first cluster")
	first.deploy(1)
	server, agent := first.runs()
	odd(t, first.data(first.app))
	odd(t, first.in(first.app, "keeper-0", "scratch"))
	data, scratch := without(vaulttest.Disk(t, first.data(first.app))), vaulttest.Disk(t, first.in(first.app, "keeper-0", "scratch"))
	contains(t, first.hozon(0, "backup", "create", "b", "--include-namespaces", first.app, "--snapshot-volumes=false", "--wait"), "Completed")
	server()
	agent()
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}

	w.password("of the second cluster")
	w.app = first.app // as it was called there
	w.class("local-disk", 1)
	w.all()
	w.known("b")
	contains(t, w.hozon(0, "restore", "create", "r", "--from-backup", "b", "--wait"), "Completed")
	w.awaitPod(w.app, "keeper-0")
	vaulttest.Compare(t, without(vaulttest.Disk(t, w.data(w.app))), data)
	w.unmarked(w.in(w.app, "keeper-0", "scratch"))
	vaulttest.Compare(t, vaulttest.Disk(t, w.in(w.app, "keeper-0", "scratch")), scratch)

	contains(t, w.hozon(0, "backup", "create", "next", "--include-namespaces", w.app, "--snapshot-volumes=false", "--wait"), "Completed")
	for _, backup := range []string{"b", "next"} {
		contains(t, w.hozon(0, "volume", "ls", backup, "--store", fmt.Sprintf("%s/bucket", w.root)), "Completed")
	}
	w.settled()
}

// runs starts all that there is, and returns how it is ended.
func (w *world) runs() (server, agent func()) {
	w.t.Helper()
	w.announce()
	return w.serve().Kill, w.node().Kill
}
