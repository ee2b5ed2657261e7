// SPDX-License-Identifier: Apache-2.0

package dr

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"go.etcd.io/etcd/etcdutl/v3/snapshot"
	"go.uber.org/zap"

	"hozon.dev/hozon/internal/dr/bundle"
	"hozon.dev/hozon/internal/fail"
	"hozon.dev/hozon/internal/host"
)

// walSize is what etcd reserves for the first file of a new log.
const walSize = 64 << 20

// memory is a folder that lies in memory, on Linux.
const memory = "/dev/shm"

// Scratch is where etcd's library makes the data folders: it works on files only. They hold every secret of the cluster in the clear.
type Scratch struct {
	Dir string // "": in memory
}

// free asks df.
func free(ctx context.Context, dir string) (int64, error) {
	here, err := host.Connect(ctx, host.Spec{Name: "localhost"})
	if err != nil {
		return 0, err
	}
	defer here.Close()
	out, err := here.Run(ctx, "df", "-Pk", "--", dir)
	if err != nil {
		return 0, err
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	fields := strings.Fields(lines[len(lines)-1])
	if len(fields) < 4 {
		return 0, fail.Errorf(fail.Unsupported, "df says nothing of %s", dir)
	}
	kib, err := strconv.ParseInt(fields[3], 10, 64)
	return kib << 10, err
}

func (s Scratch) root() string {
	if s.Dir != "" {
		return s.Dir
	}
	return memory
}

// check wants room for the snapshot, a copy of it, and a log.
func (s Scratch) check(ctx context.Context, snapshot int64) error {
	const way = "with --use-disk they lie in the clear in the folder of the restore for as long as it makes them"
	if _, err := os.Stat(s.root()); err != nil {
		return fail.Errorf(fail.Unsupported, "this machine has no folder in memory (%s) in which to make etcd's data: %s", memory, way)
	}
	left, err := free(ctx, s.root())
	if err != nil {
		return err
	}
	if need := 2*snapshot + snapshot/4 + walSize + 16<<20; left < need {
		return fail.Errorf(fail.Denied, "etcd's data needs %d MiB at %s, %d MiB are left: make room, or %s", need>>20, s.root(), left>>20, way)
	}
	return nil
}

func (s Scratch) of(p *Plan) string { return filepath.Join(s.root(), "hozon-restore-"+p.ID) }

// clean removes what is left, also of a run that was killed.
func (s Scratch) clean(p *Plan) error { return os.RemoveAll(s.of(p)) }

// unpack writes the snapshot to the scratch folder, once.
func (r *Restorer) unpack(ctx context.Context, p *Plan) (string, error) {
	dir := r.Scratch.of(p)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	name := filepath.Join(dir, "snapshot.db")
	if info, err := os.Stat(name); err == nil && info.Size() == r.Archive.snapshotSize() {
		return name, nil
	}
	from, err := r.Archive.Bundle.File(bundle.Snapshot)
	if err != nil {
		return "", err
	}
	f, err := os.OpenFile(name+".part", os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return "", err
	}
	_, err = io.Copy(f, breakable{ctx, from})
	if err = errors.Join(err, f.Close()); err != nil {
		return "", err
	}
	return name, os.Rename(f.Name(), name)
}

// breakable ends with its context.
type breakable struct {
	ctx context.Context
	io.Reader
}

func (r breakable) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.Reader.Read(p)
}

// stageData makes the data folder of a member and sends it to a place beside the one that is there.
func (r *Restorer) stageData(ctx context.Context, p *Plan, hp *HostPlan) error {
	if p.Tools {
		return r.makeThere(ctx, p, hp)
	}
	file, err := r.unpack(ctx, p)
	if err != nil {
		return fmt.Errorf("unpack etcd's snapshot: %w", err)
	}
	dir := filepath.Join(r.Scratch.of(p), hp.Name)
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	err = snapshot.NewV3(zap.NewNop()).Restore(snapshot.RestoreConfig{
		SnapshotPath: file, Name: hp.Member.Name, OutputDataDir: dir, PeerURLs: hp.Member.PeerURLs, InitialCluster: p.initialCluster(),
		InitialClusterToken: p.Token, RevisionBump: p.Bump, MarkCompacted: true,
	})
	if err != nil {
		return fmt.Errorf("make etcd's data for member %s: %w", hp.Member.Name, err)
	}
	return r.send(ctx, p, hp.Name, func(t *tar.Writer) error { return addFolder(ctx, t, dir) }, "stage-data", hp.dataArgs()...)
}

// dataArgs are what restore.sh has to know of etcd's folder: where it is, whose, and its mode; "" is what the archive does not say.
func (hp *HostPlan) dataArgs() []string {
	m, mode := hp.Member, ""
	if m.Mode != 0 {
		mode = strconv.FormatInt(m.Mode&0o7777, 8)
	}
	return []string{hp.Data, m.Owner, m.IDs, mode}
}

// makeThere sends the snapshot to a machine and has its own program make the data.
func (r *Restorer) makeThere(ctx context.Context, p *Plan, hp *HostPlan) error {
	from, err := r.Archive.Bundle.File(bundle.Snapshot)
	if err != nil {
		return err
	}
	h := r.hosts[hp.Name]
	if h == nil {
		return fail.Errorf(fail.NotFound, "machine %s is not connected", hp.Name)
	}
	args := append(hp.dataArgs(), hp.Tool, hp.Member.Name, p.initialCluster(), p.Token, strings.Join(hp.Member.PeerURLs, ","), strconv.FormatUint(p.Bump, 10))
	return h.Stream(ctx, breakable{ctx, from}, nil, script(p.ID, "make-data", args...)...)
}

// addFolder adds all that is below dir; owners are set where it arrives.
func addFolder(ctx context.Context, t *tar.Writer, dir string) error {
	return filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || name == dir {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		h := &tar.Header{Typeflag: tar.TypeReg, Mode: int64(info.Mode().Perm()), Size: info.Size(), ModTime: info.ModTime(), Format: tar.FormatPAX}
		if h.Name, err = filepath.Rel(dir, name); err != nil {
			return err
		}
		if d.IsDir() {
			h.Typeflag, h.Size, h.Name = tar.TypeDir, 0, h.Name+"/"
			return t.WriteHeader(h)
		}
		if err := t.WriteHeader(h); err != nil {
			return err
		}
		f, err := os.Open(name)
		if err != nil {
			return err
		}
		defer f.Close()
		_, err = io.Copy(t, breakable{ctx, f})
		return err
	})
}
