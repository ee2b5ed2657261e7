// SPDX-License-Identifier: Apache-2.0

package peer

import (
	"compress/gzip"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"hozon.dev/hozon/test/daemon"
)

// TestPeerSnapshots has both servers take native snapshots of the same volumes by the same plugin: what they write down of them is the same, but for what belongs to
// one backup, and each restores from the other's. With HOZON_PEER (`make peer`) only.
func TestPeerSnapshots(t *testing.T) {
	if os.Getenv("HOZON_PEER") == "" {
		t.Skip("needs the real velero: make peer")
	}
	u := newUser(t)
	root := u.plugins()
	u.apply("testdata/disk.yaml", "ROOT", root)
	u.kubectl("wait", "-n", "bank", "pvc", "--all", "--for=jsonpath={.status.phase}=Bound", "--timeout=60s")

	u.startHozon("--plugin-dir", u.velero.PluginDir)
	ours := u.snapshots("ours", "theirs")
	u.startVelero()
	theirs := u.snapshots("theirs", "theirs")
	for _, file := range []string{"volumesnapshots.json.gz", "volumeinfo.json.gz"} {
		if diff := cmp.Diff(theirs[file], ours[file]); diff != "" {
			t.Errorf("%s: -velero +hozon:\n%s", file, diff)
		}
	}
	if diff := cmp.Diff(theirs["status"], ours["status"]); diff != "" {
		t.Errorf("status of the backup: -velero +hozon:\n%s", diff)
	}

	for _, args := range [][]string{{"backup", "describe", "ours"}, {"backup", "describe", "ours", "--details"}, {"backup", "describe", "theirs", "--details"}} {
		if diff := cmp.Diff(u.printed(u.velero.Binary, args...), u.printed(u.program, args...)); diff != "" {
			t.Errorf("%s: -velero +hozon:\n%s", strings.Join(args, " "), diff)
		}
	}

	// Velero restores ours, we restore theirs.
	u.run("restore", "create", "by-velero", "--from-backup", "ours", "--namespace-mappings", "bank:by-velero", "--wait")
	u.holds("by-velero", root, "from-snap-v1-ours")
	u.startHozon("--plugin-dir", u.velero.PluginDir)
	u.run("restore", "create", "by-hozon", "--from-backup", "theirs", "--namespace-mappings", "bank:by-hozon", "--wait")
	u.holds("by-hozon", root, "from-snap-v1-theirs")
}

// plugins gives the servers the tests' snapshotter beside Velero's plugin for S3, and returns the folder of its volumes.
func (u *user) plugins() (root string) {
	u.t.Helper()
	example, err := daemon.Build(u.t.Context(), "tools/build", "test/plugin/program", ".", "velero-plugin-example")
	if err != nil {
		u.t.Fatal(err)
	}
	dir, root := u.t.TempDir(), u.t.TempDir()
	for _, from := range []string{example, filepath.Join(u.velero.PluginDir, "velero-plugin-for-aws")} {
		if err := os.Symlink(from, filepath.Join(dir, filepath.Base(from))); err != nil {
			u.t.Fatal(err)
		}
	}
	u.velero.PluginDir = dir
	if err := os.MkdirAll(filepath.Join(root, "volumes", "v1"), 0o700); err != nil {
		u.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(root, "volumes", "v1", "data"), []byte("gold"), 0o600); err != nil {
		u.t.Fatal(err)
	}
	return root
}

// apply applies a file of testdata, with a word of it replaced.
func (u *user) apply(file, old, new string) {
	u.t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		u.t.Fatal(err)
	}
	cmd := u.cluster.Kubectl(u.t.Context(), "apply", "-f", "-")
	cmd.Stdin = strings.NewReader(strings.ReplaceAll(string(text), old, new))
	if out, err := cmd.CombinedOutput(); err != nil {
		u.t.Fatalf("%v: %s", err, out)
	}
}

