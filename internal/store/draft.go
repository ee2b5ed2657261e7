// SPDX-License-Identifier: Apache-2.0

package store

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/klauspost/compress/gzip"

	"hozon.dev/hozon/internal/blob"
	"hozon.dev/hozon/internal/fail"
)

// cleanupTime bounds the work that an aborted run still does after its context has ended: all of it together.
const cleanupTime = 4 * time.Second

// Draft is a backup or restore that is being written. Exactly one of Commit and Abort ends it; Abort after Commit does nothing.
type Draft struct {
	store *Store
	claim Claim
	grace context.Context    // outlasts the work's context
	stop  context.CancelFunc // ends the renewal
	idle  chan struct{}      // closed when the renewal has ended

	mu    sync.Mutex
	files []FileInfo
	done  bool
}

// Begin claims a name and returns the draft. The context returned ends, with a fail.Busy cause, when the claim is lost to another run; all
// work on the draft belongs under it. fail.Exists: it exists; fail.Busy: another run writes it.
func (s *Store) Begin(ctx context.Context, sort Sort, name, run string) (context.Context, *Draft, error) {
	if err := CheckName(sort, name); err != nil {
		return nil, nil, err
	}
	if exists, err := s.exists(ctx, sort, name); err != nil {
		return nil, nil, err
	} else if exists {
		return nil, nil, fail.Errorf(fail.Exists, "%s %q already exists in %s; choose another name or delete it first", sort, name, s)
	}
	claim, grace := newClaim(sort, name, run, s.Now()), outlast(ctx)
	err := s.take(ctx, claim)
	if err == nil {
		err = s.refuseStrangers(ctx, claim)
	}
	if err != nil {
		s.giveBack(grace, claim)
		return nil, nil, fmt.Errorf("begin %s %s in %s: %w", sort, name, s, err)
	}
	work, d := s.draft(ctx, claim)
	return work, d, nil
}

// draft keeps a claim that was taken alive until the draft ends.
func (s *Store) draft(ctx context.Context, claim Claim) (context.Context, *Draft) {
	d := &Draft{store: s, claim: claim, idle: make(chan struct{})}
	work, lose := context.WithCancelCause(ctx)
	renewal, stop := context.WithCancel(ctx)
	d.stop = stop
	d.grace = outlast(ctx)
	go d.renew(renewal, lose)
	return work, d
}

// outlast returns a context for what is still done when ctx has ended; it ends cleanupTime after it.
func outlast(ctx context.Context) context.Context {
	grace, over := context.WithCancel(context.WithoutCancel(ctx))
	context.AfterFunc(ctx, func() { time.AfterFunc(cleanupTime, over) })
	return grace
}

// take puts the claim, after burying a dead run that held it.
func (s *Store) take(ctx context.Context, c Claim) error {
	for range 3 {
		err := s.putClaim(ctx, c, blob.PutOptions{IfAbsent: true})
		if err == nil {
			return nil
		}
		holder, readErr := s.claim(ctx, c.Kind, c.Name)
		switch {
		case readErr == nil && holder.same(c):
			return nil // only the answer to the put was lost
		case !fail.Is(err, fail.Exists):
			return err
		case fail.Is(readErr, fail.NotFound):
			continue
		case readErr != nil:
			return readErr
		case !holder.dead(s.Now()):
			return fail.As(fail.Busy, holder.busy())
		}
		if _, err := s.bury(ctx, holder); err != nil {
			return err
		}
	}
	return fail.Errorf(fail.Busy, "other runs keep taking the name")
}

// refuseStrangers refuses a folder that has files which no run of ours announced: another program may be at work.
func (s *Store) refuseStrangers(ctx context.Context, c Claim) error {
	files, err := s.Files(ctx, c.Kind, c.Name)
	if err != nil || len(files) == 0 {
		return err
	}
	return fail.Errorf(fail.Exists, "%s holds files of an unfinished %s that is not ours (%s); remove them with `hozon %s delete %s`",
		c.Kind.dir(c.Name), c.Kind, files[0].Name, c.Kind, c.Name)
}

