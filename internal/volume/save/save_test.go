// SPDX-License-Identifier: Apache-2.0

package save

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	velerov1 "hozon.dev/hozon/api/velero/v1"
	"hozon.dev/hozon/internal/cluster"
	"hozon.dev/hozon/internal/cluster/clustertest"
	"hozon.dev/hozon/internal/object"
	"hozon.dev/hozon/internal/velero"
	"hozon.dev/hozon/internal/volume/order"
)

// These tests write down by hand what agents would: they are about what a server makes of that. test/podvolume has real agents.

func TestMain(m *testing.M) { clustertest.Main(m) }

var definitions sync.Once

var podType = object.Type{Version: "v1", Resource: "pods", Kind: "Pod", Namespaced: true}

// world is a namespace with an agent's pod on node a, in a cluster without nodes.
type world struct {
	t      *testing.T
	server velero.Client
	uid    string // of the backup
}

func newWorld(t *testing.T) *world {
	t.Helper()
	c := clustertest.Shared(t)
	definitions.Do(func() {
		for _, args := range [][]string{
			{"apply", "--server-side", "-f", "../../../deploy/crd"}, {"wait", "--for=condition=Established", "crd", "--all", "--timeout=60s"},
		} {
			if out, err := c.Kubectl(t.Context(), args...).CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
		}
	})
	client, err := cluster.Open(cluster.Options{Kubeconfig: c.Kubeconfig()})
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, server: velero.Client{Cluster: client, Namespace: c.Namespace(t)}, uid: uuid.NewString()}
	w.write(object.Type{Version: "v1", Resource: "serviceaccounts", Kind: "ServiceAccount", Namespaced: true}, map[string]any{"apiVersion": "v1", "kind": "ServiceAccount", "metadata": map[string]any{"name": "default"}})
	w.agent("agent-a", "a", true)
	return w
}

func (w *world) saver() *Saver {
	return &Saver{Connect: 10 * time.Second, Desk: order.Desk[velerov1.PodVolumeBackup]{
		Kind: order.Backups, Server: w.server, Now: time.Now, Log: slog.New(slog.DiscardHandler),
	}}
}

func (w *world) write(t object.Type, o any) {
	w.t.Helper()
	body, err := json.Marshal(o)
	if err == nil {
		_, err = w.server.Cluster.Create(w.t.Context(), t, w.server.Namespace, body, cluster.WriteOptions{})
	}
	if err != nil {
		w.t.Fatal(err)
	}
}

// agent makes the pod of an agent.
func (w *world) agent(name, node string, is bool) {
	w.t.Helper()
	w.write(podType, corev1.Pod{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"},
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"role": "node-agent"}},
		Spec:       corev1.PodSpec{NodeName: node, Containers: []corev1.Container{{Name: "agent", Image: "agent"}}},
	})
	w.ready(name, is)
}

func (w *world) ready(name string, is bool) {
	w.t.Helper()
	status := corev1.ConditionFalse
	if is {
		status = corev1.ConditionTrue
	}
	body, _ := json.Marshal(map[string]any{"status": corev1.PodStatus{
		Phase: corev1.PodRunning, Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: status}},
	}})
	_, err := w.server.Cluster.Patch(w.t.Context(), podType, w.server.Namespace, name, types.MergePatchType, body, cluster.WriteOptions{Subresource: "status"})
	if err != nil {
		w.t.Fatal(err)
	}
}

// repository answers for the repository of a namespace as the server's controller would.
func (w *world) repository(ctx context.Context, namespace string, phase velerov1.BackupRepositoryPhase) {
	name := namespace + "-default-kopia"
	for ctx.Err() == nil {
		_, err := velero.Repositories.Patch(ctx, w.server, name, map[string]any{"status": map[string]any{"phase": phase, "message": "as it is told"}})
		if err == nil {
			return
		}
		time.Sleep(20 * time.Millisecond) // until what is tested has made it
	}
}