// snapshots makes a backup, and returns what was written of its volumes, with the backup called otherwise and without times and ids.
func (u *user) snapshots(name, called string) map[string]any {
	u.t.Helper()
	if _, err := u.server.BackupOf(u.t.Context(), name, "bank"); err != nil {
		u.t.Fatal(err)
	}
	all := map[string]any{}
	for _, file := range []string{"volumesnapshots.json.gz", "volumeinfo.json.gz"} {
		f, err := os.Open(filepath.Join(u.bucketDir, "backups", name, name+"-"+file))
		if err != nil {
			u.t.Fatal(err)
		}
		defer f.Close()
		gz, err := gzip.NewReader(f)
		if err != nil {
			u.t.Fatal(err)
		}
		var list []map[string]any
		if err := json.NewDecoder(gz).Decode(&list); err != nil {
			u.t.Fatal(err)
		}
		for _, item := range list {
			id, _ := item["pvName"].(string)
			if spec, ok := item["spec"].(map[string]any); ok {
				id, _ = spec["persistentVolumeName"].(string)
			}
			all[file] = with(all[file], id, timeless(item, name, called))
		}
	}
	var backup struct{ Status map[string]any }
	if err := json.Unmarshal([]byte(u.kubectl("get", "backup", name, "-n", "velero", "-o", "json")), &backup); err != nil {
		u.t.Fatal(err)
	}
	all["status"] = timeless(map[string]any{
		"attempted": backup.Status["volumeSnapshotsAttempted"], "completed": backup.Status["volumeSnapshotsCompleted"], "phase": backup.Status["phase"], "errors": backup.Status["errors"],
	}, name, called)
	return all
}

func with(m any, key string, value any) map[string]any {
	all, _ := m.(map[string]any)
	if all == nil {
		all = map[string]any{}
	}
	all[key] = value
	return all
}

// timeless is a value without what belongs to one run.
func timeless(v any, name, called string) any {
	switch v := v.(type) {
	case map[string]any:
		out := map[string]any{}
		for key, inner := range v {
			switch key {
			case "startTimestamp", "completionTimestamp", "backupUID":
				if inner != nil && inner != "" {
					out[key] = "set"
				}
			case "skippedReason":
				out[key] = inner != "" // in words of one's own
			default:
				out[key] = timeless(inner, name, called)
			}
		}
		return out
	case string:
		return strings.ReplaceAll(v, name, called)
	}
	return v
}

// holds looks into the volume that the claim of a namespace has got.
func (u *user) holds(namespace, root, prefix string) {
	u.t.Helper()
	volume := u.kubectl("get", "pvc", "vault", "-n", namespace, "-o", "jsonpath={.spec.volumeName}")
	handle := u.kubectl("get", "pv", volume, "-o", "jsonpath={.spec.csi.volumeHandle}")
	data, err := os.ReadFile(filepath.Join(root, "volumes", handle, "data"))
	if err != nil || string(data) != "gold" || !strings.HasPrefix(handle, prefix) {
		u.t.Errorf("in %s: volume %s with %q, %v", namespace, handle, data, err)
	}
}

// printed are the lines that a program prints, without what only we say, and what only Velero says: we count snapshots as its older versions did, and name the volumes that
// are not in the backup; without details it names each volume with nothing beside it.
func (u *user) printed(program string, args ...string) []string {
	u.t.Helper()
	cmd := exec.CommandContext(u.t.Context(), program, append(args, "--kubeconfig", u.cluster.Kubeconfig(), "--colorized=false")...)
	cmd.Env = append(os.Environ(), "HOME="+u.t.TempDir())
	out, err := cmd.Output()
	if err != nil {
		u.t.Fatalf("%s %s: %v", program, strings.Join(args, " "), err)
	}
	var lines []string
	for line := range strings.Lines(string(out)) {
		line = strings.TrimRight(line, " \n")
		if strings.Contains(line, "Not included:") || strings.HasSuffix(line, ": specify --details for more information") {
			continue
		}
		if head, _, ok := strings.Cut(line, ":  1 of 1 snapshots completed successfully"); ok {
			line = head + ":"
		}
		lines = append(lines, line)
	}
	return lines
}
