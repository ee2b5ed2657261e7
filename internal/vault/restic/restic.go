// SPDX-License-Identifier: Apache-2.0

package restic

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/klauspost/compress/zstd"

	"hozon.dev/hozon/internal/blob"
	"hozon.dev/hozon/internal/fail"
	"hozon.dev/hozon/internal/vault"
)

// Prefix is where Velero keeps the repository of a namespace, in a location.
func Prefix(namespace string) string { return "restic/" + namespace + "/" }

// Bounds of what is held in memory. restic's pieces of files end at 8 MiB; a folder is one piece, however many names it has.
const (
	maxFile    = 256 << 20 // index files, snapshots, keys
	maxPiece   = 64 << 20
	maxFolder  = 1 << 30
	maxKeys    = 20 // tried with the password: each costs half a second
	maxListing = 10_000_000
)

// id is a SHA-256.
type id [sha256.Size]byte

func (i id) String() string { return hex.EncodeToString(i[:]) }

func parseID(s string) (i id, err error) {
	if len(s) != 2*len(i) {
		return i, fmt.Errorf("%q is no ID", s[:min(len(s), 80)])
	}
	_, err = hex.Decode(i[:], []byte(s))
	return i, err
}

// UnmarshalJSON reads the hexadecimal form.
func (i *id) UnmarshalJSON(b []byte) (err error) {
	var s string
	if err := json.Unmarshal(b, &s); err != nil {
		return err
	}
	*i, err = parseID(s)
	return err
}

// Repository is an open restic repository.
type Repository struct {
	at     string // for messages
	near   vault.Near
	prefix string
	key    *key
	zstd   *zstd.Decoder
	index  lazyIndex
}

var _ vault.Repository = (*Repository)(nil)

// Open opens the repository below prefix, which ends in "/".
func Open(ctx context.Context, b blob.Bucket, prefix, password string) (*Repository, error) {
	r := &Repository{at: "repository " + strings.TrimSuffix(prefix, "/") + " in " + b.String(), near: vault.Near{Bucket: b}, prefix: prefix}
	err := r.unlock(ctx, password)
	if err == nil {
		err = r.readConfig(ctx)
	}
	if err == nil {
		// Concurrency 0: as many at once as there are processors; files are read side by side.
		r.zstd, err = zstd.NewReader(nil, zstd.WithDecoderConcurrency(0), zstd.WithDecoderMaxMemory(maxFolder))
	}
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", r.at, err)
	}
	return r, nil
}

// Close gives back what the repository holds.
func (r *Repository) Close(context.Context) error {
	r.zstd.Close()
	return nil
}

// unlock finds the key for the password.
func (r *Repository) unlock(ctx context.Context, password string) error {
	names, err := r.names(ctx, "keys/")
	if err != nil {
		return err
	}
	if len(names) == 0 {
		return fail.Errorf(fail.NotFound, "there is none")
	}
	var problems []error
	for _, name := range names[:min(len(names), maxKeys)] {
		data, err := r.plain(ctx, "keys/", name)
		if err == nil {
			if r.key, err = master(data, password); err == nil {
				return nil
			}
		}
		if ctx.Err() != nil {
			return err
		}
		if !errors.Is(err, errPassword) {
			problems = append(problems, fmt.Errorf("key %s: %w", name, err))
		}
	}
	if len(problems) == len(names) {
		return errors.Join(problems...)
	}
	return fail.Errorf(fail.Denied, "the password is wrong: Velero keeps it in the Secret velero-repo-credentials of its namespace, under the key repository-password")
}

func (r *Repository) readConfig(ctx context.Context) error {
	var out bytes.Buffer
	if err := vault.Fetch(ctx, r.near.Bucket, r.prefix+"config", 0, maxFile, &out); err != nil {
		return damaged("config", err)
	}
	text, err := r.key.open(out.Bytes())
	if err != nil {
		return fail.Errorf(fail.Corrupt, "config: %w", err)
	}
	var config struct {
		Version int `json:"version"`
	}
	if err := json.Unmarshal(text, &config); err != nil {
		return fail.Errorf(fail.Corrupt, "config: %w", err)
	}
	if config.Version < 1 || config.Version > 2 {
		return fail.Errorf(fail.Unsupported, "its format is %d: this program, which may have to be updated, reads 1 and 2", config.Version)
	}
	return nil
}

// damaged says that an object is not what it should be, or is not there, unless it just could not be read.
func damaged(what string, err error) error {
	if fail.Is(err, fail.NotFound) {
		return fail.Errorf(fail.Corrupt, "%s is missing", what)
	}
	return fmt.Errorf("%s: %w", what, err)
}

// names lists the objects of a folder whose names are IDs; what else lies there is passed over.
func (r *Repository) names(ctx context.Context, folder string) ([]string, error) {
	var names []string
	err := r.near.Bucket.List(ctx, r.prefix+folder, false, func(i blob.Info) error {
		name := i.Key[strings.LastIndexByte(i.Key, '/')+1:]
		if _, err := parseID(name); err == nil {
			names = append(names, name)
		}
		if len(names) > maxListing {
			return fail.Errorf(fail.Unsupported, "%s has more than %d files", folder, maxListing)
		}
		return nil
	})
	return names, err
}

// plain reads a file that is named by its hash.
func (r *Repository) plain(ctx context.Context, folder, name string) ([]byte, error) {
	var out bytes.Buffer
	if err := vault.Fetch(ctx, r.near.Bucket, r.prefix+folder+name, 0, maxFile, &out); err != nil {
		return nil, damaged(folder+name, err)
	}
	if sum := sha256.Sum256(out.Bytes()); hex.EncodeToString(sum[:]) != name {
		return nil, fail.Errorf(fail.Corrupt, "%s%s: its bytes are not what was written", folder, name)
	}
	return out.Bytes(), nil
}

// document reads an encrypted JSON file.
func (r *Repository) document(ctx context.Context, folder, name string, into any) error {
	data, err := r.plain(ctx, folder, name)
	if err != nil {
		return err
	}
	text, err := r.key.open(data)
	if err == nil && len(text) > 0 && text[0] != '{' && text[0] != '[' {
		text, err = r.unpackDocument(text)
	}
	if err == nil {
		err = json.Unmarshal(text, into)
	}
	if err != nil && fail.Of(err) == fail.Unknown {
		err = fail.As(fail.Corrupt, err)
	}
	if err != nil {
		return fmt.Errorf("%s%s: %w", folder, name, err)
	}
	return nil
}

// unpackDocument unpacks what begins with a byte that says how it is packed.
func (r *Repository) unpackDocument(text []byte) ([]byte, error) {
	if text[0] != 2 {
		return nil, fail.Errorf(fail.Unsupported, "it is packed in the unknown way %d", text[0])
	}
	return r.unpack(text[1:], maxFile)
}

// unpack decompresses to at most limit bytes.
func (r *Repository) unpack(data []byte, limit int) ([]byte, error) {
	var header zstd.Header
	if err := header.Decode(data); err != nil {
		return nil, err
	}
	if header.WindowSize > maxFolder || header.HasFCS && header.FrameContentSize > uint64(limit) {
		return nil, fmt.Errorf("it unpacks to more than %d bytes", limit)
	}
	out, err := r.zstd.DecodeAll(data, nil)
	if err == nil && len(out) > limit {
		err = fmt.Errorf("it unpacks to more than %d bytes", limit)
	}
	return out, err
}
