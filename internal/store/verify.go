// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"slices"
	"strings"

	"github.com/klauspost/compress/gzip"

	"hozon.dev/hozon/internal/archive"
	"hozon.dev/hozon/internal/fail"
)

// damageLimit bounds the list of damages; the count goes on.
const damageLimit = 100

// Damage is one thing that is not as it was written.
type Damage struct {
	File string `json:"file"`
	What string `json:"what"`
}

// Verification is what reading every byte of a backup found.
type Verification struct {
	Backup   string   `json:"backup"`
	Phase    string   `json:"phase"`
	Manifest bool     `json:"manifest"` // false: made by another tool, checked as far as its own format goes
	Files    int      `json:"files"`
	Bytes    int64    `json:"bytes"` // as stored
	Items    int      `json:"items"`
	Damages  []Damage `json:"damages"`
	More     int      `json:"more,omitempty"` // damages beyond the first hundred
}

// Intact reports whether nothing was found.
func (v *Verification) Intact() bool { return len(v.Damages) == 0 }

func (v *Verification) damage(file, format string, args ...any) {
	if len(v.Damages) == damageLimit {
		v.More++
		return
	}
	v.Damages = append(v.Damages, Damage{file, fmt.Sprintf(format, args...)})
}

// Verify reads every byte of a backup and compares it with the manifest and the index (doc/format.md, section 6). progress hears the number of
// archive entries read so far. Damage is in the result; an error means that the backup could not be examined.
func (s *Store) Verify(ctx context.Context, name string, progress func(entries int)) (*Verification, error) {
	b, err := s.Backup(ctx, name)
	if err != nil {
		return nil, err
	}
	v := &Verification{Backup: name, Phase: string(b.Status.Phase), Damages: []Damage{}}
	m, err := s.Manifest(ctx, name)
	switch {
	case err == nil:
		v.Manifest = true
	case fail.Is(err, fail.Corrupt):
		v.damage(string(ManifestFile), "%v", err)
	case !fail.Is(err, fail.NotFound):
		return nil, err
	}
	stored, err := s.Files(ctx, Backup, name)
	if err != nil {
		return nil, err
	}
	c := &check{store: s, name: name, v: v, progress: progress}
	if m != nil {
		c.expect(m, stored)
	}
	if err := c.contents(ctx, stored); err != nil {
		return nil, err
	}
	if m != nil && m.Items != v.Items && v.Intact() {
		v.damage(string(ManifestFile), "says %d items, the archive has %d", m.Items, v.Items)
	}
	if b.Status.FormatVersion != "" && !strings.HasPrefix(b.Status.FormatVersion, "1.") {
		v.damage(string(BackupRecord), "says format version %q, which this program does not know", b.Status.FormatVersion)
	}
	return v, nil
}

// check is one verification under way.
type check struct {
	store    *Store
	name     string
	v        *Verification
	progress func(int)
	entries  int
	expected map[string]FileInfo // nil: there is no manifest
}

// expect compares the folder with the manifest's list.
func (c *check) expect(m *Manifest, stored []FileInfo) {
	c.expected = map[string]FileInfo{}
	for _, want := range m.Files {
		c.expected[want.Name] = want
		i := slices.IndexFunc(stored, func(f FileInfo) bool { return f.Name == want.Name })
		switch {
		case i < 0:
			c.v.damage(want.Name, "is missing")
		case stored[i].Size >= 0 && stored[i].Size != want.Size:
			c.v.damage(want.Name, "has %d bytes, the manifest says %d", stored[i].Size, want.Size)
		}
	}
	for _, f := range []File{Archive, Index, BackupRecord} {
		if _, ok := c.expected[f.Of(c.name)]; !ok {
			c.v.damage(string(ManifestFile), "does not list %s", f.Of(c.name))
		}
	}
}

