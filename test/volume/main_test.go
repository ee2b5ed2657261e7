// SPDX-License-Identifier: Apache-2.0

package volume

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"hozon.dev/hozon/internal/cluster/clustertest"
)

func TestMain(m *testing.M) {
	clustertest.Main(m)
	if built.dir != "" {
		os.RemoveAll(built.dir)
	}
}

const (
	helperImage = "hozon.test/hozon:1" // nothing but hozon
	appImage    = "hozon.test/app:1"   // nothing but a program of its own, no shell
)

var built struct {
	once sync.Once
	dir  string
	err  error
}

// world is a cluster with a node and the images, and hozon.
type world struct {
	*clustertest.Cluster
	hozon string
}

// newWorld returns the shared cluster, with the images in it.
func newWorld(t testing.TB) world {
	t.Helper()
	c := clustertest.SharedNode(t)
	built.once.Do(func() { built.err = build(c) })
	if built.err != nil {
		t.Fatal(built.err)
	}
	return world{c, filepath.Join(built.dir, "hozon")}
}

// app is a program that waits, for an image with nothing else.
const app = `package main

import (
	"os"
	"os/signal"
	"syscall"
)

func main() {
	c := make(chan os.Signal, 1)
	signal.Notify(c, syscall.SIGTERM)
	<-c
}
`

func build(c *clustertest.Cluster) (err error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	if built.dir, err = os.MkdirTemp("", "hozon-volume-"); err != nil {
		return err
	}
	source := filepath.Join(built.dir, "app.go")
	if err := os.WriteFile(source, []byte(app), 0o600); err != nil {
		return err
	}
	for name, from := range map[string]string{"hozon": "hozon.dev/hozon/cmd/hozon", "app": source} {
		cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags=-s -w", "-o", filepath.Join(built.dir, name), from)
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("build %s: %w\n%s", name, err, out)
		}
	}
	busybox, err := c.BusyboxImage(ctx)
	if err != nil {
		return err
	}
	for _, image := range []clustertest.Image{
		{Name: helperImage, Files: []clustertest.File{{Path: "hozon", From: filepath.Join(built.dir, "hozon")}}, Entrypoint: []string{"/hozon"}},
		{Name: appImage, Files: []clustertest.File{{Path: "app", From: filepath.Join(built.dir, "app")}}, Entrypoint: []string{"/app"}},
		busybox,
	} {
		if err := c.LoadImage(ctx, image); err != nil {
			return err
		}
	}
	return nil
}

// run runs hozon and returns its exit code and streams.
func (w world) run(t testing.TB, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), w.hozon, args...)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+w.Kubeconfig(), "HOZON_HELPER_IMAGE="+helperImage)
	var out, talk bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &talk
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), out.String(), talk.String()
}

// must runs hozon, which must end well, and returns what it printed.
func (w world) must(t testing.TB, args ...string) string {
	t.Helper()
	code, out, talk := w.run(t, args...)
	if code != 0 {
		t.Fatalf("hozon %q: code %d\n%s%s", args, code, out, talk)
	}
	return out
}

func (w world) kubectl(t testing.TB, stdin string, args ...string) string {
	t.Helper()
	cmd := w.Kubectl(t.Context(), args...)
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("kubectl %q: %v\n%s", args, err, out)
	}
	return string(out)
}

// podSpec is a pod that mounts a folder of this machine at /data, and is ended at once when it is deleted.
func podSpec(ns, name, image, data string) *corev1.Pod {
	none := int64(0)
	p := &corev1.Pod{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"},
		ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: name},
		Spec: corev1.PodSpec{
			TerminationGracePeriodSeconds: &none,
			Containers: []corev1.Container{{
				Name: "main", Image: image, ImagePullPolicy: corev1.PullNever,
				VolumeMounts: []corev1.VolumeMount{{Name: "data", MountPath: "/data"}},
			}},
			Volumes: []corev1.Volume{{Name: "data", VolumeSource: corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: data}}}},
		},
	}
	if image == clustertest.BusyboxName {
		p.Spec.Containers[0].Command = []string{"/bin/sleep", "1000000"}
	}
	return p
}

func (w world) start(t testing.TB, p *corev1.Pod) {
	t.Helper()
	body, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	w.kubectl(t, string(body), "apply", "-f", "-")
	w.kubectl(t, "", "-n", p.Namespace, "wait", "--timeout=120s", "--for=condition=Ready", "pod/"+p.Name)
}

func podUser(uid int64) *corev1.PodSecurityContext {
	return &corev1.PodSecurityContext{RunAsUser: &uid, RunAsGroup: &uid}
}

func claimSource(name string) *corev1.PersistentVolumeClaimVolumeSource {
	return &corev1.PersistentVolumeClaimVolumeSource{ClaimName: name}
}
