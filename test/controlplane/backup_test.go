// SPDX-License-Identifier: Apache-2.0

package controlplane

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"filippo.io/age"

	"hozon.dev/hozon/internal/cli"
	"hozon.dev/hozon/internal/cli/env"
	"hozon.dev/hozon/internal/host"
	"hozon.dev/hozon/internal/host/hosttest"
	"hozon.dev/hozon/internal/seal"
)

// hozon runs the whole program and returns what it prints and its exit code.
func hozon(t *testing.T, args ...string) (out, talk string, code int) {
	t.Helper()
	return hozonAt(t, time.Now, args...)
}

// hozonAt is hozon with another clock.
func hozonAt(t *testing.T, now func() time.Time, args ...string) (out, talk string, code int) {
	t.Helper()
	var o, e bytes.Buffer
	code = cli.Run(t.Context(), &env.Env{In: strings.NewReader(""), Out: &o, Err: &e, Getenv: func(string) string { return "" }, Now: now, Name: "hozon", Version: "test"}, args)
	return o.String(), e.String(), code
}

func must(t *testing.T, args ...string) string {
	t.Helper()
	return mustAt(t, time.Now, args...)
}

// mustAt is must with another clock.
func mustAt(t *testing.T, now func() time.Time, args ...string) string {
	t.Helper()
	out, talk, code := hozonAt(t, now, args...)
	if code != env.ExitOK {
		t.Fatalf("hozon %s: exit code %d\n%s%s", strings.Join(args, " "), code, out, talk)
	}
	return out
}

func inventory(t *testing.T, hosts ...host.Spec) string {
	t.Helper()
	text, err := json.Marshal(map[string]any{"hosts": hosts})
	if err != nil {
		t.Fatal(err)
	}
	return file(t, "hosts.yaml", string(text))
}

