// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	clientscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"

	velerov1 "hozon.dev/hozon/api/velero/v1"
	"hozon.dev/hozon/internal/cluster"
	"hozon.dev/hozon/internal/cluster/clustertest"
	"hozon.dev/hozon/internal/store"
	"hozon.dev/hozon/internal/vault/vaulttest"
	"hozon.dev/hozon/internal/volume"
	"hozon.dev/hozon/test/daemon"
)

// patience is how long a test waits for what takes a second or two when the machine has nothing else to do.
const patience = 120 * time.Second

// helperImage holds the program under the name that Velero gives the helper.
const helperImage = "hozon.test/helper:1"

// prepared is what all tests of this binary share: the program, built once, and what the node was given.
var prepared struct {
	once    sync.Once
	program string
	err     error
}

// world is a cluster with a node, a namespace for the agent and one for pods, and a folder that is a location.
type world struct {
	*clustertest.Cluster
	t      *testing.T
	client client.WithWatch
	ns     string // the agent's
	app    string // the pods'
	bucket string // folder of the location's bucket
	port   *daemon.Port
}

func newWorld(t *testing.T) *world {
	t.Helper()
	c := clustertest.SharedNode(t)
	prepared.once.Do(func() { prepared.program, prepared.err = prepare(t, c) })
	if prepared.err != nil {
		t.Fatal(prepared.err)
	}
	w := &world{Cluster: c, t: t, client: newClient(t, c), ns: c.Namespace(t), app: c.Namespace(t)}
	root := t.TempDir()
	w.bucket = filepath.Join(root, "bucket")
	if err := os.Mkdir(w.bucket, 0o700); err != nil {
		t.Fatal(err)
	}
	w.location("default", root)
	port, err := daemon.ReservePort()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = port.Close() })
	w.port = port
	return w
}

// prepare builds the program, gives images to the node, and defines the kinds.
func prepare(t *testing.T, c *clustertest.Cluster) (string, error) {
	dir, err := os.MkdirTemp(c.Dir, "program-") // goes with the cluster
	if err != nil {
		return "", err
	}
	program := filepath.Join(dir, "hozon")
	build := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-o", program, "hozon.dev/hozon/cmd/hozon")
	build.Env = append(os.Environ(), "CGO_ENABLED=0") // nothing but the program is in the image
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		return "", err
	}
	busybox, err := c.BusyboxImage(t.Context())
	if err != nil {
		return "", err
	}
	helper := clustertest.Image{Name: helperImage, Files: []clustertest.File{{Path: "velero-restore-helper", From: program}}}
	for _, image := range []clustertest.Image{busybox, helper} {
		if err := c.LoadImage(t.Context(), image); err != nil {
			return "", err
		}
	}
	for _, args := range [][]string{
		{"apply", "--server-side", "-f", "../../deploy/crd"},
		{"wait", "--for=condition=Established", "crd", "--all", "--timeout=60s"},
	} {
		if out, err := c.Kubectl(t.Context(), args...).CombinedOutput(); err != nil {
			t.Fatalf("kubectl %v: %v\n%s", args, err, out)
		}
	}
	return program, nil
}