// giveBack removes a claim, if it is there, of a run that does not begin, perhaps because its context has ended while it was taken. If that
// does not work, the claim is removed by a Sweep after its time.
func (s *Store) giveBack(grace context.Context, c Claim) {
	end, cancel := context.WithTimeout(grace, cleanupTime)
	defer cancel()
	if holder, err := s.claim(end, c.Kind, c.Name); err == nil && holder.same(c) {
		_ = s.bucket.Delete(end, claimKey(c.Kind, c.Name))
	}
}

func (d *Draft) renew(ctx context.Context, lose context.CancelCauseFunc) {
	defer close(d.idle)
	ticker := time.NewTicker(claimTTL / 3)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if err := d.hold(ctx); fail.Is(err, fail.Busy) {
			lose(err)
			return
		}
		fresh := d.claim
		fresh.Expires = d.store.Now().Add(claimTTL).UTC()
		// A passing fault is no loss: the next tick tries again, and the commit checks.
		_ = d.store.putClaim(ctx, fresh, blob.PutOptions{})
	}
}

// hold checks that the claim is still this run's: fail.Busy if it is certain that it is not.
func (d *Draft) hold(ctx context.Context) error {
	c, err := d.store.claim(ctx, d.claim.Kind, d.claim.Name)
	switch {
	case fail.Is(err, fail.NotFound):
		return fail.Errorf(fail.Busy, "the claim of run %s on %s %s is gone: another run took it for dead", d.claim.Run, d.claim.Kind, d.claim.Name)
	case err != nil:
		return err
	case c.Run != d.claim.Run:
		return fail.Errorf(fail.Busy, "%s %s: %w", d.claim.Kind, d.claim.Name, c.busy())
	}
	return nil
}

// Run is the id of the run that the draft belongs to.
func (d *Draft) Run() string { return d.claim.Run }

// Put stores one file with what write writes, streamed, and remembers its size and hash.
func (d *Draft) Put(ctx context.Context, f File, write func(io.Writer) error) (FileInfo, error) {
	name := f.Of(d.claim.Name)
	pr, pw := io.Pipe()
	sum := &summer{hash: sha256.New()}
	go func() {
		pw.CloseWithError(write(io.MultiWriter(sum, pw)))
	}()
	size, err := d.store.bucket.Put(ctx, d.key(f), pr, blob.PutOptions{})
	pr.CloseWithError(errors.Join(errAborted, err)) // a writer that is still at it must not wait for ever
	if err != nil {
		return FileInfo{}, fmt.Errorf("store %s of %s %s: %w", name, d.claim.Kind, d.claim.Name, err)
	}
	if size != sum.size {
		return FileInfo{}, fail.Errorf(fail.Corrupt, "store %s of %s %s: %d bytes written, %d stored", name, d.claim.Kind, d.claim.Name, sum.size, size)
	}
	info := FileInfo{Name: name, Size: size, SHA256: hex.EncodeToString(sum.hash.Sum(nil))}
	d.mu.Lock()
	d.files = append(d.files, info)
	d.mu.Unlock()
	return info, nil
}

var errAborted = errors.New("the store has stopped reading")

type summer struct {
	hash hash.Hash
	size int64
}

func (s *summer) Write(p []byte) (int, error) {
	s.size += int64(len(p))
	return s.hash.Write(p)
}

// PutJSON stores v as gzip JSON with a line feed at the end, as Velero writes its side files.
func (d *Draft) PutJSON(ctx context.Context, f File, v any) (FileInfo, error) {
	return d.Put(ctx, f, func(w io.Writer) error {
		gz := gzip.NewWriter(w)
		if err := json.NewEncoder(gz).Encode(v); err != nil {
			return err
		}
		return gz.Close()
	})
}

