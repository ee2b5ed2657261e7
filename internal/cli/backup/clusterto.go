// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"hozon.dev/hozon/internal/cli/env"
	"hozon.dev/hozon/internal/dr"
	"hozon.dev/hozon/internal/dr/bundle"
	"hozon.dev/hozon/internal/etcd"
	"hozon.dev/hozon/internal/seal"
	"hozon.dev/hozon/internal/store"
)

// job is an archive that is being made.
type job struct {
	write    func(io.Writer) error // writes it in the clear
	say      func(format string, args ...any)
	manifest *bundle.Manifest // known after write
	etcd     *etcd.Status     // known once it was verified
}

// verify reads the archive back, unless that was done.
func (j *job) verify(ctx context.Context, r io.ReaderAt, size int64, with seal.Identities) error {
	if j.etcd != nil {
		return nil
	}
	j.say("Reading it back")
	if with != nil {
		opened, err := seal.Open(r, size, with)
		if err != nil {
			return err
		}
		r, size = opened, opened.Size
	}
	_, status, err := dr.Verify(ctx, r, size)
	j.etcd = &status
	return err
}

func (j *job) result(file string, size int64, sealed bool) result {
	m := j.manifest
	return result{
		Format: bundle.Format, Cluster: m.Cluster, Created: m.Created, File: file, Size: size, Sealed: sealed, Expires: m.Expires, Etcd: *j.etcd, From: m.Etcd,
		Files: len(m.Files), Warnings: append([]string{}, m.Warnings...),
	}
}

// spool writes the archive to the workspace in the clear, verifies it there, and makes it what write copies.
func (j *job) spool(ctx context.Context, e *env.Env) (remove func(), err error) {
	dir := env.Workspace()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return func() {}, fmt.Errorf("make the workspace: %w", err)
	}
	f, err := os.CreateTemp(dir, ".archive-*.part") // mode 0600
	if err != nil {
		return func() {}, fmt.Errorf("use the disk: %w", err)
	}
	remove = func() {
		f.Close()
		os.Remove(f.Name())
	}
	if err := j.write(f); err != nil {
		return remove, err
	}
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return remove, err
	}
	j.write = func(w io.Writer) error {
		_, err := io.Copy(w, io.NewSectionReader(f, 0, size))
		return err
	}
	return remove, j.verify(ctx, f, size, nil)
}

// sealed writes the archive sealed, if it is to be; with is what opens it again in this run.
func (j *job) sealed(w io.Writer, to seal.Recipients) (with seal.Identities, err error) {
	if len(to) == 0 {
		return nil, j.write(w)
	}
	sealer, with, err := seal.NewCheckedWriter(w, to)
	if err != nil {
		return nil, err
	}
	return with, errors.Join(j.write(sealer), sealer.Close())
}

// destination is where an archive goes.
type destination interface {
	put(context.Context, *job) (result, error)
}

func (o *clusterOptions) destination(ctx context.Context, e *env.Env, to seal.Recipients) (destination, error) {
	if o.useDisk && os.Geteuid() != 0 {
		return nil, env.Usagef("--use-disk needs root: the archive lies in the workspace in the clear for a while")
	}
	open := func() (*store.Store, error) { return e.OpenStore(ctx, true) }
	switch {
	case o.location != "" && (o.file != "" || e.StoreURL != ""):
		return nil, env.Usagef("--backup-location, --backup-file and --store exclude each other")
	case o.location != "":
		open = func() (*store.Store, error) { return e.OpenLocation(ctx, o.location) }
	case o.file != "" || e.StoreURL == "":
		if o.keep > 0 {
			return nil, env.Usagef("--keep is for archives in a store: give --store or --backup-location, and no --backup-file")
		}
		return fileDestination{o.path(e, len(to) > 0), to}, nil
	}
	s, err := open()
	if err != nil {
		return nil, err
	}
	shelf, err := s.Shelf(store.Clusters, o.cluster)
	return &storeDestination{shelf, filepath.Base(o.path(e, len(to) > 0)), to}, err
}

