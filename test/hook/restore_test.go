// SPDX-License-Identifier: Apache-2.0

package hook

import (
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	velerov1 "hozon.dev/hozon/api/velero/v1"
	"hozon.dev/hozon/internal/cluster/clustertest"
	"hozon.dev/hozon/internal/report"
	"hozon.dev/hozon/internal/store"
)

const (
	after  = "post.hook.restore.velero.io/"
	before = "init.hook.restore.velero.io/"
)

// lines are the lines of a file of the folder, as a set.
func (w *world) lines(name string) map[string]int {
	w.t.Helper()
	out := map[string]int{}
	for line := range strings.Lines(w.read(name)) {
		out[strings.TrimSpace(line)]++
	}
	return out
}

// TestRestoreHooks: an init container by annotation, a command once the container is ready, failures with each mode, one that hangs, one that waits in vain, and a pod
// that ends at once.
func TestRestoreHooks(t *testing.T) {
	w := newWorld(t)
	warm := w.pod("warm", map[string]string{
		before + "container-image": clustertest.BusyboxName, before + "command": shell("echo init ran"),
		after + "command": shell("test -e /ready && echo exec $CONTAINER >> /data/log"), after + "container": "side", after + "wait-for-ready": "true",
		after + "wait-timeout": "1m", after + "exec-timeout": "20s",
	})
	warm.Spec.Containers[1].Command = []string{"/bin/sh", "-c", "sleep 2; touch /ready; exec sleep 100000"}
	warm.Spec.Containers[1].ReadinessProbe = &corev1.Probe{
		PeriodSeconds: 1, ProbeHandler: corev1.ProbeHandler{Exec: &corev1.ExecAction{Command: []string{"/bin/sh", "-c", "test -e /ready"}}},
	}
	failing := func(name, mode string) *corev1.Pod {
		return w.pod(name, map[string]string{after + "command": shell("echo ran " + name + " >> /data/log; exit 4"), after + "on-error": mode})
	}
	never := w.pod("never", map[string]string{after + "command": shell("echo never >> /data/log"), after + "wait-for-ready": "true", after + "wait-timeout": "3s", after + "on-error": "Fail"})
	never.Spec.Containers[0].ReadinessProbe = &corev1.Probe{ProbeHandler: corev1.ProbeHandler{Exec: &corev1.ExecAction{Command: []string{"/bin/sh", "-c", "exit 1"}}}}
	w.start(warm, failing("stops", "Fail"), failing("goes-on", "Continue"),
		w.pod("hangs", map[string]string{after + "command": shell("exec sleep 1000"), after + "exec-timeout": "2s", after + "on-error": "Fail"}),
		w.pod("bad", map[string]string{after + "command": "/bin/true", after + "wait-timeout": "soon"}),
		w.pod("no-image", map[string]string{before + "command": "/bin/true"}))
	w.apply(never)
	w.backup(0, "b")
	w.kubectl("", "delete", "namespace", w.ns, "--wait")
	began := time.Now()
	w.run(3, "restore", "create", "r", "--from-backup", "b")
	if took := time.Since(began); took > 2*time.Minute {
		t.Errorf("it took %s", took)
	}
	got := map[string]string{}
	for _, h := range w.hooks(store.Restore, "r") {
		got[string(h.Stage)+" "+h.Pod] += string(h.Outcome) + " " + h.Reason
	}
	for key, want := range map[string]string{
		"init warm": "added", "exec warm": "succeeded", "exec stops": "failed run /bin/sh in container main", "exec goes-on": "failed run /bin/sh",
		"exec hangs": "failed it did not end within its timeout of 2s", "exec never": "failed its container did not get so far in time (3s)",
		"exec bad": `failed annotation post.hook.restore.velero.io/wait-timeout: "soon": expected a duration`, "init no-image": "failed annotation init.hook.restore.velero.io/container-image",
	} {
		if !strings.HasPrefix(got[key], want) {
			t.Errorf("%s: %q, want %q", key, got[key], want)
		}
	}
	if log := w.lines("log"); log["exec side"] != 1 || log["ran stops"] != 1 || log["ran goes-on"] != 1 || log["never"] != 0 {
		t.Errorf("the hooks left %v", log)
	}
	if log := w.kubectl("", "-n", w.ns, "logs", "warm", "-c", w.initName("warm")); !strings.Contains(log, "init ran") {
		t.Errorf("the init container said %q", log)
	}
	describe := w.run(0, "restore", "describe", "r")
	for _, want := range []string{"HooksAttempted:  7", "HooksFailed:     6", "exec hook in container main of pod " + w.ns + "/stops (annotation) failed"} {
		if !strings.Contains(describe, want) {
			t.Errorf("describe has no %q:\n%s", want, describe)
		}
	}
	var results report.Results
	if err := w.open().ReadJSON(t.Context(), store.Restore, "r", store.RestoreResults, &results); err != nil {
		t.Fatal(err)
	}
	if errs := strings.Join(results.Errors.Namespaces[w.ns], "\n"); !strings.Contains(errs, "stops") || strings.Contains(errs, "goes-on") {
		t.Errorf("errors:\n%s", errs)
	}
	if warnings := strings.Join(results.Warnings.Namespaces[w.ns], "\n"); !strings.Contains(warnings, "goes-on") {
		t.Errorf("warnings:\n%s", warnings)
	}
	again := w.run(0, "restore", "create", "r2", "--from-backup", "b")
	if log := w.lines("log"); log["exec side"] != 1 {
		t.Errorf("restoring onto what is there ran hooks again: %v", log)
	}
	if strings.Contains(again, "warm") {
		t.Errorf("the pod with the init container counts as different:\n%s", again)
	}
}

