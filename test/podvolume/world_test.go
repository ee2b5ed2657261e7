// SPDX-License-Identifier: Apache-2.0

package podvolume

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	velerov1 "hozon.dev/hozon/api/velero/v1"
	"hozon.dev/hozon/internal/blob/dir"
	"hozon.dev/hozon/internal/cluster/clustertest"
	"hozon.dev/hozon/internal/store"
	"hozon.dev/hozon/test/daemon"
	"hozon.dev/hozon/test/s3server"
)

func TestMain(m *testing.M) { clustertest.Main(m) }

// patience is how long a test waits for what takes a few seconds when the machine has nothing else to do.
const patience = 3 * time.Minute

// image holds the program under the name that Velero gives the helper; fixtureImage is what the pods of the reference data run.
const (
	image        = "hozon.test/hozon:1"
	fixtureImage = "localhost/busybox:1"
)

// prepared is what all tests of this binary share: the program, built once, and what the node was given.
var prepared struct {
	once    sync.Once
	program string
	err     error
}

// world is a cluster with a node, a namespace for the server and its agent, another for pods, and a folder that is a location.
type world struct {
	*clustertest.Cluster
	t      *testing.T
	ns     string           // the server's
	app    string           // the pods'
	root   string           // of the location
	s3     *s3server.Server // nil: the location is a folder
	server *daemon.Port
	agent  *daemon.Port
}

// newWorld makes a world whose location is a copy of a bucket of the reference data, or empty.
func newWorld(t *testing.T, fixture string) *world {
	t.Helper()
	c := clustertest.SharedNode(t)
	prepared.once.Do(func() { prepared.program, prepared.err = prepare(t, c) })
	if prepared.err != nil {
		t.Fatal(prepared.err)
	}
	w := &world{Cluster: c, t: t, ns: c.Namespace(t), app: c.Namespace(t), root: t.TempDir(), server: port(t), agent: port(t)}
	bucket := filepath.Join(w.root, "bucket")
	if err := os.Mkdir(bucket, 0o700); err != nil {
		t.Fatal(err)
	}
	if fixture != "" {
		if err := os.CopyFS(bucket, os.DirFS(filepath.Join("../../../shared/fixtures", fixture, "bucket"))); err != nil {
			t.Fatalf("the reference data must lie in ../shared/fixtures beside the repository: %v", err)
		}
	}
	w.location()
	return w
}

// location makes the world's folder known to its server.
func (w *world) location() {
	w.t.Helper()
	second := velerov1.Duration{Duration: time.Second}
	w.apply(&velerov1.BackupStorageLocation{
		TypeMeta:   metav1.TypeMeta{APIVersion: velerov1.APIVersion, Kind: "BackupStorageLocation"},
		ObjectMeta: metav1.ObjectMeta{Namespace: w.ns, Name: "default"},
		Spec: velerov1.BackupStorageLocationSpec{
			Provider: "file", Default: true, BackupSyncPeriod: &second, ValidationFrequency: &second,
			ObjectStorage: &velerov1.ObjectStorageLocation{Bucket: "bucket"}, Config: map[string]string{"fspath": w.root},
		},
	})
}

func port(t *testing.T) *daemon.Port {
	t.Helper()
	p, err := daemon.ReservePort()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	return p
}

// prepare builds the program, and furnishes the cluster of all tests.
func prepare(t *testing.T, c *clustertest.Cluster) (string, error) {
	folder, err := os.MkdirTemp(c.Dir, "program-") // goes with the cluster
	if err != nil {
		return "", err
	}
	program := filepath.Join(folder, "hozon")
	build := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-o", program, "hozon.dev/hozon/cmd/hozon")
	build.Env = append(os.Environ(), "CGO_ENABLED=0") // nothing but the program is in the image
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build: %w\n%s", err, out)
	}
	return program, furnish(t, c, program)
}

