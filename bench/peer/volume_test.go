// SPDX-License-Identifier: Apache-2.0

package peer

import (
	"context"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"hozon.dev/hozon/internal/blob"
	"hozon.dev/hozon/internal/blob/open"
	"hozon.dev/hozon/internal/transfer"
	"hozon.dev/hozon/internal/vault"
	"hozon.dev/hozon/internal/vault/kopia"
	"hozon.dev/hozon/internal/vault/vaulttest"
	"hozon.dev/hozon/test/daemon"
	"hozon.dev/hozon/test/s3server"
)

// repositories is a bucket, and the programs that read and write repositories in it.
type repositories struct {
	t            *testing.T
	s3           *s3server.Server
	bucket       blob.Bucket
	kopia, udm   string
	env          []string
	prefix, name string
}

func newRepositories(t *testing.T) *repositories {
	t.Helper()
	if os.Getenv("HOZON_PEER") == "" {
		t.Skip("builds kopia and Velero's library; HOZON_PEER=1 (make peer) runs it")
	}
	r := &repositories{t: t, s3: s3server.Start(t), prefix: kopia.Prefix("files"), name: "volumes"}
	must(t, r.s3.CreateBucket(r.name))
	t.Setenv("AWS_ACCESS_KEY_ID", r.s3.AccessKey)
	t.Setenv("AWS_SECRET_ACCESS_KEY", r.s3.SecretKey)
	var err error
	r.bucket, err = open.Bucket(t.Context(), "s3://"+r.name+"?endpoint="+r.s3.Endpoint, open.Options{})
	must(t, err)
	r.kopia, err = daemon.Build(t.Context(), "tools/build", "bench/kopia", "github.com/kopia/kopia", "kopia")
	must(t, err)
	r.udm, err = daemon.Build(t.Context(), "tools/build", "bench/udmrepo", ".", "udmrepo")
	must(t, err)
	return r
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (r *repositories) run(program string, args ...string) string {
	r.t.Helper()
	c := exec.CommandContext(r.t.Context(), program, args...)
	c.Env = append(os.Environ(), "KOPIA_PASSWORD="+vaulttest.Password, "HOME="+r.t.TempDir())
	var errs strings.Builder
	c.Stderr = &errs
	out, err := c.Output()
	if err != nil {
		r.t.Fatalf("%s %v: %v\n%s", filepath.Base(program), args, err, errs.String())
	}
	return strings.TrimSpace(string(out))
}

// velero runs a verb of Velero's own library.
func (r *repositories) velero(verb, folder string, more ...string) string {
	r.t.Helper()
	endpoint := strings.TrimPrefix(r.s3.Endpoint, "http://")
	return r.run(r.udm, append([]string{verb, endpoint, r.name, r.prefix, folder}, more...)...)
}

func (r *repositories) open() *kopia.Repository {
	r.t.Helper()
	opened, err := kopia.OpenWrite(r.t.Context(), r.bucket, r.prefix, kopia.Options{Password: vaulttest.Password})
	must(r.t, err)
	r.t.Cleanup(func() { must(r.t, opened.Close(context.WithoutCancel(r.t.Context()))) })
	return opened
}

func (r *repositories) save(opened *kopia.Repository, folder string) vault.Saved {
	r.t.Helper()
	saved, err := opened.Save(r.t.Context(), folder, vault.Source{Namespace: "files", Pod: "writer", Volume: "data"}, vault.SaveOptions{})
	must(r.t, err)
	if saved.Failed > 0 {
		r.t.Errorf("%+v", saved.Problems)
	}
	return saved
}

func (r *repositories) restore(opened *kopia.Repository, id string) string {
	r.t.Helper()
	tree, err := opened.Tree(r.t.Context(), id)
	must(r.t, err)
	if err := tree.Keeps().Lost; err != nil {
		r.t.Error(err)
	}
	to := r.t.TempDir()
	stats, err := transfer.Restore(r.t.Context(), transfer.Snapshot{Tree: tree}, to, transfer.Options{Devices: true}, nil)
	must(r.t, err)
	if stats.Failed > 0 {
		r.t.Errorf("%+v", stats.Problems)
	}
	return to
}

// written is a folder with what volumes have, and with what kopia's trees cannot hold.
func written(t *testing.T) string {
	t.Helper()
	root := t.TempDir()
	at := func(name string) string { return filepath.Join(root, name) }
	must(t, os.MkdirAll(at("folder/empty"), 0o750))
	for name, size := range map[string]int{"folder/large": 9 << 20, "small": 11, "none": 0, "odd \xff": 5, "folder/words": 200_000} {
		must(t, os.WriteFile(at(name), []byte(strings.Repeat("some words of "+name+" ", size/15+1))[:size], 0o640))
	}
	must(t, os.Link(at("small"), at("also small")))
	must(t, os.Symlink("folder/large", at("link")))
	must(t, unix.Mkfifo(at("pipe"), 0o600))
	must(t, unix.Lsetxattr(at("small"), "user.note", []byte("kept"), 0))
	if os.Geteuid() == 0 {
		must(t, os.Chown(at("small"), 1000, 2000))
	}
	must(t, os.Chmod(at("small"), 0o750|fs.ModeSetgid))
	return root
}

// asKopia is what kopia's own restore can bring back of a folder: folders get the time of what is newest in them.
func asKopia(t *testing.T, root string) []vaulttest.Entry {
	list := vaulttest.Kopia(vaulttest.Disk(t, root))
	for i := range list {
		if list[i].Type == "dir" || list[i].Type == "symlink" {
			list[i].ModTime = 0
		}
	}
	return list
}

// TestPeerVolume: kopia's own program and Velero's own code restore what we save, Velero goes on from our snapshots and we from its, and its maintenance
// leaves our sidecars.
func TestPeerVolume(t *testing.T) {
	r := newRepositories(t)
	must(t, kopia.Create(t.Context(), r.bucket, r.prefix, kopia.Options{Password: vaulttest.Password}))
	opened := r.open()
	source := written(t)
	first := r.save(opened, source)

	config := filepath.Join(t.TempDir(), "config")
	args := func(more ...string) []string {
		return append([]string{"--config-file=" + config, "--no-progress"}, more...)
	}
	r.run(r.kopia, args("repository", "connect", "s3", "--bucket="+r.name, "--prefix="+r.prefix, "--endpoint="+strings.TrimPrefix(r.s3.Endpoint, "http://"), "--disable-tls",
		"--access-key="+r.s3.AccessKey, "--secret-access-key="+r.s3.SecretKey, "--cache-directory="+t.TempDir(), "--override-username=default", "--override-hostname=default")...)
	r.run(r.kopia, args("snapshot", "verify", "--verify-files-percent=100")...)
	to := t.TempDir()
	r.run(r.kopia, args("snapshot", "restore", first.Snapshot.ID, to)...)
	vaulttest.Compare(t, asKopia(t, to), asKopia(t, source))

	to = t.TempDir()
	r.velero("restore", to, first.Snapshot.ID)
	vaulttest.Compare(t, asKopia(t, to), asKopia(t, source))

	must(t, os.WriteFile(filepath.Join(source, "later"), []byte("by Velero"), 0o600))
	must(t, os.Remove(filepath.Join(source, "odd \xff"))) // Velero cannot tell such names apart
	byVelero := r.velero("save", source, "snapshot-pod-volume/kopia/files/writer/data")
	to = r.restore(opened, byVelero)
	vaulttest.Compare(t, vaulttest.Kopia(vaulttest.Disk(t, to)), vaulttest.Kopia(vaulttest.Disk(t, source)))

	must(t, os.WriteFile(filepath.Join(source, "last"), []byte("by us"), 0o600))
	last := r.save(opened, source)
	if last.Incremental != 5 {
		t.Errorf("%d bytes were read on top of Velero's snapshot", last.Incremental)
	}
	r.velero("maintain", "")
	vaulttest.Compare(t, vaulttest.Disk(t, r.restore(opened, last.Snapshot.ID)), vaulttest.Disk(t, source))
}

// TestPeerVolumeOfVelero: a repository that Velero made is written to.
func TestPeerVolumeOfVelero(t *testing.T) {
	r := newRepositories(t)
	r.velero("create", "")
	opened := r.open()
	source := written(t)
	saved := r.save(opened, source)
	vaulttest.Compare(t, vaulttest.Disk(t, r.restore(opened, saved.Snapshot.ID)), vaulttest.Disk(t, source))
	to := t.TempDir()
	r.velero("restore", to, saved.Snapshot.ID)
	vaulttest.Compare(t, asKopia(t, to), asKopia(t, source))
	must(t, opened.Forget(t.Context(), saved.Snapshot.ID))
	if done, err := opened.Maintain(t.Context(), true); err != nil || done.Mode != kopia.Full || time.Since(done.End) > time.Hour {
		t.Errorf("%+v, %v", done, err)
	}
}
