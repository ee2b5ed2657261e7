// SPDX-License-Identifier: Apache-2.0

package hook

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	velerov1 "hozon.dev/hozon/api/velero/v1"
	"hozon.dev/hozon/internal/fail"
	"hozon.dev/hozon/internal/object"
	"hozon.dev/hozon/internal/report"
)

var types = []object.Type{
	{Version: "v1", Resource: "pods", Singular: "pod", Kind: "Pod", ShortNames: []string{"po"}, Namespaced: true, Preferred: true},
	{Group: "apps", Version: "v1", Resource: "deployments", Kind: "Deployment", Namespaced: true, Preferred: true},
}

func pod(annotations ...string) Pod {
	p := Pod{Namespace: "shop", Name: "db", UID: "1", Labels: map[string]string{"app": "db"}, Phase: corev1.PodRunning, Containers: []string{"main", "side"}}
	p.Annotations = map[string]string{}
	for i := 0; i < len(annotations); i += 2 {
		p.Annotations[annotations[i]] = annotations[i+1]
	}
	return p
}

func exec(command ...string) *velerov1.ExecHook { return &velerov1.ExecHook{Command: command} }

func backupSets(t *testing.T, resources ...velerov1.BackupResourceHookSpec) *Sets {
	t.Helper()
	s, err := ForBackup(velerov1.BackupHooks{Resources: resources}, types)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestHooks: which hooks a pod has, by its annotations and by a spec.
func TestHooks(t *testing.T) {
	db := &metav1.LabelSelector{MatchLabels: map[string]string{"app": "db"}}
	other := &metav1.LabelSelector{MatchLabels: map[string]string{"app": "other"}}
	side := exec("b")
	side.Container, side.OnError, side.Timeout = "side", velerov1.HookErrorModeContinue, velerov1.Duration{Duration: time.Minute}
	spec := backupSets(t,
		velerov1.BackupResourceHookSpec{Name: "first", LabelSelector: db, PreHooks: []velerov1.BackupResourceHook{{Exec: exec("a", "x")}, {Exec: side}}},
		velerov1.BackupResourceHookSpec{Name: "elsewhere", IncludedNamespaces: []string{"s*"}, ExcludedNamespaces: []string{"shop"}, PreHooks: []velerov1.BackupResourceHook{{Exec: exec("c")}}},
		velerov1.BackupResourceHookSpec{Name: "labels", LabelSelector: other, PreHooks: []velerov1.BackupResourceHook{{Exec: exec("d")}}},
		velerov1.BackupResourceHookSpec{Name: "last", IncludedNamespaces: []string{"s*"}, IncludedResources: []string{"po"},
			PreHooks: []velerov1.BackupResourceHook{{Exec: exec("e")}}, PostHooks: []velerov1.BackupResourceHook{{Exec: exec("f")}}},
	)
	first := []Hook{
		{Stage: report.Pre, From: "first", Container: "main", Command: []string{"a", "x"}, OnError: "Fail", Timeout: DefaultTimeout},
		{Stage: report.Pre, From: "first", Container: "side", Command: []string{"b"}, OnError: "Continue", Timeout: time.Minute},
		{Stage: report.Pre, From: "last", Container: "main", Command: []string{"e"}, OnError: "Fail", Timeout: DefaultTimeout},
	}
	last := []Hook{{Stage: report.Post, From: "last", Container: "main", Command: []string{"f"}, OnError: "Fail", Timeout: DefaultTimeout}}
	for _, c := range []struct {
		name      string
		sets      *Sets
		pod       Pod
		pre, post []Hook
	}{
		{"nothing", &Sets{}, pod(), nil, nil},
		{"the spec", spec, pod(), first, last},
		{"annotations count instead, for their stage", spec, pod("pre.hook.backup.velero.io/command", "/bin/sync"),
			[]Hook{{Stage: report.Pre, From: "annotation", Container: "main", Command: []string{"/bin/sync"}, OnError: "Fail", Timeout: DefaultTimeout}}, last},
		{"without a prefix they are about pre", &Sets{}, pod("hook.backup.velero.io/command", `["a", "b c"]`, "hook.backup.velero.io/container", "side", "hook.backup.velero.io/on-error", "Continue", "hook.backup.velero.io/timeout", "2m"),
			[]Hook{{Stage: report.Pre, From: "annotation", Container: "side", Command: []string{"a", "b c"}, OnError: "Continue", Timeout: 2 * time.Minute}}, nil},
		{"the prefix comes first", &Sets{}, pod("hook.backup.velero.io/command", "old", "hook.backup.velero.io/container", "side", "pre.hook.backup.velero.io/command", "new"),
			[]Hook{{Stage: report.Pre, From: "annotation", Container: "main", Command: []string{"new"}, OnError: "Fail", Timeout: DefaultTimeout}}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			if diff := cmp.Diff(c.pre, c.sets.Of(report.Pre, c.pod)); diff != "" {
				t.Errorf("pre -want +got:\n%s", diff)
			}
			if diff := cmp.Diff(c.post, c.sets.Of(report.Post, c.pod)); diff != "" {
				t.Errorf("post -want +got:\n%s", diff)
			}
		})
	}
}