// Files are the files stored so far, by name.
func (d *Draft) Files() []FileInfo {
	d.mu.Lock()
	defer d.mu.Unlock()
	files := slices.Clone(d.files)
	slices.SortFunc(files, func(a, b FileInfo) int { return strings.Compare(a.Name, b.Name) })
	return files
}

// CommitBackup writes the manifest, to which it adds the list of files, and then the commit record. After it returned nil
// the backup exists; after it returned an error it does not, unless the error says that nobody can know.
func (d *Draft) CommitBackup(ctx context.Context, m *Manifest, record any) error {
	data, err := marshalRecord(record)
	if err != nil {
		return err
	}
	sum := sha256.Sum256(data)
	m.Files = append(d.Files(), FileInfo{Name: string(BackupRecord), Size: int64(len(data)), SHA256: hex.EncodeToString(sum[:])})
	manifest, err := marshalRecord(m)
	if err != nil {
		return err
	}
	if _, err := d.store.bucket.Put(ctx, d.key(ManifestFile), bytes.NewReader(manifest), blob.PutOptions{}); err != nil {
		return fmt.Errorf("store manifest of backup %s: %w", d.claim.Name, err)
	}
	return d.commit(ctx, data)
}

// CommitRestore writes the commit record of a restore.
func (d *Draft) CommitRestore(ctx context.Context, record any) error {
	data, err := marshalRecord(record)
	if err != nil {
		return err
	}
	return d.commit(ctx, data)
}

// marshalRecord writes JSON as Velero does its metadata: indented by two blanks, no line feed at the end.
func marshalRecord(v any) ([]byte, error) { return json.MarshalIndent(v, "", "  ") }

func (d *Draft) commit(ctx context.Context, record []byte) error {
	if err := d.hold(ctx); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	key := d.key(d.claim.Kind.record())
	_, err := d.store.bucket.Put(ctx, key, bytes.NewReader(record), blob.PutOptions{IfAbsent: true})
	if err != nil && !d.isOurs(key, record) {
		return fmt.Errorf("commit %s %s: %w", d.claim.Kind, d.claim.Name, err)
	}
	d.finish()
	end, cancel := context.WithTimeout(d.grace, cleanupTime)
	defer cancel()
	// The backup exists whatever becomes of the claim; a claim that stays is removed by the next Sweep.
	_ = d.store.bucket.Delete(end, claimKey(d.claim.Kind, d.claim.Name))
	return nil
}

// isOurs finds out whether a commit whose answer was lost arrived after all.
func (d *Draft) isOurs(key string, record []byte) bool {
	ctx, cancel := context.WithTimeout(d.grace, cleanupTime)
	defer cancel()
	r, err := d.store.bucket.Get(ctx, key, 0, -1)
	if err != nil {
		return false
	}
	defer r.Close()
	got, err := io.ReadAll(io.LimitReader(r, int64(len(record))+1))
	return err == nil && bytes.Equal(got, record)
}

// Abort removes what the draft has stored, as far as that is possible within a few seconds; what stays is removed by the next Sweep.
// It works after the context of Begin has ended, for those few seconds.
func (d *Draft) Abort(context.Context) error {
	if !d.finish() {
		return nil
	}
	end, cancel := context.WithTimeout(d.grace, cleanupTime)
	defer cancel()
	if err := d.hold(end); err != nil {
		return fmt.Errorf("abort %s %s: %w", d.claim.Kind, d.claim.Name, err)
	}
	if _, err := d.store.bury(end, d.claim); err != nil {
		return fmt.Errorf("abort %s %s: %w", d.claim.Kind, d.claim.Name, err)
	}
	return nil
}

// finish ends the renewal; it reports false if that was done before.
func (d *Draft) finish() bool {
	d.mu.Lock()
	before := d.done
	d.done = true
	d.mu.Unlock()
	d.stop()
	<-d.idle
	return !before
}

func (d *Draft) key(f File) string { return d.claim.Kind.dir(d.claim.Name) + f.Of(d.claim.Name) }
