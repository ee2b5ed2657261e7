// SPDX-License-Identifier: Apache-2.0

package hook

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"hozon.dev/hozon/internal/blob/dir"
	"hozon.dev/hozon/internal/cli"
	"hozon.dev/hozon/internal/cli/env"
	"hozon.dev/hozon/internal/cluster/clustertest"
	"hozon.dev/hozon/internal/object"
	"hozon.dev/hozon/internal/report"
	"hozon.dev/hozon/internal/store"
)

// programEnv makes this test binary the program itself.
const programEnv = "HOZON_TEST_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(programEnv) != "" {
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
		code := cli.Run(ctx, env.New("hozon", "v0.0.0-test"), os.Args[1:])
		stop()
		os.Exit(code)
	}
	clustertest.Main(m)
}

// patience is how long a test waits for what takes a second or two when the machine has nothing else to do.
const patience = 90 * time.Second

var image sync.Once

// world is a namespace of a cluster with a node, a folder that its pods see at /data, and a store.
type world struct {
	*clustertest.Cluster
	t     *testing.T
	ns    string
	data  string
	store string
}

func newWorld(t *testing.T) *world {
	t.Helper()
	c := clustertest.SharedNode(t)
	image.Do(func() {
		busybox, err := c.BusyboxImage(t.Context())
		if err == nil {
			err = c.LoadImage(t.Context(), busybox)
		}
		if err != nil {
			t.Fatal(err)
		}
	})
	return &world{Cluster: c, t: t, ns: c.Namespace(t), data: t.TempDir(), store: t.TempDir()}
}

// pod is a pod that sleeps, and is ended at once when it is deleted.
func (w *world) pod(name string, annotations map[string]string) *corev1.Pod {
	none := int64(0)
	return &corev1.Pod{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"},
		ObjectMeta: metav1.ObjectMeta{Namespace: w.ns, Name: name, Annotations: annotations, Labels: map[string]string{"app": name}},
		Spec: corev1.PodSpec{
			TerminationGracePeriodSeconds: &none,
			Containers:                    []corev1.Container{w.container("main"), w.container("side")},
			Volumes:                       []corev1.Volume{{Name: "data", VolumeSource: corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: w.data}}}},
		},
	}
}

func (w *world) container(name string) corev1.Container {
	return corev1.Container{
		Name: name, Image: clustertest.BusyboxName, ImagePullPolicy: corev1.PullNever, Command: []string{"/bin/sleep", "1000000"},
		Env:          []corev1.EnvVar{{Name: "CONTAINER", Value: name}},
		VolumeMounts: []corev1.VolumeMount{{Name: "data", MountPath: "/data"}},
	}
}

// start creates pods and waits until they run.
func (w *world) start(pods ...*corev1.Pod) {
	w.t.Helper()
	args := []string{"-n", w.ns, "wait", "--timeout=120s", "--for=condition=Ready"}
	for _, p := range pods {
		w.apply(p)
		args = append(args, "pod/"+p.Name)
	}
	w.kubectl("", args...)
}

func (w *world) apply(o any) {
	w.t.Helper()
	body, err := json.Marshal(o)
	if err != nil {
		w.t.Fatal(err)
	}
	w.kubectl(string(body), "create", "-f", "-")
}

func (w *world) configMap(name string) {
	w.t.Helper()
	w.kubectl("", "-n", w.ns, "create", "configmap", name)
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

// command is hozon, on the store.
func (w *world) command(args ...string) *exec.Cmd {
	w.t.Helper()
	self, err := os.Executable()
	if err != nil {
		w.t.Fatal(err)
	}
	cmd := exec.Command(self, append(args, "--store", w.store)...)
	cmd.Env = append(os.Environ(), programEnv+"=1", "KUBECONFIG="+w.Kubeconfig())
	return cmd
}

// run runs hozon, which must end with a code, and returns what it said.
func (w *world) run(code int, args ...string) string {
	w.t.Helper()
	var out bytes.Buffer
	cmd := w.command(args...)
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		w.t.Fatal(err)
	}
	if got := cmd.ProcessState.ExitCode(); got != code {
		w.t.Fatalf("hozon %q: code %d, want %d\n%s", args, got, code, &out)
	}
	return out.String()
}

// backup backs the namespace up.
func (w *world) backup(code int, name string, more ...string) string {
	w.t.Helper()
	return w.run(code, append([]string{"backup", "create", name, "--include-namespaces", w.ns, "--snapshot-volumes=false"}, more...)...)
}

// await waits until a file of the folder holds a text.
func (w *world) await(name, text string) {
	w.t.Helper()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if strings.Contains(w.read(name), text) {
			return
		}
	}
	w.t.Fatalf("waited in vain for %q in %s, which holds %q", text, name, w.read(name))
}

// read is the content of a file of the folder; "" if there is none.
func (w *world) read(name string) string {
	w.t.Helper()
	b, err := os.ReadFile(filepath.Join(w.data, name))
	if err != nil && !os.IsNotExist(err) {
		w.t.Fatal(err)
	}
	return string(b)
}

// touch makes a file of the folder, for which a hook waits.
func (w *world) touch(name string) {
	w.t.Helper()
	if err := os.WriteFile(filepath.Join(w.data, name), nil, 0o600); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) open() *store.Store {
	w.t.Helper()
	b, err := dir.Open(w.store, false)
	if err != nil {
		w.t.Fatal(err)
	}
	s, err := store.Open(w.t.Context(), b)
	if err != nil {
		w.t.Fatal(err)
	}
	return s
}

// hooks are what is stored about the hooks of a backup or restore.
func (w *world) hooks(sort store.Sort, name string) []report.Hook {
	w.t.Helper()
	var hooks []report.Hook
	if err := w.open().ReadJSON(w.t.Context(), sort, name, store.Hooks, &hooks); err != nil {
		w.t.Fatal(err)
	}
	return hooks
}

// has says that a backup has an object of the namespace.
func (w *world) has(backup, kind, name string) bool {
	w.t.Helper()
	var list map[string][]string
	if err := w.open().ReadJSON(w.t.Context(), store.Backup, backup, store.ResourceList, &list); err != nil {
		w.t.Fatal(err)
	}
	for _, id := range list["v1/"+kind] {
		if id == (object.Ref{Namespace: w.ns, Name: name}).ID() {
			return true
		}
	}
	return false
}

// owed are the files that say which post hooks are to be run yet.
func (w *world) owed() []string {
	w.t.Helper()
	names, err := w.open().Debtors(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	return names
}

// shell is an annotation's command that runs a script.
func shell(script string) string {
	b, _ := json.Marshal([]string{"/bin/sh", "-c", script}) // texts always marshal
	return string(b)
}
