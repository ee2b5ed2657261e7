// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/validation"

	velerov1 "hozon.dev/hozon/api/velero/v1"
	"hozon.dev/hozon/internal/blob"
	"hozon.dev/hozon/internal/fail"
)

// recordLimit bounds the JSON documents that are read into memory. Velero's metadata is a few KiB; a manifest
// of a million items has about 200 index blocks of 200 bytes.
const recordLimit = 16 << 20

// topLevel are the folders that a store may have (Velero's list). Others mean that the bucket belongs to something else.
var topLevel = []string{"backups", "restores", "restic", "metadata", "plugins", "kopia"}

// Store is a bucket that holds backups. Its methods may be called from several goroutines.
type Store struct {
	bucket blob.Bucket
	// Now is the clock that claims are dated and judged by; set before the first use.
	Now func() time.Time
}

// Open checks that b is empty or a store, and returns it. It writes nothing. The text of the refusal is Velero's.
func Open(ctx context.Context, b blob.Bucket) (*Store, error) {
	var foreign []string
	folders, err := blob.Folders(ctx, b, "")
	if err != nil {
		return nil, fmt.Errorf("open store %s: %w", b, err)
	}
	for _, folder := range folders {
		if name := strings.TrimSuffix(folder, "/"); !slices.Contains(topLevel, name) {
			foreign = append(foreign, name)
		}
	}
	if len(foreign) > 0 {
		return nil, fail.Errorf(fail.Invalid, "open store %s: Backup store contains invalid top-level directories: %v%s; "+
			"give a bucket or a prefix that holds nothing else", b, foreign[:min(3, len(foreign))], others(len(foreign)-3))
	}
	return &Store{bucket: b, Now: time.Now}, nil
}

func others(n int) string {
	if n <= 0 {
		return ""
	}
	return fmt.Sprintf(" and %d more", n)
}

// String names the store for messages.
func (s *Store) String() string { return s.bucket.String() }

// Seekable says that reading a part of a file costs less than reading all of it.
func (s *Store) Seekable() bool { return !s.bucket.Capabilities().WholeOnly }

// Bucket is where the store lies. There are other things than backups in it: repositories with the data of volumes.
func (s *Store) Bucket() blob.Bucket { return s.bucket }

// CheckName refuses names that cannot be the name of a backup or restore.
func CheckName(sort Sort, name string) error {
	if msgs := validation.IsDNS1123Subdomain(name); len(msgs) > 0 {
		return fail.Errorf(fail.Invalid, "%s name %q: %s", sort, name, msgs[0])
	}
	return nil
}

// Backups lists the names of the backups that exist, sorted. Folders without a commit record are no backups.
func (s *Store) Backups(ctx context.Context) ([]string, error) { return s.names(ctx, Backup) }

// Restores lists the names of the restores that were recorded, sorted.
func (s *Store) Restores(ctx context.Context) ([]string, error) { return s.names(ctx, Restore) }

// Folders lists the names of all folders that may hold a backup, sorted, committed or not: one listing, where Backups looks into each.
func (s *Store) Folders(ctx context.Context) ([]string, error) { return s.folders(ctx, Backup) }

func (s *Store) folders(ctx context.Context, sort Sort) ([]string, error) {
	var names []string
	root := string(sort) + "s/"
	folders, err := blob.Folders(ctx, s.bucket, root)
	if err != nil {
		return nil, fmt.Errorf("list %ss of %s: %w", sort, s, err)
	}
	for _, folder := range folders {
		if name := strings.TrimSuffix(strings.TrimPrefix(folder, root), "/"); CheckName(sort, name) == nil {
			names = append(names, name)
		}
	}
	return names, nil
}

func (s *Store) names(ctx context.Context, sort Sort) ([]string, error) {
	candidates, err := s.folders(ctx, sort)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, name := range candidates {
		exists, err := s.exists(ctx, sort, name)
		if err != nil {
			return nil, err
		}
		if exists {
			names = append(names, name)
		}
	}
	return names, nil
}

func (s *Store) exists(ctx context.Context, sort Sort, name string) (bool, error) {
	_, err := s.bucket.Stat(ctx, sort.dir(name)+sort.record().Of(name))
	if fail.Is(err, fail.NotFound) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("look for %s %s in %s: %w", sort, name, s, err)
	}
	return true, nil
}

// Backup reads the commit record of a backup. A record that names another backup is fail.Corrupt.
func (s *Store) Backup(ctx context.Context, name string) (*velerov1.Backup, error) {
	var b velerov1.Backup
	if err := s.readRecord(ctx, Backup, name, &b); err != nil {
		return nil, err
	}
	if b.Name != name || (b.Kind != "" && b.Kind != "Backup") {
		return nil, fail.Errorf(fail.Corrupt, "backup %s in %s: %s holds %s %q", name, s, BackupRecord, b.Kind, b.Name)
	}
	return &b, nil
}