// TestMayHave: by the metadata alone it is known which pods need to be looked at.
func TestMayHave(t *testing.T) {
	sets := backupSets(t, velerov1.BackupResourceHookSpec{Name: "x", IncludedNamespaces: []string{"shop"}})
	ref := func(ns string) object.Ref { return object.Ref{Resource: "pods", Namespace: ns, Name: "db"} }
	for _, c := range []struct {
		sets        *Sets
		ns          string
		annotations string
		want        bool
	}{
		{sets, "shop", "", true}, {sets, "bank", "", false}, {&Sets{}, "bank", `{"post.hook.backup.velero.io/command":"x"}`, true}, {&Sets{}, "bank", `{"a":"b"}`, false},
	} {
		head := object.Head{Name: "db", Namespace: c.ns}
		if c.annotations != "" {
			head.RawAnnotations = []byte(c.annotations)
		}
		if got := c.sets.Backup(ref(c.ns), head); got != c.want {
			t.Errorf("%+v: %v", c, got)
		}
	}
}

// TestRead: containers that run with the pod can have hooks, and those that end before it cannot.
func TestRead(t *testing.T) {
	p, err := Read([]byte(`{"metadata":{"namespace":"a","name":"b","uid":"c"},"status":{"phase":"Failed"},
		"spec":{"containers":[{"name":"x"}],"initContainers":[{"name":"once"},{"name":"sidecar","restartPolicy":"Always"}]}}`))
	if err != nil || !p.Finished() || p.ID() != "a/b" || strings.Join(p.Containers, " ") != "x sidecar" {
		t.Errorf("%+v, %v", p, err)
	}
	if _, err := Read([]byte(`{"spec":7}`)); !fail.Is(err, fail.Corrupt) {
		t.Errorf("no pod: %v", err)
	}
}

// TestUnfit: a container that no pod of a set has is an error of the spec; one that some have is not.
func TestUnfit(t *testing.T) {
	side := exec("a")
	side.Container = "side"
	sets := backupSets(t, velerov1.BackupResourceHookSpec{Name: "x", PreHooks: []velerov1.BackupResourceHook{{Exec: side}}})
	bare := pod()
	bare.Name, bare.Containers = "bare", []string{"main"}
	if err := sets.Unfit([]Pod{bare, pod()}); err != nil {
		t.Error(err)
	}
	err := sets.Unfit([]Pod{bare})
	if want := `spec.hooks, set "x": pod shop/bare has no container "side": it has main, and neither has any other pod that the set applies to`; !fail.Is(err, fail.Invalid) || err.Error() != want {
		t.Errorf("got %v", err)
	}
}