// wanted is a volume of a pod.
func (w *world) wanted(namespace, volume, node string) *velerov1.PodVolumeBackup {
	return &velerov1.PodVolumeBackup{
		ObjectMeta: metav1.ObjectMeta{GenerateName: "b-", Labels: map[string]string{velerov1.LabelBackupUID: w.uid}},
		Spec: velerov1.PodVolumeBackupSpec{
			Node: node, Pod: corev1.ObjectReference{Kind: "Pod", Namespace: namespace, Name: "p"}, Volume: volume, BackupStorageLocation: "default", UploaderType: "kopia",
		},
	}
}

// act does, for each volume that is asked for, what its name says.
func (w *world) act(ctx context.Context) {
	seen := map[string]bool{}
	patch := func(b *velerov1.PodVolumeBackup, status map[string]any) {
		if _, err := velero.VolumeBackups.Patch(ctx, w.server, b.Name, map[string]any{"status": status}); err != nil && ctx.Err() == nil {
			w.t.Error(err)
		}
	}
	_ = velero.VolumeBackups.Follow(ctx, w.server, "", func(b *velerov1.PodVolumeBackup, gone bool) bool {
		what, _, _ := strings.Cut(b.Spec.Volume, "-")
		switch {
		case gone || what == "ignored":
		case b.Spec.Cancel && what == "slow" && b.Status.Phase == velerov1.PodVolumeBackupPhaseInProgress:
			patch(b, map[string]any{"phase": "Canceled"})
		case seen[b.Name]:
		default:
			seen[b.Name] = true
			switch what {
			case "good":
				patch(b, map[string]any{"phase": "InProgress"})
				patch(b, map[string]any{"phase": "Completed", "snapshotID": "s-" + b.Spec.Volume})
			case "bad":
				patch(b, map[string]any{"phase": "Failed", "message": "the disk is gone"})
			case "slow", "stuck":
				patch(b, map[string]any{"phase": "InProgress"})
			case "deleted":
				if err := velero.VolumeBackups.Delete(ctx, w.server, b.Name); err != nil {
					w.t.Error(err)
				}
			case "last": // its agent goes with it
				w.ready("agent-a", false)
			}
		}
		return false
	})
}

// save has volumes saved, and returns what was told of each: "Phase snapshot: error".
func (w *world) save(ctx context.Context, s *Saver, wanted ...*velerov1.PodVolumeBackup) map[string]string {
	w.t.Helper()
	acting, stop := context.WithCancel(w.t.Context())
	var agents sync.WaitGroup
	agents.Go(func() { w.act(acting) })
	got := map[string]string{}
	s.Save(ctx, wanted, func(i int, made *velerov1.PodVolumeBackup, err error) {
		text := "none"
		if made != nil {
			text = fmt.Sprintf("%s %s", made.Status.Phase, made.Status.SnapshotID)
		}
		if err != nil {
			text += ": " + err.Error()
		}
		if got[wanted[i].Spec.Volume] != "" {
			w.t.Errorf("it was told twice of %s", wanted[i].Spec.Volume)
		}
		got[wanted[i].Spec.Volume] = text
	})
	stop()
	agents.Wait()
	return got
}

func (w *world) expect(got, want map[string]string) {
	w.t.Helper()
	for name, text := range want {
		if !strings.Contains(got[name], text) {
			w.t.Errorf("%s: %q, want %q", name, got[name], text)
		}
	}
	if len(got) != len(want) {
		w.t.Errorf("told of %d volumes, want %d: %v", len(got), len(want), got)
	}
}

