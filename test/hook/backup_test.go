// SPDX-License-Identifier: Apache-2.0

package hook

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"hozon.dev/hozon/internal/report"
	"hozon.dev/hozon/internal/store"
)

const (
	pre  = "pre.hook.backup.velero.io/"
	post = "post.hook.backup.velero.io/"
)

// TestBackupBetweenHooks: what is made while the pre hook runs is in the backup, what is made while the post hook runs is not.
func TestBackupBetweenHooks(t *testing.T) {
	w := newWorld(t)
	w.start(w.pod("db", map[string]string{
		pre + "command":    shell("echo pre in $CONTAINER | tee -a /data/log; until [ -e /data/go ]; do sleep 0.1; done"),
		pre + "container":  "side",
		post + "command":   shell("echo post in $CONTAINER >> /data/log; until [ -e /data/on ]; do sleep 0.1; done"),
		post + "container": "main",
	}))
	w.configMap("before")
	cmd := w.command("backup", "create", "b", "--include-namespaces", w.ns, "--snapshot-volumes=false")
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	w.await("log", "pre in side")
	if owed := w.owed(); len(owed) != 1 || owed[0] != "b" {
		t.Errorf("while it is frozen, %q is recorded as owed", owed)
	}
	w.configMap("frozen")
	w.touch("go")
	w.await("log", "post in main")
	w.configMap("thawed")
	w.touch("on")
	if err := cmd.Wait(); err != nil {
		t.Fatalf("%v\n%s", err, &out)
	}
	for name, want := range map[string]bool{"before": true, "frozen": true, "thawed": false} {
		if got := w.has("b", "ConfigMap", name); got != want {
			t.Errorf("ConfigMap %s is in the backup: %v, want %v", name, got, want)
		}
	}
	if owed := w.owed(); len(owed) > 0 {
		t.Errorf("%q is owed after the end", owed)
	}
	hooks := w.hooks(store.Backup, "b")
	if len(hooks) != 2 {
		t.Fatalf("hooks %+v", hooks)
	}
	first := hooks[0]
	if first.Stage != report.Pre || first.Output != "pre in side\n" || first.Seconds <= 0 || first.Started == nil || first.From != "annotation" || first.Outcome != report.HookSucceeded {
		t.Errorf("pre hook: %+v", first)
	}
	if hooks[1].Stage != report.Post || hooks[1].Container != "main" || !hooks[1].Started.After(*first.Started) {
		t.Errorf("post hook: %+v", hooks[1])
	}
	if got := w.run(0, "backup", "describe", "b", "--details"); !strings.Contains(got, "HooksAttempted:  2") || !strings.Contains(got, "| pre in side") {
		t.Errorf("describe:\n%s", got)
	}
	w.run(0, "backup", "verify", "b")
}

// TestBackupHookFails: with Fail the pod is not saved, with Continue it is; either way the backup is PartiallyFailed, says why, and the post hooks run.
func TestBackupHookFails(t *testing.T) {
	w := newWorld(t)
	failing := func(name, mode string) *corev1.Pod {
		return w.pod(name, map[string]string{
			pre + "command": shell("echo because >&2; exit 3"), pre + "on-error": mode,
			post + "command": shell("echo post " + name + " >> /data/log"),
		})
	}
	w.start(failing("stops", "Fail"), failing("goes-on", "Continue"), w.pod("calm", nil))
	out := w.backup(3, "b")
	if !strings.Contains(out, "PartiallyFailed") {
		t.Errorf("said:\n%s", out)
	}
	for name, want := range map[string]bool{"stops": false, "goes-on": true, "calm": true} {
		if got := w.has("b", "Pod", name); got != want {
			t.Errorf("pod %s is in the backup: %v, want %v", name, got, want)
		}
	}
	if log := w.read("log"); !strings.Contains(log, "post stops") || !strings.Contains(log, "post goes-on") {
		t.Errorf("post hooks: %q", log)
	}
	var results report.Results
	if err := w.open().ReadJSON(t.Context(), store.Backup, "b", store.Results, &results); err != nil {
		t.Fatal(err)
	}
	texts := strings.Join(results.Errors.Namespaces[w.ns], "\n")
	for _, want := range []string{
		"pre hook in container main of pod " + w.ns + "/stops (annotation) failed", "exit code 3", "goes-on", "pods/" + w.ns + "/stops: not saved: a hook before its backup has failed",
	} {
		if !strings.Contains(texts, want) {
			t.Errorf("results have no %q:\n%s", want, texts)
		}
	}
	got := w.run(0, "backup", "describe", "b")
	for _, want := range []string{"HooksAttempted:  4", "HooksFailed:     2", "| because"} {
		if !strings.Contains(got, want) {
			t.Errorf("describe has no %q:\n%s", want, got)
		}
	}
}