func (w *world) initName(pod string) string {
	w.t.Helper()
	return w.kubectl("", "-n", w.ns, "get", "pod", pod, "-o", "jsonpath={.spec.initContainers[0].name}")
}

// TestServerRestoreHooks: hooks of a spec, of both kinds, in another namespace; one with Fail skips those behind it. What is wrong with them is found before anything starts.
func TestServerRestoreHooks(t *testing.T) {
	s := newSite(t)
	s.start(s.pod("db", nil), s.pod("other", nil))
	s.serve()
	b := s.wanted("b")
	b.Spec.IncludedResources, b.Spec.ExcludedResources = []string{"pods"}, nil
	s.apply(b)
	s.ended("backup", "b", b)
	to := s.ns + "-to"
	run := func(text string, mode velerov1.HookErrorMode) velerov1.RestoreResourceHook {
		return velerov1.RestoreResourceHook{Exec: &velerov1.ExecRestoreHook{Command: []string{"/bin/sh", "-c", text}, OnError: mode}}
	}
	container := fmt.Sprintf(`{"name":"prepare","image":%q,"imagePullPolicy":"Never","command":["/bin/sh","-c","echo prepare >> /data/log"],"volumeMounts":[{"name":"data","mountPath":"/data"}]}`, clustertest.BusyboxName)
	r := &velerov1.Restore{
		TypeMeta: metav1.TypeMeta{APIVersion: velerov1.APIVersion, Kind: "Restore"}, ObjectMeta: metav1.ObjectMeta{Namespace: s.ns, Name: "r"},
		Spec: velerov1.RestoreSpec{BackupName: "b", NamespaceMapping: map[string]string{s.ns: to}, Hooks: velerov1.RestoreHooks{Resources: []velerov1.RestoreResourceHookSpec{{
			Name: "warm", IncludedNamespaces: []string{to}, LabelSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "db"}},
			PostHooks: []velerov1.RestoreResourceHook{
				{Init: &velerov1.InitRestoreHook{InitContainers: []runtime.RawExtension{{Raw: []byte(container)}}}},
				run("echo one >> /data/log", ""), run("echo two >> /data/log; exit 1", "Continue"), run("echo three >> /data/log; exit 1", "Fail"), run("echo four >> /data/log", ""),
			},
		}}}},
	}
	s.apply(r)
	s.ended("restore", "r", r)
	if got := s.read("log"); got != "prepare\none\ntwo\nthree\n" {
		t.Errorf("the hooks left %q", got)
	}
	if r.Status.Phase != velerov1.RestorePhasePartiallyFailed || r.Status.HookStatus == nil || *r.Status.HookStatus != (velerov1.HookStatus{HooksAttempted: 3, HooksFailed: 2}) {
		t.Errorf("status %+v, hooks %+v", r.Status, r.Status.HookStatus)
	}
	var outcomes []string
	for _, h := range s.hooks(store.Restore, "r") {
		outcomes = append(outcomes, string(h.Stage)+" "+string(h.Outcome))
	}
	if want := "[init added exec succeeded exec failed exec failed exec skipped]"; fmt.Sprint(outcomes) != want {
		t.Errorf("outcomes %s", outcomes)
	}
	r.ObjectMeta, r.Status = metav1.ObjectMeta{Namespace: s.ns, Name: "bad"}, velerov1.RestoreStatus{}
	r.Spec.Hooks.Resources[0].PostHooks = []velerov1.RestoreResourceHook{{Init: &velerov1.InitRestoreHook{InitContainers: []runtime.RawExtension{{Raw: []byte(`{"name":"x","image":"y"}`)}}}}}
	s.apply(r)
	s.ended("restore", "bad", r)
	if r.Status.Phase != velerov1.RestorePhaseFailedValidation || !strings.Contains(strings.Join(r.Status.ValidationErrors, ""), `invalid init container in restore hook "warm"`) {
		t.Errorf("%s %q", r.Status.Phase, r.Status.ValidationErrors)
	}
}

// TestServerKilledInRestoreHook: the server dies while a hook runs in a pod that it has made. The next one finds the pod, and runs its hooks again.
func TestServerKilledInRestoreHook(t *testing.T) {
	s := newSite(t)
	s.start(s.pod("db", map[string]string{
		after + "command": shell("echo start >> /data/log; until [ -e /data/go ]; do sleep 0.1; done; echo end >> /data/log"), after + "exec-timeout": "5m",
	}))
	p := s.serve()
	b := s.wanted("b")
	b.Spec.IncludedResources, b.Spec.ExcludedResources = []string{"pods"}, nil
	s.apply(b)
	s.ended("backup", "b", b)
	r := &velerov1.Restore{
		TypeMeta: metav1.TypeMeta{APIVersion: velerov1.APIVersion, Kind: "Restore"}, ObjectMeta: metav1.ObjectMeta{Namespace: s.ns, Name: "r"},
		Spec: velerov1.RestoreSpec{BackupName: "b", NamespaceMapping: map[string]string{s.ns: s.ns + "-to"}},
	}
	s.apply(r)
	s.await("log", "start")
	p.Kill()
	s.serve()
	s.await("log", "start\nstart")
	s.touch("go")
	s.ended("restore", "r", r)
	if hooks := s.hooks(store.Restore, "r"); r.Status.Phase != velerov1.RestorePhaseCompleted || len(hooks) != 1 || hooks[0].Outcome != report.HookSucceeded {
		t.Errorf("phase %s, hooks %+v", r.Status.Phase, hooks)
	}
}