// TestEachForItself: what goes wrong with one volume, its node or its namespace's repository is told of it alone.
func TestEachForItself(t *testing.T) {
	w := newWorld(t)
	w.agent("agent-b", "b", false)
	go w.repository(t.Context(), "shop", velerov1.BackupRepositoryPhaseReady)
	go w.repository(t.Context(), "locked", velerov1.BackupRepositoryPhaseNotReady)
	s := w.saver()
	s.Timeout = 10 * time.Second
	got := w.save(t.Context(), s,
		w.wanted("shop", "good-1", "a"), w.wanted("shop", "bad", "a"), w.wanted("shop", "good-2", "a"), w.wanted("shop", "good-off", "b"), w.wanted("shop", "good-nowhere", "c"),
		w.wanted("locked", "good-locked", "a"), w.wanted("unknown", "good-unknown", "a"), w.wanted("shop", "slow", "a"), w.wanted("shop", "deleted", "a"))
	w.expect(got, map[string]string{
		"good-1": "Completed s-good-1", "good-2": "Completed s-good-2", "bad": "Failed : the disk is gone",
		"good-off": "none: the node agent on node b is not ready", "good-nowhere": "none: no node agent is on node c",
		"good-locked":  "none: the repository of namespace locked cannot be used (BackupRepository " + w.server.Namespace + "/locked-default-kopia): as it is told",
		"good-unknown": "none: the repository of namespace unknown: no server has looked after BackupRepository " + w.server.Namespace + "/unknown-default-kopia for 10s",
		"slow":         "Canceled : it took longer than 10s: raise --fs-backup-timeout",
		"deleted":      "somebody deleted PodVolumeBackup",
	})
}

// TestAgentDies: volumes of a node whose agent does not come back are Failed, in the cluster too, and the run goes on.
func TestAgentDies(t *testing.T) {
	w := newWorld(t)
	w.agent("agent-b", "b", true)
	go w.repository(t.Context(), "shop", velerov1.BackupRepositoryPhaseReady)
	s := w.saver()
	s.Lost = 5 * time.Second
	got := w.save(t.Context(), s, w.wanted("shop", "stuck", "a"), w.wanted("shop", "last", "a"), w.wanted("shop", "good", "b"))
	const gone = "Failed : the node agent on node a has been gone for 5s"
	w.expect(got, map[string]string{"stuck": gone, "last": gone, "good": "Completed"})
	all, err := velero.VolumeBackups.List(t.Context(), w.server, "")
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range all {
		if b.Spec.Volume != "good" && (b.Status.Phase != velerov1.PodVolumeBackupPhaseFailed || !b.Spec.Cancel || b.Status.CompletionTimestamp == nil) {
			t.Errorf("%s is left as %+v", b.Spec.Volume, b.Status)
		}
	}
}

// TestCancel: the end of the context stops what is under way, and is the reason that is told.
func TestCancel(t *testing.T) {
	w := newWorld(t)
	go w.repository(t.Context(), "shop", velerov1.BackupRepositoryPhaseReady)
	ctx, cancel := context.WithCancelCause(t.Context())
	go func() {
		_ = velero.VolumeBackups.Follow(t.Context(), w.server, "", func(b *velerov1.PodVolumeBackup, _ bool) bool {
			return b.Status.Phase == velerov1.PodVolumeBackupPhaseInProgress && b.Spec.Volume == "slow"
		})
		cancel(fmt.Errorf("the user has thought of something else"))
	}()
	got := w.save(ctx, w.saver(), w.wanted("shop", "slow", "a"), w.wanted("shop", "good", "a"))
	if !strings.HasPrefix(got["slow"], "Canceled : the user has thought of something else") {
		t.Errorf("%v", got)
	}
}

// TestStop ends what a server that is gone has left, and does not touch what has ended.
func TestStop(t *testing.T) {
	w := newWorld(t)
	var left []velerov1.PodVolumeBackup
	for _, volume := range []string{"slow", "good"} {
		b := w.wanted("shop", volume, "a")
		b.Name, b.TypeMeta = "b-"+volume, velero.VolumeBackups.TypeMeta()
		made, err := velero.VolumeBackups.Create(t.Context(), w.server, b)
		if err != nil {
			t.Fatal(err)
		}
		left = append(left, *made)
	}
	go w.act(t.Context())
	if _, err := velero.VolumeBackups.Until(t.Context(), w.server, "b-good", func(b *velerov1.PodVolumeBackup) bool {
		left[1] = *b
		return b.Status.Phase == velerov1.PodVolumeBackupPhaseCompleted
	}); err != nil {
		t.Fatal(err)
	}
	got := w.saver().Stop(t.Context(), left)
	if got[0].Status.Phase != velerov1.PodVolumeBackupPhaseCanceled || got[1].Status.SnapshotID != "s-good" || got[1].Spec.Cancel {
		t.Errorf("%+v\n%+v", got[0].Status, got[1])
	}
}
