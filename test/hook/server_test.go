// SPDX-License-Identifier: Apache-2.0

package hook

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	velerov1 "hozon.dev/hozon/api/velero/v1"
	"hozon.dev/hozon/internal/store"
	"hozon.dev/hozon/test/daemon"
)

var definitions sync.Once

// site is a server for a world: its namespace is the world's too, and its location the world's store.
type site struct {
	*world
	port *daemon.Port
}

// newSite makes what a server needs. None runs yet.
func newSite(t *testing.T) *site {
	t.Helper()
	w := newWorld(t)
	definitions.Do(func() {
		w.kubectl("", "apply", "--server-side", "-f", "../../deploy/crd")
		w.kubectl("", "wait", "--for=condition=Established", "crd", "--all", "--timeout=60s")
	})
	port, err := daemon.ReservePort()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = port.Close() })
	root := t.TempDir()
	w.store = filepath.Join(root, "bucket")
	if err := os.Mkdir(w.store, 0o700); err != nil {
		t.Fatal(err)
	}
	second := velerov1.Duration{Duration: time.Second}
	w.apply(&velerov1.BackupStorageLocation{
		TypeMeta:   metav1.TypeMeta{APIVersion: velerov1.APIVersion, Kind: "BackupStorageLocation"},
		ObjectMeta: metav1.ObjectMeta{Namespace: w.ns, Name: "default"},
		Spec: velerov1.BackupStorageLocationSpec{
			Provider: "file", Default: true, BackupSyncPeriod: &second, ValidationFrequency: &second,
			ObjectStorage: &velerov1.ObjectStorageLocation{Bucket: "bucket"}, Config: map[string]string{"fspath": root},
		},
	})
	return &site{w, port}
}

// serve starts a server, and returns when it is ready. It believes that it runs in a pod, where one that comes back after a crash leads at once.
func (s *site) serve(flags ...string) *daemon.Process {
	s.t.Helper()
	self, err := os.Executable()
	if err != nil {
		s.t.Fatal(err)
	}
	p, err := daemon.Start(daemon.Command{
		Name: "server", Path: self, Dir: s.t.TempDir(), Env: []string{programEnv + "=1", "KUBERNETES_SERVICE_HOST=127.0.0.1"},
		Args: append([]string{"server", "--namespace", s.ns, "--kubeconfig", s.Kubeconfig(), "--metrics-address", s.port.Addr()}, flags...),
	})
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() {
		p.Kill()
		if s.t.Failed() {
			s.t.Log(p.LogTail(60))
		}
	})
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if !p.Running() {
			s.t.Fatal(p.Exited())
		}
		res, err := http.Get("http://" + s.port.Addr() + "/readyz")
		if err != nil {
			continue
		}
		res.Body.Close()
		if res.StatusCode == http.StatusOK {
			return p
		}
	}
	s.t.Fatal("the server did not become ready")
	return nil
}

// wanted is a Backup of the world's namespace.
func (s *site) wanted(name string) *velerov1.Backup {
	no := false
	return &velerov1.Backup{
		TypeMeta:   metav1.TypeMeta{APIVersion: velerov1.APIVersion, Kind: "Backup"},
		ObjectMeta: metav1.ObjectMeta{Namespace: s.ns, Name: name},
		Spec:       velerov1.BackupSpec{IncludedNamespaces: []string{s.ns}, SnapshotVolumes: &no, ExcludedResources: []string{"events"}},
	}
}

// ended waits for the end of a Backup or Restore and returns it.
func (s *site) ended(kind, name string, o any) {
	s.t.Helper()
	for deadline := time.Now().Add(2 * patience); ; time.Sleep(200 * time.Millisecond) {
		text := s.kubectl("", "-n", s.ns, "get", kind, name, "-o", "json")
		var got struct {
			Status struct {
				Phase               string
				CompletionTimestamp *metav1.Time
			}
		}
		if err := json.Unmarshal([]byte(text), &got); err != nil {
			s.t.Fatal(err)
		}
		if got.Status.CompletionTimestamp != nil {
			if err := json.Unmarshal([]byte(text), o); err != nil {
				s.t.Fatal(err)
			}
			return
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("%s %s does not end:\n%s", kind, name, text)
		}
	}
}

// set is a set of hooks of a spec, for the pods with a label.
func set(name, app string, pre, post []velerov1.ExecHook) velerov1.BackupResourceHookSpec {
	s := velerov1.BackupResourceHookSpec{
		Name: name, IncludedResources: []string{"po"}, LabelSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": app}},
	}
	for _, h := range pre {
		s.PreHooks = append(s.PreHooks, velerov1.BackupResourceHook{Exec: &h})
	}
	for _, h := range post {
		s.PostHooks = append(s.PostHooks, velerov1.BackupResourceHook{Exec: &h})
	}
	return s
}

func script(text string) velerov1.ExecHook {
	return velerov1.ExecHook{Command: []string{"/bin/sh", "-c", text}, Timeout: velerov1.Duration{Duration: time.Minute}}
}