// furnish gives images to a node, and defines the kinds in its cluster.
func furnish(t *testing.T, c *clustertest.Cluster, program string) error {
	busybox, err := c.BusyboxImage(t.Context())
	if err != nil {
		return err
	}
	old := busybox
	old.Name, old.Entrypoint = fixtureImage, []string{"/bin/sh"}
	own := clustertest.Image{Name: image, Files: []clustertest.File{{Path: "hozon", From: program}, {Path: "velero-restore-helper", LinkTo: "hozon"}}}
	for _, i := range []clustertest.Image{busybox, old, own} {
		if err := c.LoadImage(t.Context(), i); err != nil {
			return err
		}
	}
	for _, args := range [][]string{
		{"apply", "--server-side", "-f", "../../deploy/crd"}, {"wait", "--for=condition=Established", "crd", "--all", "--timeout=60s"},
	} {
		if out, err := c.Kubectl(t.Context(), args...).CombinedOutput(); err != nil {
			return fmt.Errorf("kubectl %q: %w\n%s", args, err, out)
		}
	}
	return nil
}

func (w *world) kubectl(stdin string, args ...string) string {
	w.t.Helper()
	cmd := w.Kubectl(w.t.Context(), args...)
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	if err != nil {
		w.t.Fatalf("kubectl %q: %v\n%s", args, err, out)
	}
	return string(out)
}

func (w *world) apply(o any) {
	w.t.Helper()
	body, err := json.Marshal(o)
	if err != nil {
		w.t.Fatal(err)
	}
	w.kubectl(string(body), "create", "-f", "-")
}

// yaml creates objects; APP, SERVER and NODE stand for names.
func (w *world) yaml(text string) {
	w.t.Helper()
	w.kubectl(strings.NewReplacer("APP", w.app, "SERVER", w.ns, "NODE", clustertest.NodeName, "IMAGE", clustertest.BusyboxName, "HOZON", image).Replace(text), "create", "-f", "-")
}

// hozon runs the command, which must end with a code, and returns what it said.
func (w *world) hozon(code int, args ...string) string {
	w.t.Helper()
	cmd := exec.Command(prepared.program, append(args, "--namespace", w.ns)...)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+w.Kubeconfig())
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); cmd.ProcessState == nil || cmd.ProcessState.ExitCode() != code {
		w.t.Fatalf("hozon %q: %v, want exit code %d\n%s", args, err, code, &out)
	}
	return out.String()
}

// start starts a program of ours, and returns when it is ready.
func (w *world) start(name string, p *daemon.Port, env []string, args ...string) *daemon.Process {
	w.t.Helper()
	args = append(args, "--namespace", w.ns, "--metrics-address", p.Addr())
	process, err := daemon.Start(daemon.Command{
		Name: name, Path: prepared.program, Dir: w.t.TempDir(), Args: args, Env: append(env, "KUBECONFIG="+w.Kubeconfig(), "KUBERNETES_SERVICE_HOST=127.0.0.1"),
	})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() {
		process.Kill()
		if w.t.Failed() {
			w.t.Log(name + "\n" + process.LogTail(40))
		}
	})
	for deadline := time.Now().Add(patience); time.Now().Before(deadline) && process.Running(); time.Sleep(20 * time.Millisecond) {
		if response, err := http.Get("http://" + p.Addr() + "/readyz"); err == nil {
			response.Body.Close()
			if response.StatusCode == http.StatusOK {
				return process
			}
		}
	}
	w.t.Fatalf("%s did not become ready:\n%s", name, process.LogTail(60))
	return nil
}

// serve starts a server. It believes that it runs in a pod, where one that comes back after a crash leads at once.
func (w *world) serve(flags ...string) *daemon.Process {
	w.t.Helper()
	return w.start("server", w.server, nil, append([]string{"server"}, flags...)...)
}

// node starts the agent of the node, outside of a pod, with the folders that one in a pod sees.
func (w *world) node() *daemon.Process {
	w.t.Helper()
	return w.start("node-agent", w.agent, []string{"NODE_NAME=" + clustertest.NodeName, "VELERO_SCRATCH_DIR=" + w.t.TempDir()},
		"node-agent", "server", "--host-pods-path", w.NodeRoot()+"/var/lib/kubelet/pods")
}

// announce makes the pod by which servers know that the node has an agent.
func (w *world) announce() {
	w.t.Helper()
	w.yaml(`
apiVersion: v1
kind: Pod
metadata: {name: node-agent, namespace: SERVER, labels: {name: node-agent, role: node-agent}}
spec:
  nodeName: NODE
  terminationGracePeriodSeconds: 0
  containers: [{name: agent, image: "HOZON", imagePullPolicy: Never, command: [/velero-restore-helper, none], volumeMounts: [{name: hold, mountPath: /restores/hold}]}]
  volumes: [{name: hold, emptyDir: {}}]
`)
	w.kubectl("", "-n", w.ns, "wait", "--timeout=120s", "--for=condition=Ready", "pod/node-agent")
}