func file(t *testing.T, name, text string) string {
	t.Helper()
	f := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(f, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return f
}

const marker = "marker-of-a-secret-that-must-not-be-seen"

// TestBackupCluster saves a control plane laid out as kubeadm does, with TLS and encrypted Secrets, and another machine with it, sealed: nothing is in the
// clear anywhere, the files come with owner and mode, and a Secret comes out again.
func TestBackupCluster(t *testing.T) {
	node := Start(t, "cp-1")
	node.Kubectl(t, "create namespace shop")
	node.Kubectl(t, "create secret generic key -n shop --from-literal=k="+marker)
	node.Kubectl(t, "create configmap settings -n shop --from-literal=colour=blue")
	node.Sh(t, "chown 1234:4321 /etc/kubernetes/pki/sa.key; chmod 0640 /etc/kubernetes/pki/sa.key")
	worker := hosttest.Start(t, "worker-1")
	WriteFile(t, worker, "/root/notes/install.txt", "by hand: "+marker, "0600")
	worker.Spec.Files = []string{"/root/notes"}

	key, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	identity := file(t, "key.txt", key.String())
	t.Chdir(t.TempDir())
	hosts := inventory(t, node.Spec, worker.Spec)
	stop := watch(t)
	out := must(t, "backup", "cluster", "-c", "prod", "--inventory", hosts, "--recipient", key.Recipient().String(), "-o", "json")
	stop()
	var r struct {
		File   string
		Sealed bool
		Etcd   struct{ Revision int64 }
		From   struct{ Host string }
	}
	if err := json.Unmarshal([]byte(out), &r); err != nil {
		t.Fatal(err)
	}
	if !r.Sealed || r.Etcd.Revision < 10 || r.From.Host != "cp-1" || !strings.HasPrefix(r.File, "hozon-workspace/prod_backup_") || !strings.HasSuffix(r.File, ".tar.gz.age") {
		t.Errorf("%s", out)
	}
	checkDisk(t)

	plain := unseal(t, r.File, key)
	listing := tar(t, plain, "--numeric-owner", "-tvzf", "-")
	for _, want := range []string{
		"-rw-r----- 1234/4321", "hosts/cp-1/files/etc/kubernetes/pki/sa.key", "hosts/cp-1/files/etc/kubernetes/manifests/etcd.yaml", "etcd/snapshot.db",
		"hosts/cp-1/files/srv/keys/encryption.yaml", "hosts/cp-1/files/srv/keys/tokens.csv", "hosts/cp-1/packages.txt", "hosts/worker-1/files/root/notes/install.txt",
	} {
		if !strings.Contains(listing, want) {
			t.Errorf("%q is not in the archive:\n%s", want, listing)
		}
	}
	if strings.Contains(listing, "var/lib/etcd") {
		t.Error("etcd's own folder is in the archive")
	}

	if out := must(t, "cluster", "inspect", r.File, "--identity", identity); !strings.Contains(out, "cp-1") || !strings.Contains(out, "Cannot be decoded:  <none>") {
		t.Errorf("%s", out)
	}
	store := t.TempDir()
	must(t, "cluster", "extract", r.File, "--identity", identity, "--as", "from-archive", "--store", store)
	must(t, "backup", "verify", "from-archive", "--store", store)
	items := tar(t, read(t, filepath.Join(store, "backups/from-archive/from-archive.tar.gz")), "--to-stdout", "-xzf", "-", "resources/secrets/namespaces/shop/key.json")
	if !strings.Contains(items, base64.StdEncoding.EncodeToString([]byte(marker))) {
		t.Errorf("the secret is not in the backup: %s", items)
	}
}

// checkDisk looks for the marker in everything that was written below the working folder.
func checkDisk(t *testing.T) {
	t.Helper()
	err := filepath.WalkDir(".", func(name string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		if bytes.Contains(read(t, name), []byte(marker)) {
			t.Errorf("%s holds a secret in the clear", name)
		}
		if info, err := d.Info(); err != nil || info.Mode().Perm() != 0o600 || strings.HasSuffix(name, ".part") {
			t.Errorf("%s: %v, %v", name, info.Mode(), err)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

func read(t *testing.T, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func unseal(t *testing.T, name string, key *age.X25519Identity) []byte {
	t.Helper()
	sealed := read(t, name)
	f, err := seal.Open(bytes.NewReader(sealed), int64(len(sealed)), seal.Identities{key})
	if err != nil {
		t.Fatal(err)
	}
	b := make([]byte, f.Size)
	if _, err := f.ReadAt(b, 0); err != nil && err.Error() != "EOF" {
		t.Fatal(err)
	}
	return b
}

// tar is the machine's own.
func tar(t *testing.T, in []byte, args ...string) string {
	t.Helper()
	c := exec.Command("tar", args...)
	c.Stdin = bytes.NewReader(in)
	out, err := c.CombinedOutput()
	if err != nil {
		t.Fatalf("tar %v: %v\n%s", args, err, out)
	}
	return string(out)
}

// TestBackupClusterRefuses are runs that must leave nothing behind.
func TestBackupClusterRefuses(t *testing.T) {
	worker := hosttest.Start(t, "worker-1")
	away := worker.Spec
	away.Name, away.Port = "away", 1
	t.Chdir(t.TempDir())
	for name, c := range map[string]struct {
		args []string
		want string
		code int
	}{
		"no name":       {nil, "-c NAME", env.ExitUsage},
		"no etcd":       {[]string{"-c", "a", "--inventory", inventory(t, worker.Spec)}, "no etcd answers on any of the 1 hosts", env.ExitFailed},
		"host away":     {[]string{"-c", "a", "--inventory", inventory(t, worker.Spec, away)}, "host away: ", env.ExitFailed},
		"bad inventory": {[]string{"-c", "a", "--inventory", file(t, "i", "hosts: 3")}, "inventory", env.ExitUsage},
		"bad recipient": {[]string{"-c", "a", "--recipient", "age1x"}, "recipients", env.ExitUsage},
	} {
		t.Run(name, func(t *testing.T) {
			out, talk, code := hozon(t, append([]string{"backup", "cluster"}, c.args...)...)
			if code != c.code || !strings.Contains(out+talk, c.want) {
				t.Errorf("exit code %d, want %d with %q\n%s%s", code, c.code, c.want, out, talk)
			}
		})
	}
	left, err := filepath.Glob("*/*")
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// TestPlain is an archive without recipients: it works, and says what that means.
func TestPlain(t *testing.T) {
	node := Start(t, "cp-1")
	t.Chdir(t.TempDir())
	if err := os.Mkdir("bmctl-workspace", 0o700); err != nil {
		t.Fatal(err)
	}
	out, talk, code := hozon(t, "backup", "cluster", "-c", "prod", "--inventory", inventory(t, node.Spec))
	if code != env.ExitOK || !strings.Contains(talk, "is not encrypted") || !strings.Contains(out, "verified") {
		t.Fatalf("exit code %d\n%s%s", code, out, talk)
	}
	archives, err := filepath.Glob("bmctl-workspace/prod_backup_*.tar.gz")
	if err != nil || len(archives) != 1 {
		t.Fatalf("%v, %v", archives, err)
	}
	if info, err := os.Stat(archives[0]); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	must(t, "cluster", "inspect", archives[0])
	for _, at := range []int{40, 3} { // in the snapshot, in the manifest
		bad := read(t, archives[0])
		bad[len(bad)*at/100] ^= 1
		name := file(t, "bad.tar.gz", string(bad))
		if out, talk, code := hozon(t, "cluster", "inspect", name); code != env.ExitFailed {
			t.Errorf("a damaged archive: exit code %d\n%s%s", code, out, talk)
		}
	}
	if out, talk, code := hozon(t, "backup", "cluster", "-c", "prod", "--inventory", inventory(t, node.Spec), "--backup-file", archives[0]); code != env.ExitUsage {
		t.Errorf("an archive was overwritten: exit code %d\n%s%s", code, out, talk)
	}
}