// TestServerKilledBetweenHooks: the server dies between pre and post, by kill -9. The next one runs the post hook at once, and then the backup again. The hooks
// are those of a spec, which the bucket does not hold.
func TestServerKilledBetweenHooks(t *testing.T) {
	s := newSite(t)
	s.start(s.pod("db", nil), s.pod("other", nil))
	p := s.serve()
	b := s.wanted("b")
	side := script("echo pre $CONTAINER >> /data/log; [ -e /data/go ] || exec sleep 1000")
	side.Container = "side"
	b.Spec.Hooks.Resources = []velerov1.BackupResourceHookSpec{
		set("freeze", "db", []velerov1.ExecHook{script("echo first >> /data/log"), side}, []velerov1.ExecHook{script("echo post >> /data/log")}),
	}
	s.apply(b)
	s.await("log", "pre side")
	p.Kill()
	s.touch("go")
	record, err := os.ReadFile(filepath.Join(s.store, "metadata/hozon/hooks/b.json"))
	if err != nil || strings.Contains(string(record), "echo") {
		t.Errorf("what is owed is recorded as %s, %v", record, err)
	}
	s.serve()
	s.ended("backup", "b", b)
	if got, want := s.read("log"), "first\npre side\npost\nfirst\npre side\npost\n"; got != want {
		t.Errorf("the hooks left %q, want %q", got, want)
	}
	if b.Status.Phase != velerov1.BackupPhaseCompleted || b.Status.HookStatus == nil || b.Status.HookStatus.HooksAttempted != 3 || b.Status.HookStatus.HooksFailed != 0 {
		t.Errorf("status %+v", b.Status)
	}
	var late, own []string
	for _, h := range s.hooks(store.Backup, "b") {
		if h.Late {
			late = append(late, string(h.Stage)+" "+h.From)
		} else {
			own = append(own, string(h.Stage)+" "+h.Container)
		}
	}
	if fmt.Sprint(late) != "[post freeze]" || fmt.Sprint(own) != "[pre main pre side post main]" {
		t.Errorf("late %q, own %q", late, own)
	}
	if owed := s.owed(); len(owed) > 0 {
		t.Errorf("%q is owed", owed)
	}
}

// TestServerCancelBetweenHooks: a backup that is cancelled, and one that is deleted while no server runs, leave nothing frozen.
func TestServerCancelBetweenHooks(t *testing.T) {
	s := newSite(t)
	freeze := map[string]string{
		pre + "command": shell("echo pre >> /data/log; exec sleep 1000"), pre + "timeout": "15m", post + "command": shell("echo post >> /data/log"),
	}
	s.start(s.pod("db", freeze))
	p := s.serve()
	b := s.wanted("cancelled")
	s.apply(b)
	s.await("log", "pre")
	s.kubectl("", "-n", s.ns, "annotate", "backup", "cancelled", "hozon.dev/cancel=true")
	s.ended("backup", "cancelled", b)
	if b.Status.Phase != velerov1.BackupPhaseFailed || s.read("log") != "pre\npost\n" {
		t.Errorf("phase %s, log %q", b.Status.Phase, s.read("log"))
	}
	s.apply(s.wanted("deleted"))
	s.await("log", "pre\npost\npre\n")
	p.Kill()
	s.kubectl("", "-n", s.ns, "delete", "backup", "deleted")
	s.serve()
	s.await("log", "pre\npost\npre\npost\n")
}

// TestServerRefusesHooks: what is wrong with the hooks of a spec is found before anything starts.
func TestServerRefusesHooks(t *testing.T) {
	s := newSite(t)
	s.start(s.pod("db", map[string]string{pre + "command": shell("echo pre >> /data/log")}), s.pod("other", nil))
	s.serve()
	nobody := script("true")
	nobody.Container = "nobody"
	negative := script("true")
	negative.Timeout.Duration = -time.Second
	badGlob := set("glob", "other", []velerov1.ExecHook{script("true")}, nil)
	badGlob.IncludedNamespaces = []string{"a[b"}
	noPods := set("kinds", "other", []velerov1.ExecHook{script("true")}, nil)
	noPods.IncludedResources = []string{"deployments"}
	gadgets := set("kinds", "other", []velerov1.ExecHook{script("true")}, nil)
	gadgets.IncludedResources = []string{"gadgets"}
	for name, c := range map[string]struct {
		set  velerov1.BackupResourceHookSpec
		want string
	}{
		"container": {set("c", "other", []velerov1.ExecHook{nobody}, nil), `has no container "nobody": it has main, side`},
		"timeout":   {set("t", "other", []velerov1.ExecHook{negative}, nil), `spec.hooks.resources[0], set "t": pre[0].exec.timeout is -1s: expected a duration above zero`},
		"glob":      {badGlob, "wildcard pattern contains unclosed bracket '['"},
		"no-pods":   {noPods, "hooks run in pods only"},
		"gadgets":   {gadgets, `no API of this cluster serves a resource "gadgets"`},
	} {
		b := s.wanted(name)
		b.Spec.Hooks.Resources = []velerov1.BackupResourceHookSpec{c.set}
		s.apply(b)
		s.ended("backup", name, b)
		if b.Status.Phase != velerov1.BackupPhaseFailedValidation || !strings.Contains(strings.Join(b.Status.ValidationErrors, "\n"), c.want) {
			t.Errorf("%s: %s %q, want %q", name, b.Status.Phase, b.Status.ValidationErrors, c.want)
		}
	}
	if got := s.read("log"); got != "" {
		t.Errorf("hooks ran: %q", got)
	}
}