type fileDestination struct {
	name string
	to   seal.Recipients
}

// put writes a file, under another name until it is verified.
func (d fileDestination) put(ctx context.Context, j *job) (result, error) {
	if _, err := os.Lstat(d.name); err == nil {
		return result{}, env.Usagef("%s exists: give another --backup-file", d.name)
	}
	if err := os.MkdirAll(filepath.Dir(d.name), 0o700); err != nil {
		return result{}, fmt.Errorf("make the folder of the archive: %w", err)
	}
	f, err := os.OpenFile(d.name+".part", os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err != nil {
		return result{}, fmt.Errorf("create the archive: %w", err)
	}
	defer func() {
		f.Close()
		os.Remove(f.Name())
	}()
	with, err := j.sealed(f, d.to)
	if err != nil {
		return result{}, err
	}
	if err := f.Sync(); err != nil {
		return result{}, err
	}
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return result{}, err
	}
	if err := j.verify(ctx, f, size, with); err != nil {
		return result{}, fmt.Errorf("verify %s: %w", d.name, err)
	}
	if err := os.Link(f.Name(), d.name); err != nil { // unlike a rename it replaces nothing
		return result{}, err
	}
	return j.result(d.name, size, with != nil), nil
}

type storeDestination struct {
	shelf *store.Shelf
	name  string
	to    seal.Recipients
}

func (d *storeDestination) put(ctx context.Context, j *job) (result, error) {
	var with seal.Identities
	size, err := d.shelf.Put(ctx, d.name, func(w io.Writer) (err error) {
		with, err = j.sealed(w, d.to)
		return err
	})
	if err != nil {
		return result{}, err
	}
	stored, err := d.shelf.Open(ctx, d.name)
	if err == nil && stored.Size != size {
		err = fmt.Errorf("%d bytes were sent, %d are there", size, stored.Size)
	}
	if err == nil {
		err = j.verify(ctx, stored, size, with)
	}
	if err != nil {
		return result{}, errors.Join(fmt.Errorf("verify %s: %w", d.shelf.Name(d.name), err), d.shelf.Delete(context.WithoutCancel(ctx), d.name))
	}
	r := j.result(d.name, size, with != nil)
	if err := d.shelf.PutJSON(ctx, store.RecordOf(d.name), r); err != nil {
		return result{}, err
	}
	if err := d.shelf.Forget(ctx, d.name); err != nil {
		j.say("Warning: notes of failed runs are still there: %v", err)
	}
	r.File = d.shelf.Name(d.name)
	return r, nil
}

// noteTimeout bounds the writing of a note, also for a run that was told to end.
const noteTimeout = 20 * time.Second

// failed leaves a note in the store, from which the server makes a metric, and returns the reason.
func (d *storeDestination) failed(ctx context.Context, cluster string, now time.Time, reason error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), noteTimeout)
	defer cancel()
	if err := d.shelf.Fail(ctx, d.name, store.Failure{Cluster: cluster, At: now.UTC(), Error: reason.Error()}); err != nil {
		return errors.Join(reason, fmt.Errorf("and the note that it failed was not written: %w", err))
	}
	return reason
}

// prune deletes the oldest archives but keep of them. Their names order them by time.
func (d *storeDestination) prune(ctx context.Context, keep int, e *env.Env) error {
	files, err := d.shelf.List(ctx)
	if err != nil {
		return err
	}
	archives := slices.DeleteFunc(files, func(f string) bool { return !strings.HasSuffix(f, ".json") })
	slices.Sort(archives)
	for _, record := range archives[:max(0, len(archives)-keep)] {
		archive := strings.TrimSuffix(record, ".json")
		if err := d.shelf.Delete(ctx, record, archive); err != nil {
			return err
		}
		e.Say("Deleted %s", d.shelf.Name(archive))
	}
	return nil
}
