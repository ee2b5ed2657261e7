// SPDX-License-Identifier: Apache-2.0

package clustertest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// startPod runs a script in a pod of busybox, with a folder of this machine at
// /data, and waits until it does.
func startPod(t *testing.T, c *Cluster, ns, script, data string) {
	t.Helper()
	image, err := c.BusyboxImage(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := c.LoadImage(t.Context(), image); err != nil {
		t.Fatal(err)
	}
	pod := corev1.Pod{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"},
		ObjectMeta: metav1.ObjectMeta{Name: "web"},
		Spec: corev1.PodSpec{
			Containers: []corev1.Container{{
				Name: "main", Image: image.Name, ImagePullPolicy: corev1.PullNever, Command: []string{"/bin/sh", "-c", script},
				VolumeMounts: []corev1.VolumeMount{{Name: "data", MountPath: "/data"}},
			}},
			Volumes: []corev1.Volume{{Name: "data", VolumeSource: corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: data}}}},
		},
	}
	body, err := json.Marshal(pod)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.call(t.Context(), http.MethodPost, "/api/v1/namespaces/"+ns+"/pods", string(body)); err != nil {
		t.Fatal(err)
	}
	kubectl(t, c, "-n", ns, "wait", "--timeout=60s", "--for=condition=Ready", "pod/web")
}

// Starts a cluster with a node.
func TestNode(t *testing.T) {
	c := SharedNode(t)
	ns := c.Namespace(t)
	if out := kubectl(t, c, "get", "nodes"); !strings.Contains(out, NodeName) || !strings.Contains(out, " Ready ") {
		t.Errorf("nodes: %s", out)
	}

	dir := t.TempDir()
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "from outside") }))
	defer web.Close()
	inside, err := c.Reach(t.Context(), web.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	startPod(t, c, ns, "echo hello from $HOSTNAME; sleep 1000000", dir)
	if out := kubectl(t, c, "-n", ns, "logs", "web"); out != "hello from web\n" {
		t.Errorf("logs: %q", out)
	}
	exec := func(script string) string {
		return kubectl(t, c, "-n", ns, "exec", "web", "--", "/bin/sh", "-c", script)
	}
	if out := exec("echo in >/data/file; cat /data/file; wget -qO- http://" + inside); out != "in\nfrom outside" {
		t.Errorf("exec: %q", out)
	}
	if got, err := os.ReadFile(filepath.Join(dir, "file")); string(got) != "in\n" {
		t.Errorf("the pod's volume here: %q, %v", got, err)
	}
	// A pod's own way to the API server, and one to a Service that is not there.
	// (Busybox does not speak this TLS; that the API server says so is enough.)
	const server = "http://$KUBERNETES_SERVICE_HOST:$KUBERNETES_SERVICE_PORT"
	if out := exec("test -s /var/run/secrets/kubernetes.io/serviceaccount/token && wget -SqO- " + server + " 2>&1 || true"); !strings.Contains(out, "400 Bad Request") {
		t.Errorf("the API server from a pod: %s", out)
	}
	began := time.Now()
	if out := exec("wget -qO- http://10.96.5.5 2>&1 || true"); !strings.Contains(out, "can't connect") || time.Since(began) > 10*time.Second {
		t.Errorf("a Service that is not there, after %s: %s", time.Since(began), out)
	}
}

// traces returns what a node could leave on this machine, as far as it names itself.
func traces(t *testing.T) map[string]bool {
	t.Helper()
	found := map[string]bool{}
	for _, dir := range cgroupDirs(cgroupPrefix + "*") {
		found[dir] = true
	}
	for _, path := range []string{"/proc/self/mountinfo", "/proc/net/dev", "/proc/net/fib_trie", "/proc/sys/vm/overcommit_memory", "/proc/sys/kernel/panic"} {
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(content)) {
			line, _, _ = strings.Cut(strings.TrimSpace(line), ": ") // without the counters
			found[path+" "+line] = true
		}
	}
	for _, path := range []string{"/var/lib/kubelet", "/var/lib/containerd", "/var/lib/cni", "/run/containerd", "/run/netns", "/opt/containerd", "/opt/nri", "/etc/cni"} {
		if _, err := os.Stat(path); err == nil {
			found[path] = true
		}
	}
	return found
}

// processesOf returns the processes with a word in their command line.
func processesOf(t *testing.T, word string) []string {
	t.Helper()
	var found []string
	all, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, path := range all {
		line, err := os.ReadFile(path)
		if err == nil && strings.Contains(string(line), word) {
			found = append(found, path+" "+string(line))
		}
	}
	return found
}

// Starts a cluster with a node.
func TestNodeLeavesNothing(t *testing.T) {
	skipShort(t)
	skipNode(t, Options{Node: true})
	before := traces(t)
	dir := filepath.Join(t.TempDir(), "cluster")
	c, err := Launch(t.Context(), dir, Options{Node: true, UnsafeNoFsync: true})
	if err != nil {
		t.Fatal(err)
	}
	startPod(t, c, "default", "sleep 1000000", t.TempDir())
	cgroup := c.node.cgroup
	if len(cgroupDirs(cgroup)) == 0 || len(processesOf(t, "containerd-shim-runc-v2")) == 0 || len(processesOf(t, dir)) == 0 {
		t.Error("the pod runs without shim or cgroup: this test looks in the wrong place")
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	nothingLeft(t, before, dir, cgroup)
}

// Starts a cluster with a node.
func TestKilledParentLeavesNoNode(t *testing.T) {
	skipShort(t)
	skipNode(t, Options{Node: true})
	before := traces(t)
	temp := t.TempDir()
	dir := filepath.Join(temp, tempPrefix+"x")
	parent, pids := startParent(t, dir, nodeEnv+"=1")
	cgroup := fmt.Sprintf("%s%d-*", cgroupPrefix, parent.Process.Pid)
	if len(cgroupDirs(cgroup)) == 0 {
		t.Error("there is no cgroup: this test looks in the wrong place")
	}
	if err := parent.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = parent.Wait()
	awaitGone(t, pids)
	// As the next one's start does.
	sweepCgroups()
	sweep(temp, time.Now().Add(time.Hour))
	nothingLeft(t, before, dir, cgroup)
}

func nothingLeft(t *testing.T, before map[string]bool, dir, cgroup string) {
	t.Helper()
	if left := processesOf(t, dir); len(left) > 0 {
		t.Errorf("processes: %q", left)
	}
	if left := cgroupDirs(cgroup); len(left) > 0 {
		t.Errorf("cgroups: %q", left)
	}
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("folder: %v", err)
	}
	for trace := range traces(t) {
		if !before[trace] && !strings.Contains(trace, "/"+cgroupPrefix) { // of another test's
			t.Errorf("left behind: %s", trace)
		}
	}
}