func newClient(t *testing.T, c *clustertest.Cluster) client.WithWatch {
	t.Helper()
	cfg, err := cluster.Config(cluster.Options{Kubeconfig: c.Kubeconfig(), QPS: -1})
	if err != nil {
		t.Fatal(err)
	}
	scheme := runtime.NewScheme()
	if err := clientscheme.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	if err := velerov1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	k, err := client.NewWithWatch(cfg, client.Options{Scheme: scheme})
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func (w *world) create(o client.Object) {
	w.t.Helper()
	if err := w.client.Create(w.t.Context(), o); err != nil {
		w.t.Fatal(err)
	}
}

// location is a folder: root/bucket.
func (w *world) location(name, root string) {
	w.t.Helper()
	w.create(&velerov1.BackupStorageLocation{
		ObjectMeta: metav1.ObjectMeta{Namespace: w.ns, Name: name},
		Spec: velerov1.BackupStorageLocationSpec{
			Provider: "file", Config: map[string]string{"fspath": root}, ObjectStorage: &velerov1.ObjectStorageLocation{Bucket: "bucket"},
		},
	})
}

// agent starts a node agent outside of a pod, which sees the node's folders as one in a pod does. It waits until it is ready.
func (w *world) agent(args ...string) *daemon.Process {
	w.t.Helper()
	args = append([]string{
		"node-agent", "server", "--host-pods-path", w.NodeRoot() + "/var/lib/kubelet/pods", "--metrics-address", w.port.Addr(), "--namespace", w.ns, "--log-level", "debug",
	}, args...)
	p, err := daemon.Start(daemon.Command{
		Name: "node-agent", Path: prepared.program, Args: args, Dir: w.t.TempDir(),
		Env: []string{"KUBECONFIG=" + w.Kubeconfig(), "NODE_NAME=" + clustertest.NodeName, "VELERO_SCRATCH_DIR=" + w.t.TempDir()},
	})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() {
		p.Stop(20 * time.Second)
		if w.t.Failed() {
			w.t.Log(p.LogTail(60))
		}
	})
	w.ready(p)
	return p
}

func (w *world) ready(p *daemon.Process) {
	w.t.Helper()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline) && p.Running(); time.Sleep(20 * time.Millisecond) {
		if response, err := http.Get("http://" + w.port.Addr() + "/readyz"); err == nil {
			response.Body.Close()
			if response.StatusCode == http.StatusOK {
				return
			}
		}
	}
	w.t.Fatalf("the agent did not become ready:\n%s", p.LogTail(40))
}

// pod is a pod with volumes at /data/NAME, that is ended at once when it is deleted.
func (w *world) pod(name string, volumes ...corev1.Volume) *corev1.Pod {
	none := int64(0)
	c := corev1.Container{Name: "main", Image: clustertest.BusyboxName, ImagePullPolicy: corev1.PullNever, Command: []string{"/bin/sleep", "1000000"}}
	for _, v := range volumes {
		c.VolumeMounts = append(c.VolumeMounts, corev1.VolumeMount{Name: v.Name, MountPath: "/data/" + v.Name})
	}
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: w.app, Name: name},
		Spec:       corev1.PodSpec{TerminationGracePeriodSeconds: &none, Containers: []corev1.Container{c}, Volumes: volumes},
	}
}

func emptyDir(name string) corev1.Volume {
	return corev1.Volume{Name: name, VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}}
}

func claimed(name, claim string) corev1.Volume {
	return corev1.Volume{Name: name, VolumeSource: corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: claim}}}
}

// start creates a pod and waits until it runs.
func (w *world) start(pod *corev1.Pod) *corev1.Pod {
	w.t.Helper()
	w.create(pod)
	return w.running(pod)
}

func (w *world) running(pod *corev1.Pod) *corev1.Pod {
	w.t.Helper()
	return await(w, pod, func(p *corev1.Pod) bool { return p.Status.Phase == corev1.PodRunning })
}

// in is the folder of a volume of a pod, as the agent sees it.
func (w *world) in(pod *corev1.Pod, plugin, name string) string {
	return filepath.Join(w.NodeRoot(), "var/lib/kubelet/pods", string(pod.UID), "volumes", plugin, name)
}

const (
	onDisk = "kubernetes.io~empty-dir"
	local  = "kubernetes.io~local-volume"
)

// localClaim is a claim that is bound to a folder of this machine, which is a volume of the node.
func (w *world) localClaim(name string) (pv string) {
	w.t.Helper()
	folder := w.t.TempDir()
	pv = w.app + "-" + name
	class, mode := "", corev1.PersistentVolumeFilesystem
	size := corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")}
	w.create(&corev1.PersistentVolume{
		ObjectMeta: metav1.ObjectMeta{Name: pv},
		Spec: corev1.PersistentVolumeSpec{
			Capacity: size, AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce}, VolumeMode: &mode,
			PersistentVolumeSource: corev1.PersistentVolumeSource{Local: &corev1.LocalVolumeSource{Path: folder}},
			ClaimRef:               &corev1.ObjectReference{Namespace: w.app, Name: name},
			NodeAffinity: &corev1.VolumeNodeAffinity{Required: &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{{
				MatchExpressions: []corev1.NodeSelectorRequirement{{Key: "kubernetes.io/hostname", Operator: corev1.NodeSelectorOpIn, Values: []string{clustertest.NodeName}}},
			}}}},
		},
	})
	w.create(&corev1.PersistentVolumeClaim{
		ObjectMeta: metav1.ObjectMeta{Namespace: w.app, Name: name},
		Spec: corev1.PersistentVolumeClaimSpec{
			StorageClassName: &class, VolumeName: pv, AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
			Resources: corev1.VolumeResourceRequirements{Requests: size},
		},
	})
	return pv
}

