// SPDX-License-Identifier: Apache-2.0

package podvolume

import (
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"hozon.dev/hozon/internal/vault/vaulttest"
	"hozon.dev/hozon/test/daemon"
)

// velero builds a program of the real Velero 1.18.3 once, which takes minutes. So its tests run with HOZON_PEER (`make peer`) only.
func velero(t *testing.T, name string) string {
	t.Helper()
	if os.Getenv("HOZON_PEER") == "" {
		t.Skip("needs the real velero: make peer")
	}
	const module = "github.com/vmware-tanzu/velero"
	binary, err := daemon.Build(t.Context(), "tools/build", "bench/velero", module+"/cmd/"+name, name, "-X "+module+"/pkg/buildinfo.Version=v1.18.3")
	if err != nil {
		t.Fatal(err)
	}
	return binary
}

// TestPeerVolumes lets the real velero command have volumes saved, described, brought back and deleted by our server and agent.
func TestPeerVolumes(t *testing.T) {
	binary := velero(t, "velero")
	w := newWorld(t, "")
	home := t.TempDir()
	run := func(args ...string) string {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), binary, append(args, "--colorized=false", "--namespace", w.ns, "--kubeconfig", w.Kubeconfig())...)
		cmd.Dir, cmd.Env = home, append(os.Environ(), "HOME="+home)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("velero %s: %v\n%s", strings.Join(args, " "), err, out)
		}
		return string(out)
	}
	w.deploy(2)
	w.all()
	odd(t, w.data(w.app))
	want := without(vaulttest.Disk(t, w.data(w.app)))

	contains(t, run("backup", "create", "b", "--include-namespaces", w.app, "--default-volumes-to-fs-backup", "--snapshot-volumes=false", "--wait"), "Backup completed with status: Completed")
	got := run("backup", "describe", "b", "--details")
	contains(t, got, "File System Backup (Default):  true", "Pod Volume Backups - kopia:", "Completed:", w.app+"/keeper-0: data (size: ")
	const start, end = "  Pod Volume Backups", "HooksAttempted"
	for _, args := range [][]string{{"backup", "describe", "b", "--details"}, {"backup", "describe", "b"}} {
		if theirs, ours := between(run(args...), start, end), between(w.hozon(0, args...), start, end); theirs != ours || theirs == "" {
			t.Errorf("velero says %s\nhozon says %s", theirs, ours)
		}
	}
	const field, next = `"podVolumeBackups"`, `]`
	theirs, ours := run("backup", "describe", "b", "-o", "json", "--details"), w.hozon(0, "backup", "describe", "b", "-o", "json", "--details")
	if a, b := words(between(theirs, field, next)), words(between(ours, field, next)); !slices.Equal(a, b) || len(a) == 0 {
		t.Errorf("velero says %q\nhozon says %q", a, b)
	}
	other := w.app + "-other"
	contains(t, run("restore", "create", "r", "--from-backup", "b", "--namespace-mappings", w.app+":"+other, "--wait"), "Restore completed with status: Completed")
	w.awaitPod(other, "keeper-0")
	vaulttest.Compare(t, without(vaulttest.Disk(t, w.data(other))), want)
	contains(t, run("restore", "describe", "r", "--details"), "kopia Restores:", "Completed:")
	run("backup", "delete", "b", "--confirm")
	w.kubectl("", "-n", w.ns, "wait", "--for=delete", "backup/b", "--timeout=120s")
	w.settled()
}

// words are those of a text in order: Velero tells of the volumes of a pod as it finds them there.
func words(text string) []string {
	return slices.Sorted(slices.Values(strings.Fields(strings.NewReplacer(",", " ", `"`, " ").Replace(text))))
}

// between is what lies between two texts.
func between(text, from, to string) string {
	_, text, _ = strings.Cut(text, from)
	text, _, _ = strings.Cut(text, to)
	return strings.TrimSpace(text)
}