// TestRestoreHooks: what runs in restored pods, and what goes in front of them.
func TestRestoreHooks(t *testing.T) {
	yes := true
	init := func(raw string) []runtime.RawExtension { return []runtime.RawExtension{{Raw: []byte(raw)}} }
	sets, err := ForRestore(velerov1.RestoreHooks{Resources: []velerov1.RestoreResourceHookSpec{{Name: "warm", PostHooks: []velerov1.RestoreResourceHook{
		{Exec: &velerov1.ExecRestoreHook{Command: []string{"a"}, WaitForReady: &yes, WaitTimeout: velerov1.Duration{Duration: time.Minute}, OnError: "Fail"}},
		{Init: &velerov1.InitRestoreHook{InitContainers: init(`{"name":"i","image":"x:1","command":["c"],"env":[{"name":"A","value":"b"}]}`)}},
	}}}}, types)
	if err != nil {
		t.Fatal(err)
	}
	want := []Hook{{Stage: report.Exec, From: "warm", Container: "main", Command: []string{"a"}, OnError: "Fail", Timeout: DefaultTimeout, Wait: time.Minute, Ready: true}}
	if diff := cmp.Diff(want, sets.Exec(pod())); diff != "" {
		t.Errorf("spec -want +got:\n%s", diff)
	}
	want = []Hook{{Stage: report.Exec, From: "annotation", Container: "side", Command: []string{"b"}, OnError: "Continue", Timeout: time.Second, Wait: 2 * time.Minute, Ready: true}}
	got := sets.Exec(pod("post.hook.restore.velero.io/command", "b", "post.hook.restore.velero.io/container", "side", "post.hook.restore.velero.io/exec-timeout", "1s",
		"post.hook.restore.velero.io/wait-timeout", "2m", "post.hook.restore.velero.io/wait-for-ready", "true"))
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("annotations -want +got:\n%s", diff)
	}
	if got := sets.Init(pod()); len(got) != 1 || got[0].From != "warm" || got[0].Containers[0].Env[0].Value != "b" {
		t.Errorf("init by spec: %+v", got)
	}
	byAnnotation := pod("init.hook.restore.velero.io/container-image", "x:2", "init.hook.restore.velero.io/command", `["/bin/sh"]`)
	one, two := sets.Init(byAnnotation), sets.Init(byAnnotation)
	if len(one) != 1 || one[0].Containers[0].Image != "x:2" || !strings.HasPrefix(one[0].Containers[0].Name, "velero-restore-init-") {
		t.Errorf("init by annotation: %+v", one)
	}
	if diff := cmp.Diff(one, two); diff != "" {
		t.Errorf("the second time:\n%s", diff)
	}
	if got := sets.Init(pod("init.hook.restore.velero.io/command", "x")); len(got) != 1 || got[0].Problem == "" || len(got[0].Containers) > 0 {
		t.Errorf("no image: %+v", got)
	}
}

func TestInsert(t *testing.T) {
	named := func(names string) (out []corev1.Container) {
		for _, n := range strings.Fields(names) {
			out = append(out, corev1.Container{Name: n})
		}
		return out
	}
	for _, c := range [][3]string{{"a b", "x y", "x y a b"}, {"restore-wait a", "x", "restore-wait x a"}, {"", "x", "x"}, {"a x", "x y", "y a x"}} {
		var got []string
		for _, container := range Insert(named(c[0]), named(c[1])) {
			got = append(got, container.Name)
		}
		if strings.Join(got, " ") != c[2] {
			t.Errorf("%q and %q: %q", c[0], c[1], got)
		}
	}
}

// TestBadSpecs: everything that is wrong with a spec is said at once.
func TestBadSpecs(t *testing.T) {
	wrong := func(v any, text string) {
		t.Helper()
		if err := json.Unmarshal([]byte(text), v); err != nil {
			t.Fatal(err)
		}
	}
	var b velerov1.BackupHooks
	wrong(&b, `{"resources":[{"name":""},{"name":"a","pre":[{"exec":{"command":[]}}],"post":[{}]},{"name":"b","includedNamespaces":["a[b"]},
		{"name":"c","pre":[{"exec":{"command":["x"],"onError":"Sometimes"}}]},{"name":"d","pre":[{"exec":{"command":["x"],"timeout":"-1s"}}]},
		{"name":"e","includedResources":["gadgets"]},{"name":"f","excludedResources":["pods"]},{"name":"g","labelSelector":{"matchExpressions":[{"key":"a","operator":"Near"}]}}]}`)
	_, err := ForBackup(b, types)
	check(t, err, `spec.hooks.resources[0]: a set of hooks has no name`, `spec.hooks.resources[1], set "a": pre[0].exec.command is empty`,
		`set "a": post[0] has no exec`, `set "b"`, `onError is "Sometimes": expected Fail or Continue`, `timeout is -1s: expected a duration above zero`,
		`no API of this cluster serves a resource "gadgets"`, `set "f": hooks run in pods only`, `set "g"`)
	var r velerov1.RestoreHooks
	wrong(&r, `{"resources":[{"name":"a","postHooks":[{},{"exec":{"command":["x"],"waitTimeout":"-1s"}},{"init":{"initContainers":[{"name":"i","image":"x"}]}},
		{"init":{"initContainers":[{"name":"i","image":"x","command":["a"],"comand":1}]}}]}]}`)
	_, err = ForRestore(r, types)
	check(t, err, `postHooks[0]: expected either exec or init`, `postHooks[1].exec.waitTimeout is -1s`,
		`postHooks[2].init: invalid init container in restore hook "a": invalid InitContainer in restore hook, it doesn't have Command, Name or Image field`, `unknown field "comand"`)
}

func check(t *testing.T, err error, wants ...string) {
	t.Helper()
	if !fail.Is(err, fail.Invalid) {
		t.Fatalf("got %v", err)
	}
	for _, want := range wants {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("no %q in:\n%v", want, err)
		}
	}
}