// Restore reads the commit record of a restore that ran in store mode.
func (s *Store) Restore(ctx context.Context, name string) (*velerov1.Restore, error) {
	var r velerov1.Restore
	if err := s.readRecord(ctx, Restore, name, &r); err != nil {
		return nil, err
	}
	if r.Name != name {
		return nil, fail.Errorf(fail.Corrupt, "restore %s in %s: %s holds restore %q", name, s, RestoreRecord, r.Name)
	}
	return &r, nil
}

func (s *Store) readRecord(ctx context.Context, sort Sort, name string, into any) error {
	err := s.readJSON(ctx, sort, name, sort.record(), into)
	if fail.Is(err, fail.NotFound) {
		return fail.Errorf(fail.NotFound, "%s %q does not exist in %s; see `hozon %s get`", sort, name, s, sort)
	}
	return err
}

func (s *Store) readJSON(ctx context.Context, sort Sort, name string, f File, into any) error {
	r, err := s.Open(ctx, sort, name, f, 0, -1)
	if err != nil {
		return err
	}
	defer r.Close()
	data, err := io.ReadAll(io.LimitReader(r, recordLimit+1))
	if err != nil {
		return fmt.Errorf("read %s of %s %s: %w", f.Of(name), sort, name, err)
	}
	if len(data) > recordLimit {
		return fail.Errorf(fail.Corrupt, "read %s of %s %s: larger than %d bytes", f.Of(name), sort, name, recordLimit)
	}
	if err := json.Unmarshal(data, into); err != nil {
		return fail.Errorf(fail.Corrupt, "read %s of %s %s: %w", f.Of(name), sort, name, err)
	}
	return nil
}

// Open reads the stored bytes of one file, length of them from offset, or all after it if length < 0. The caller closes it.
func (s *Store) Open(ctx context.Context, sort Sort, name string, f File, offset, length int64) (io.ReadCloser, error) {
	if err := CheckName(sort, name); err != nil {
		return nil, err
	}
	r, err := s.bucket.Get(ctx, sort.dir(name)+f.Of(name), offset, length)
	if err != nil {
		return nil, fmt.Errorf("open %s of %s %s: %w", f.Of(name), sort, name, err)
	}
	return r, nil
}

// Files lists what lies in the folder of a backup or restore: name within the folder and size.
func (s *Store) Files(ctx context.Context, sort Sort, name string) ([]FileInfo, error) {
	if err := CheckName(sort, name); err != nil {
		return nil, err
	}
	var files []FileInfo
	dir := sort.dir(name)
	err := s.bucket.List(ctx, dir, false, func(i blob.Info) error {
		files = append(files, FileInfo{Name: strings.TrimPrefix(i.Key, dir), Size: i.Size})
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list files of %s %s: %w", sort, name, err)
	}
	return files, nil
}

// Delete removes a backup or restore: its commit record first, so that it is gone at once, then the rest. It is claimed like a run: what
// an interrupted deletion leaves is removed by the next Sweep.
// It returns fail.NotFound if there is no trace of it, and fail.Busy if a run is writing it.
func (s *Store) Delete(ctx context.Context, sort Sort, name string) error {
	files, err := s.Files(ctx, sort, name)
	if err != nil {
		return err
	}
	if c, err := s.claim(ctx, sort, name); err == nil && !c.dead(s.Now()) {
		return fail.Errorf(fail.Busy, "delete %s %s: %w", sort, name, c.busy())
	}
	if len(files) == 0 {
		return fail.Errorf(fail.NotFound, "%s %q does not exist in %s", sort, name, s)
	}
	claim := newClaim(sort, name, "delete-"+rand.Text(), s.Now())
	if err := s.take(ctx, claim); err != nil {
		return fmt.Errorf("delete %s %s: %w", sort, name, err)
	}
	work, d := s.draft(ctx, claim)
	if _, err := s.wipe(work, sort, name); err != nil {
		return fmt.Errorf("delete %s %s: %w", sort, name, errors.Join(err, d.Abort(ctx)))
	}
	d.finish()
	if err := s.bucket.Delete(ctx, claimKey(sort, name)); err != nil {
		return fmt.Errorf("delete %s %s: %w", sort, name, err)
	}
	return nil
}

// wipe removes every key of the folder, the commit record first, and reports whether there was any.
func (s *Store) wipe(ctx context.Context, sort Sort, name string) (bool, error) {
	dir := sort.dir(name)
	var keys []string
	err := s.bucket.List(ctx, dir, false, func(i blob.Info) error {
		keys = append(keys, i.Key)
		return nil
	})
	if err != nil || len(keys) == 0 {
		return false, err
	}
	record := dir + sort.record().Of(name)
	if i := slices.Index(keys, record); i > 0 {
		keys[0], keys[i] = keys[i], keys[0]
	}
	for _, key := range keys {
		if err := s.bucket.Delete(ctx, key); err != nil {
			return true, err
		}
	}
	return true, nil
}