// all starts all that there is.
func (w *world) all(flags ...string) {
	w.t.Helper()
	w.announce()
	w.serve(flags...)
	w.node()
}

// uid is that of a pod.
func (w *world) uid(namespace, pod string) string {
	w.t.Helper()
	return w.kubectl("", "-n", namespace, "get", "pod", pod, "-o", "jsonpath={.metadata.uid}")
}

// in is the folder of a volume of a pod, as root of this machine sees it. The kubelet's folder for its kind is found by its name.
func (w *world) in(namespace, pod, name string) string {
	w.t.Helper()
	found, err := filepath.Glob(filepath.Join(w.NodeRoot(), "var/lib/kubelet/pods", w.uid(namespace, pod), "volumes", "*", name))
	if err != nil || len(found) != 1 {
		w.t.Fatalf("volume %s of pod %s/%s: %v, %v", name, namespace, pod, found, err)
	}
	return found[0]
}

// ended waits for the end of an object of the server's and returns it.
func (w *world) ended(kind, name string, o any) {
	w.t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(200 * time.Millisecond) {
		text := w.kubectl("", "-n", w.ns, "get", kind, name, "-o", "json")
		var got struct {
			Status struct {
				CompletionTimestamp *metav1.Time
			}
		}
		if err := json.Unmarshal([]byte(text), &got); err != nil {
			w.t.Fatal(err)
		}
		if got.Status.CompletionTimestamp != nil {
			if err := json.Unmarshal([]byte(text), o); err != nil {
				w.t.Fatal(err)
			}
			return
		}
		if time.Now().After(deadline) {
			w.t.Fatalf("%s %s does not end:\n%s", kind, name, text)
		}
	}
}

// open opens the location.
func (w *world) open() *store.Store {
	w.t.Helper()
	bucket, err := dir.Open(filepath.Join(w.root, "bucket"), false)
	if err != nil {
		w.t.Fatal(err)
	}
	st, err := store.Open(w.t.Context(), bucket)
	if err != nil {
		w.t.Fatal(err)
	}
	return st
}

// class makes a storage class of the node's folders, and so many free volumes of it. Claims of it are bound when somebody wants to use them.
func (w *world) class(name string, volumes int) {
	w.t.Helper()
	w.free()
	w.kubectl(fmt.Sprintf("{apiVersion: storage.k8s.io/v1, kind: StorageClass, metadata: {name: %s}, provisioner: kubernetes.io/no-provisioner, volumeBindingMode: WaitForFirstConsumer}", name), "apply", "-f", "-")
	for i := range volumes {
		w.volume(name, i)
	}
}

// free removes what earlier tests left waiting: a claim of theirs would be given a volume of this one, and this one a volume whose folder is gone.
func (w *world) free() {
	w.t.Helper()
	in := func(phase, field, kind string) []string {
		return strings.Fields(w.kubectl("", "get", kind, "-A", "-o", `jsonpath={range .items[?(@.status.phase=="`+phase+`")]}{`+field+`}{"\n"}{end}`))
	}
	for _, namespace := range in("Pending", ".metadata.namespace", "persistentvolumeclaims") {
		w.kubectl("", "delete", "namespace", namespace, "--ignore-not-found", "--timeout=120s")
	}
	for _, volume := range in("Available", ".metadata.name", "persistentvolumes") {
		w.kubectl("", "delete", "persistentvolume", volume, "--ignore-not-found", "--timeout=120s")
	}
}

func (w *world) volume(class string, i int) {
	w.t.Helper()
	w.kubectl(fmt.Sprintf(`
apiVersion: v1
kind: PersistentVolume
metadata: {name: %s-%s-%d}
spec:
  capacity: {storage: 1Gi}
  accessModes: [ReadWriteOnce]
  storageClassName: %s
  local: {path: %s}
  nodeAffinity: {required: {nodeSelectorTerms: [{matchExpressions: [{key: kubernetes.io/hostname, operator: In, values: [%s]}]}]}}
`, w.app, class, i, class, w.t.TempDir(), clustertest.NodeName), "create", "-f", "-")
}

func contains(t *testing.T, text string, wants ...string) {
	t.Helper()
	for _, want := range wants {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in:\n%s", want, text)
		}
	}
}