func ref(pod *corev1.Pod) corev1.ObjectReference {
	return corev1.ObjectReference{APIVersion: "v1", Kind: "Pod", Namespace: pod.Namespace, Name: pod.Name, UID: pod.UID}
}

// await waits by watch until an object is as it should be, and returns it.
func await[O client.Object](w *world, o O, is func(O) bool) O {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), patience)
	defer cancel()
	last, ok := follow(ctx, w, o, is)
	if !ok {
		w.t.Fatalf("waited in vain for %T %s: %+v", o, o.GetName(), last)
	}
	return last
}

func follow[O client.Object](ctx context.Context, w *world, o O, is func(O) bool) (O, bool) {
	w.t.Helper()
	list, err := listOf(w.client.Scheme(), o)
	if err != nil {
		w.t.Fatal(err)
	}
	events, err := w.client.Watch(ctx, list, client.InNamespace(o.GetNamespace()), client.MatchingFieldsSelector{Selector: fields.OneTermEqualSelector("metadata.name", o.GetName())})
	if err != nil {
		w.t.Fatal(err)
	}
	defer events.Stop()
	last := o
	for e := range events.ResultChan() {
		got, ok := e.Object.(O)
		if !ok {
			continue
		}
		last = got
		if e.Type != watch.Deleted && is(got) {
			return got, true
		}
	}
	return last, false
}

func listOf(scheme *runtime.Scheme, o client.Object) (client.ObjectList, error) {
	kinds, _, err := scheme.ObjectKinds(o)
	if err != nil {
		return nil, err
	}
	list, err := scheme.New(kinds[0].GroupVersion().WithKind(kinds[0].Kind + "List"))
	if err != nil {
		return nil, err
	}
	return list.(client.ObjectList), nil
}

// restored waits for the end of a PodVolumeRestore.
func (w *world) restored(r *velerov1.PodVolumeRestore) *velerov1.PodVolumeRestore {
	w.t.Helper()
	return await(w, r, func(r *velerov1.PodVolumeRestore) bool { return r.Status.CompletionTimestamp != nil })
}

// wantCompleted fails the test for any other end, and for a warning.
func (w *world) wantCompleted(phase, message string) {
	w.t.Helper()
	if phase != "Completed" || message != "" {
		w.t.Fatalf("phase %s: %s", phase, message)
	}
}

func labels(restore types.UID) map[string]string {
	return map[string]string{velerov1.LabelRestoreUID: string(restore)}
}

func contains(t *testing.T, text string, wants ...string) {
	t.Helper()
	for _, want := range wants {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in %q", want, text)
		}
	}
}

// gone waits until a path is not there.
func (w *world) gone(path string) {
	w.t.Helper()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if _, err := os.Lstat(path); os.IsNotExist(err) {
			return
		}
	}
	w.t.Fatalf("%s is still there", path)
}

// snapshotOf is the snapshot that a backup of the reference data has of a volume.
func snapshotOf(t *testing.T, fixture, backup, name string) string {
	t.Helper()
	s, err := store.Open(t.Context(), vaulttest.Bucket(t, fixture))
	if err != nil {
		t.Fatal(err)
	}
	all, err := volume.List(t.Context(), s, backup)
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range all {
		if v.Name == name {
			return v.SnapshotID
		}
	}
	t.Fatalf("backup %s has no volume %s", backup, name)
	return ""
}
