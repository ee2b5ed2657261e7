// SPDX-License-Identifier: Apache-2.0

package server

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	clientscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"

	velerov1 "hozon.dev/hozon/api/velero/v1"
	"hozon.dev/hozon/internal/cluster"
	"hozon.dev/hozon/internal/cluster/clustertest"
	"hozon.dev/hozon/test/daemon"
	"hozon.dev/hozon/test/s3server"
)

// patience is how long a test waits for what takes a second or two when the machine has nothing else to do.
const patience = 60 * time.Second

var install sync.Once // of the CRDs, in the cluster that the tests share

// world is a namespace of a cluster with a server for it, an S3 server with a bucket, and a namespace with objects in it.
type world struct {
	t       *testing.T
	cluster *clustertest.Cluster
	client  client.WithWatch
	s3      *s3server.Server
	ns      string // the server's
	app     string // holds the objects
	port    *daemon.Port
	dir     string
	env     []string // of the server, beside the test's own
}

// newWorld makes a world in the shared cluster, with a location "default" in a bucket of its own. No server runs yet.
func newWorld(t *testing.T) *world {
	t.Helper()
	c := clustertest.Shared(t)
	install.Do(func() { installCRDs(t, c) })
	return inCluster(t, c, s3server.Start(t))
}

func installCRDs(t *testing.T, c *clustertest.Cluster) {
	t.Helper()
	for _, args := range [][]string{
		{"apply", "--server-side", "-f", "../../deploy/crd"},
		{"wait", "--for=condition=Established", "crd", "--all", "--timeout=60s"},
	} {
		if out, err := c.Kubectl(t.Context(), args...).CombinedOutput(); err != nil {
			t.Fatalf("kubectl %v: %v\n%s", args, err, out)
		}
	}
}

func inCluster(t *testing.T, c *clustertest.Cluster, s3 *s3server.Server) *world {
	t.Helper()
	w := &world{t: t, cluster: c, client: newClient(t, c), s3: s3, ns: c.Namespace(t), app: c.Namespace(t), dir: t.TempDir()}
	w.port = w.newPort()
	if err := s3.CreateBucket(w.ns); err != nil && !strings.Contains(err.Error(), "exists") {
		t.Fatal(err)
	}
	w.credential("cloud", s3.SecretKey)
	w.create(w.location("default", w.ns, true))
	w.create(&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: w.app, Name: "settings"}, Data: map[string]string{"a": "b"}})
	return w
}

func (w *world) newPort() *daemon.Port {
	w.t.Helper()
	port, err := daemon.ReservePort()
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = port.Close() })
	return port
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

// credential writes the Secret of the location.
func (w *world) credential(name, key string) {
	w.t.Helper()
	text := fmt.Sprintf("[default]\naws_access_key_id = %s\naws_secret_access_key = %s\n", w.s3.AccessKey, key)
	s := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: w.ns, Name: name}, Data: map[string][]byte{"aws": []byte(text)}}
	if err := w.client.Update(w.t.Context(), s); err == nil {
		return
	}
	w.create(s)
}

func (w *world) location(name, bucket string, isDefault bool) *velerov1.BackupStorageLocation {
	second := velerov1.Duration{Duration: time.Second}
	return &velerov1.BackupStorageLocation{
		ObjectMeta: w.meta(name),
		Spec: velerov1.BackupStorageLocationSpec{
			Provider: "aws", Default: isDefault, BackupSyncPeriod: &second, ValidationFrequency: &second,
			ObjectStorage: &velerov1.ObjectStorageLocation{Bucket: bucket},
			Config:        map[string]string{"region": s3server.Region, "s3Url": w.s3.Endpoint, "s3ForcePathStyle": "true"},
			Credential:    &corev1.SecretKeySelector{LocalObjectReference: corev1.LocalObjectReference{Name: "cloud"}, Key: "aws"},
		},
	}
}

func (w *world) meta(name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: w.ns, Name: name}
}

// backup is a Backup of the namespace with the objects.
func (w *world) backup(name string) *velerov1.Backup {
	return &velerov1.Backup{ObjectMeta: w.meta(name), Spec: velerov1.BackupSpec{IncludedNamespaces: []string{w.app}}}
}

func (w *world) create(o client.Object) {
	w.t.Helper()
	if err := w.client.Create(w.t.Context(), o); err != nil {
		w.t.Fatalf("create %T %s: %v", o, o.GetName(), err)
	}
}

func (w *world) get(o client.Object) {
	w.t.Helper()
	if err := w.client.Get(w.t.Context(), client.ObjectKeyFromObject(o), o); err != nil {
		w.t.Fatalf("get %T %s: %v", o, o.GetName(), err)
	}
}