// contents reads every file once: the archive and the index together, each of the others alone.
func (c *check) contents(ctx context.Context, stored []FileInfo) error {
	present := map[string]bool{}
	for _, f := range stored {
		present[f.Name] = true
	}
	archived, indexed := present[Archive.Of(c.name)], present[Index.Of(c.name)] && c.expected != nil
	if !archived && c.expected == nil {
		c.v.damage(Archive.Of(c.name), "is missing")
	}
	for _, f := range stored {
		if _, ok := c.expected[f.Name]; c.expected != nil && !ok && f.Name != string(ManifestFile) {
			c.v.damage(f.Name, "is not in the manifest")
			continue
		}
		c.v.Files++
		c.v.Bytes += max(f.Size, 0)
		var err error
		switch {
		case f.Name == Archive.Of(c.name):
			err = c.archive(ctx, indexed)
		case f.Name == Index.Of(c.name) && archived && indexed: // read with the archive
		case f.Name == string(ManifestFile) && c.expected != nil: // read before everything else
		default:
			err = c.side(ctx, File(f.Name))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// archive reads the archive, against the index if there is one.
func (c *check) archive(ctx context.Context, indexed bool) error {
	packed, err := c.open(ctx, Archive)
	if err != nil {
		return err
	}
	defer packed.Close()
	var sum archive.ReadSummary
	if indexed {
		index, err := c.open(ctx, Index)
		if err != nil {
			return err
		}
		defer index.Close()
		sum, err = archive.Verify(index, packed, archive.ReadOptions{}, c.entry)
		if err := c.judge(Archive, err); err != nil {
			return err
		}
		if err := c.hash(Index, index); err != nil {
			return err
		}
	} else {
		sum, err = archive.Read(packed, archive.ReadOptions{}, c.entry)
		if err := c.judge(Archive, err); err != nil {
			return err
		}
	}
	c.v.Items = sum.Items
	return c.hash(Archive, packed)
}

func (c *check) entry(e archive.Entry) error {
	if e.Err != nil {
		c.v.damage(Archive.Of(c.name), "%s: %v", e.Path, e.Err)
	}
	if c.entries++; c.progress != nil && c.entries%1024 == 0 {
		c.progress(c.entries)
	}
	return nil
}

// side reads one of the other files to its end; gzip files are inflated too, which checks their sums.
func (c *check) side(ctx context.Context, f File) error {
	raw, err := c.open(ctx, f)
	if err != nil {
		return err
	}
	defer raw.Close()
	if strings.HasSuffix(string(f), ".gz") {
		gz, err := gzip.NewReader(raw)
		if err == nil {
			_, err = io.Copy(io.Discard, gz)
		}
		if err != nil && !fail.Is(err, fail.Transient) {
			err = fail.As(fail.Corrupt, err)
		}
		if err := c.judge(f, err); err != nil {
			return err
		}
	}
	return c.hash(f, raw)
}

// judge makes corruption a damage; other errors end the verification.
func (c *check) judge(f File, err error) error {
	if fail.Is(err, fail.Corrupt) || fail.Is(err, fail.Unsupported) {
		c.v.damage(f.Of(c.name), "%v", err)
		return nil
	}
	return err
}

// hashing is a file that is hashed while it is read.
type hashing struct {
	io.Reader
	io.Closer
	sum hash.Hash
}

func (c *check) open(ctx context.Context, f File) (hashing, error) {
	r, err := c.store.Open(ctx, Backup, c.name, f, 0, -1)
	if err != nil {
		return hashing{}, err
	}
	sum := sha256.New()
	return hashing{io.TeeReader(r, sum), r, sum}, nil
}

// hash reads what is left of a file and compares its hash with the manifest's.
func (c *check) hash(f File, h hashing) error {
	if _, err := io.Copy(io.Discard, h); err != nil {
		return fmt.Errorf("read %s of backup %s: %w", f.Of(c.name), c.name, err)
	}
	want, ok := c.expected[f.Of(c.name)]
	if got := hex.EncodeToString(h.sum.Sum(nil)); ok && got != want.SHA256 {
		c.v.damage(f.Of(c.name), "has SHA-256 %s, the manifest says %s", got, want.SHA256)
	}
	return nil
}