// TestBackupHookHangs: a timeout cuts the connection, and the run goes on.
func TestBackupHookHangs(t *testing.T) {
	w := newWorld(t)
	w.start(w.pod("db", map[string]string{
		pre + "command": shell("echo hangs; exec sleep 100000"), pre + "timeout": "2s", pre + "on-error": "Continue",
		post + "command": shell("echo post >> /data/log"),
	}))
	began := time.Now()
	w.backup(3, "b")
	if took := time.Since(began); took > time.Minute {
		t.Errorf("it took %s", took)
	}
	hooks := w.hooks(store.Backup, "b")
	if len(hooks) != 2 || hooks[0].Outcome != report.HookFailed || !strings.Contains(hooks[0].Reason, "timeout of 2s") || hooks[0].Output != "hangs\n" {
		t.Errorf("hooks: %+v", hooks)
	}
	if w.read("log") != "post\n" {
		t.Errorf("the post hook left %q", w.read("log"))
	}
}

// TestBackupHookBadInput: what cannot be run as it is written has failed without being run; a pod that has finished is passed over, and that is said.
func TestBackupHookBadInput(t *testing.T) {
	w := newWorld(t)
	hooks := func(name string, more ...string) *corev1.Pod {
		a := map[string]string{pre + "command": shell("echo ran " + name + " >> /data/log"), pre + "on-error": "Continue"}
		for i := 0; i < len(more); i += 2 {
			a[pre+more[i]] = more[i+1]
		}
		return w.pod(name, a)
	}
	done := hooks("done")
	done.Spec.RestartPolicy = corev1.RestartPolicyNever
	for i := range done.Spec.Containers {
		done.Spec.Containers[i].Command = []string{"/bin/true"}
	}
	w.apply(done)
	w.start(
		hooks("a-container", "container", "nobody"), hooks("b-timeout", "timeout", "soon"), hooks("c-command", "command", `["/bin/true"`),
		hooks("d-mode", "on-error", "fail"), hooks("e-program", "command", "/bin/nothing"), hooks("f-much", "command", shell("yes | head -c 100000")),
	)
	w.kubectl("", "-n", w.ns, "wait", "--timeout=60s", "--for=jsonpath={.status.phase}=Succeeded", "pod/done")
	w.backup(3, "b")
	got := map[string]string{}
	for _, h := range w.hooks(store.Backup, "b") {
		got[h.Pod] = fmt.Sprintf("%s: %s", h.Outcome, h.Reason)
		if h.Pod == "f-much" && (len(h.Output) != 4096 || !h.Cut) {
			t.Errorf("%d bytes of output are kept, cut %v", len(h.Output), h.Cut)
		}
	}
	program := got["e-program"]
	delete(got, "e-program")
	if !strings.HasPrefix(program, "failed: run /bin/nothing in container main of pod ") || !strings.Contains(program, "no such file") {
		t.Errorf("a program that does not exist: %s", program)
	}
	want := map[string]string{
		"a-container": "failed: pod " + w.ns + `/a-container has no container "nobody": it has main, side`,
		"b-timeout":   `failed: annotation pre.hook.backup.velero.io/timeout: "soon": expected a duration, such as 30s or 2m`,
		"c-command":   `failed: annotation pre.hook.backup.velero.io/command: "[\"/bin/true\"": expected a JSON list of texts, such as ["/bin/sync", "-f", "/data"]`,
		"d-mode":      `failed: annotation pre.hook.backup.velero.io/on-error: "fail": expected Fail or Continue`,
		"f-much":      "succeeded: ",
		"done":        "skipped: the pod has finished (Succeeded)",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if log := w.read("log"); log != "" {
		t.Errorf("these ran: %q", log)
	}
	if !w.has("b", "Pod", "done") || w.has("b", "Pod", "d-mode") {
		t.Error("the finished pod is to be saved, and the one whose hook has no valid mode, which counts as Fail, is not")
	}
}

// TestBackupHookOrder: the hooks of ordered pods run one after the other, in that order.
func TestBackupHookOrder(t *testing.T) {
	w := newWorld(t)
	var pods []*corev1.Pod
	for _, name := range []string{"one", "two", "three"} {
		pods = append(pods, w.pod(name, map[string]string{
			pre + "command": shell("echo begin " + name + " >> /data/log; sleep 0.5; echo end " + name + " >> /data/log"), post + "command": shell("echo post " + name + " >> /data/log"),
		}))
	}
	w.start(pods...)
	w.backup(0, "b", "--ordered-resources", fmt.Sprintf("pods=%[1]s/two,%[1]s/three,%[1]s/one", w.ns))
	want := "begin two,end two,begin three,end three,begin one,end one,post two,post three,post one"
	if got := strings.Join(strings.Fields(strings.ReplaceAll(strings.ReplaceAll(w.read("log"), "\n", ","), " ", "_")), ""); got != strings.ReplaceAll(want, " ", "_")+"," {
		t.Errorf("order %s", got)
	}
	for flag, want := range map[string]string{
		"gadgets=a/b": "no API of this cluster serves a resource", "pods=one": "expected namespace/name", "pods=a/b,a/b": "is there twice",
	} {
		if got := w.backup(2, "bad", "--ordered-resources", flag); !strings.Contains(got, want) {
			t.Errorf("%s: %s", flag, got)
		}
	}
}

// TestCommandKilled kills the command between pre and post: the next command runs the post hook.
func TestCommandKilled(t *testing.T) {
	w := newWorld(t)
	w.start(w.pod("db", map[string]string{
		pre + "command": shell("echo pre >> /data/log; [ -e /data/go ] || exec sleep 1000"), pre + "timeout": "15m",
		post + "command": shell("echo post >> /data/log"),
	}))
	cmd := w.command("backup", "create", "killed", "--include-namespaces", w.ns, "--snapshot-volumes=false")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	w.await("log", "pre")
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // it was killed
	w.touch("go")
	if got := w.read("log"); got != "pre\n" {
		t.Fatalf("before the next command: %q", got)
	}
	out := w.backup(0, "next")
	if got := w.read("log"); got != "pre\npost\npre\npost\n" {
		t.Errorf("the hooks left %q", got)
	}
	if !strings.Contains(out, "An unfinished run of backup killed: post hook in container main of pod "+w.ns+"/db (annotation) succeeded") {
		t.Errorf("said:\n%s", out)
	}
	if owed := w.owed(); len(owed) > 0 {
		t.Errorf("%q is owed", owed)
	}
}

// TestBackupHooksAlong: a pod that comes into a backup by labels only because it mounts a chosen claim has its hooks run, too; one that mounts another does not.
func TestBackupHooksAlong(t *testing.T) {
	w := newWorld(t)
	for name, label := range map[string]string{"chosen": "yes", "other": "no"} {
		w.kubectl(fmt.Sprintf(`apiVersion: v1
kind: PersistentVolume
metadata: {name: %[1]s-%[2]s}
spec: {capacity: {storage: 1Gi}, accessModes: [ReadWriteOnce], storageClassName: none, hostPath: {path: %[3]s}, claimRef: {namespace: %[1]s, name: %[2]s}}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: %[2]s, namespace: %[1]s, labels: {save: "%[4]s"}}
spec: {accessModes: [ReadWriteOnce], storageClassName: none, volumeName: %[1]s-%[2]s, resources: {requests: {storage: 1Gi}}}
`, w.ns, name, w.data, label), "create", "-f", "-")
	}
	pod := func(name, claim string) *corev1.Pod {
		p := w.pod(name, map[string]string{pre + "command": shell("echo pre " + name + " >> /data/log"), post + "command": shell("echo post " + name + " >> /data/log")})
		p.Spec.Volumes[0].VolumeSource = corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: claim}}
		return p
	}
	w.start(pod("along", "chosen"), pod("away", "other"))
	w.backup(0, "b", "--selector", "save=yes")
	if !w.has("b", "Pod", "along") || w.has("b", "Pod", "away") {
		t.Error("the backup does not hold the pod that mounts the chosen claim, or holds the other")
	}
	if log := w.read("log"); log != "pre along\npost along\n" {
		t.Errorf("hooks: %q", log)
	}
	if hooks := w.hooks(store.Backup, "b"); len(hooks) != 2 || hooks[0].Pod != "along" || hooks[1].Outcome != report.HookSucceeded {
		t.Errorf("stored: %+v", hooks)
	}
}