// edit changes an object, whoever else writes it.
func edit[T client.Object](w *world, o T, change func(T)) {
	w.t.Helper()
	for {
		w.get(o)
		change(o)
		err := w.client.Update(w.t.Context(), o)
		if err == nil {
			return
		}
		if !strings.Contains(err.Error(), "the object has been modified") {
			w.t.Fatalf("update %s: %v", o.GetName(), err)
		}
	}
}

// await watches one object until it is as wanted, and returns it.
func await[T client.Object](w *world, o T, list client.ObjectList, wanted func(T) bool) T {
	w.t.Helper()
	return awaitFor(w, patience, o, list, wanted)
}

func awaitFor[T client.Object](w *world, limit time.Duration, o T, list client.ObjectList, wanted func(T) bool) T {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), limit)
	defer cancel()
	last := o
	for ctx.Err() == nil {
		absent := last.DeepCopyObject().(T)
		if err := w.client.Get(ctx, client.ObjectKeyFromObject(o), absent); apierrors.IsNotFound(err) {
			absent.SetResourceVersion("")
			if wanted(absent) {
				return absent
			}
		}
		look, end := context.WithTimeout(ctx, 2*time.Second) // what is deleted before the watch begins has no event
		defer end()
		events, err := w.client.Watch(look, list, client.InNamespace(w.ns), client.MatchingFieldsSelector{Selector: fields.OneTermEqualSelector("metadata.name", o.GetName())})
		if err != nil { // the API server is down
			time.Sleep(50 * time.Millisecond)
			continue
		}
		for e := range events.ResultChan() {
			got, ok := e.Object.(T)
			if !ok {
				break
			}
			last = got
			if e.Type == watch.Deleted {
				got.SetResourceVersion("")
			}
			if wanted(got) {
				events.Stop()
				return got
			}
		}
		events.Stop()
	}
	w.t.Fatalf("waited in vain for %T %s, which is %+v", o, o.GetName(), last)
	return o
}

func (w *world) awaitBackup(name string, phase velerov1.BackupPhase) *velerov1.Backup {
	w.t.Helper()
	b := await(w, w.backup(name), &velerov1.BackupList{}, func(b *velerov1.Backup) bool { return b.Status.Phase == phase || ended(b.Status.Phase) })
	if b.Status.Phase != phase {
		w.t.Fatalf("backup %s is %s, not %s: %s %s", name, b.Status.Phase, phase, b.Status.FailureReason, b.Status.ValidationErrors)
	}
	return b
}

func ended(p velerov1.BackupPhase) bool {
	return p == velerov1.BackupPhaseCompleted || p == velerov1.BackupPhaseFailed || p == velerov1.BackupPhasePartiallyFailed || p == velerov1.BackupPhaseFailedValidation
}

func (w *world) awaitLocation(name string, phase velerov1.BackupStorageLocationPhase) *velerov1.BackupStorageLocation {
	w.t.Helper()
	return await(w, w.location(name, w.ns, false), &velerov1.BackupStorageLocationList{}, func(l *velerov1.BackupStorageLocation) bool { return l.Status.Phase == phase })
}

// deleted is a condition for await: the object is gone.
func deleted[T client.Object](o T) bool { return o.GetResourceVersion() == "" }

// serve starts a server, and returns when it is ready. It is killed when the test ends.
func (w *world) serve(flags ...string) *daemon.Process {
	w.t.Helper()
	p := w.startServer("server", w.port, flags...)
	w.awaitReady(p, w.port)
	return p
}

func (w *world) startServer(name string, port *daemon.Port, flags ...string) *daemon.Process {
	w.t.Helper()
	p, err := daemon.Start(w.command(name, port, flags...))
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() {
		p.Kill()
		if w.t.Failed() {
			w.t.Logf("--- %s\n%s", name, p.LogTail(60))
		}
	})
	return p
}

func (w *world) command(name string, port *daemon.Port, flags ...string) daemon.Command {
	return daemon.Command{
		Name: name, Path: self(w.t), Dir: w.dir, Env: append([]string{programEnv + "=1"}, w.env...),
		Args: append([]string{"server", "--namespace", w.ns, "--kubeconfig", w.cluster.Kubeconfig(), "--metrics-address", port.Addr()}, flags...),
	}
}

func (w *world) awaitReady(p *daemon.Process, port *daemon.Port) {
	w.t.Helper()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if !p.Running() {
			w.t.Fatal(p.Exited())
		}
		res, err := http.Get("http://" + port.Addr() + "/readyz")
		if err != nil {
			continue
		}
		res.Body.Close()
		if res.StatusCode == http.StatusOK {
			return
		}
	}
	w.t.Fatal("the server did not become ready")
}

func self(t *testing.T) string {
	t.Helper()
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// stored lists the files of a folder of the bucket.
func (w *world) stored(dir string) []string {
	w.t.Helper()
	var names []string
	entries, err := os.ReadDir(filepath.Join(w.s3.BucketDir(w.ns), dir))
	if err != nil && !os.IsNotExist(err) {
		w.t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}
