// SPDX-License-Identifier: Apache-2.0

// Package kopia opens repositories of kopia, such as Velero keeps below kopia/<namespace>/ of a location. It is the only place that
// imports kopia, and hides that a kopia repository is usually opened by a file with a configuration and a cache.
//
// Velero's snapshots (contract: its releases 1.10 to 1.18) have the source default@default:snapshot-pod-volume/kopia/<namespace>/<pod>/<claim or
// volume>, or snapshot-data-upload-download/kopia/<namespace>/<claim>, and are found by the ID of their manifest. In their trees there are no hard
// links, attributes, pipes and devices, and bytes of names that were not UTF-8 are lost.
//
// Beside what package vault promises: in memory are at most 24 MiB of packs and the pieces of the files that are open, a few MiB each, and the
// index, up to 64 MiB of it; a larger one only without Options.Cache, else it is in files there.
package kopia

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/kopia/kopia/repo"
	kopia "github.com/kopia/kopia/repo/blob"
	"github.com/kopia/kopia/repo/content"
	"github.com/kopia/kopia/repo/format"

	"hozon.dev/hozon/internal/blob"
	"hozon.dev/hozon/internal/fail"
	"hozon.dev/hozon/internal/vault"
)

// Options say how a repository is opened.
type Options struct {
	Password string
	Cache    string // an existing folder for an index that is large, for this repository only; empty: in memory
	Limit    int64  // bytes of files and folders that are kept in Cache, beside the index; 0: 768 MiB
}

// Prefix is where Velero keeps the repository of a namespace, in a location.
func Prefix(namespace string) string { return "kopia/" + namespace + "/" }

// Velero's identity: whoever writes under another one does not find Velero's snapshots to go on from.
const user, host = "default", "default"

// storageType is the name by which kopia finds our storage. The bucket travels in the context: nothing of it is written down.
const storageType = "hozon"

type storageKey struct{}

var register = sync.OnceFunc(func() {
	kopia.AddSupportedStorage(storageType, struct{}{}, func(ctx context.Context, _ *struct{}, _ bool) (kopia.Storage, error) {
		s, ok := ctx.Value(storageKey{}).(*storage)
		if !ok {
			return nil, errors.New("no bucket was given")
		}
		return s, nil
	})
})

// Repository is an open kopia repository.
type Repository struct {
	at      string // for messages
	rep     repo.Repository
	storage *storage
	folder  string // with the configuration, while it is written to; kopia locks a file beside it
}

var _ vault.Repository = (*Repository)(nil)

// Open opens the repository below prefix, which ends in "/", to read it.
func Open(ctx context.Context, b blob.Bucket, prefix string, o Options) (*Repository, error) {
	return open(ctx, &storage{near: vault.Near{Bucket: b}, prefix: prefix, readOnly: true}, o)
}

// OpenWrite opens it to write too.
func OpenWrite(ctx context.Context, b blob.Bucket, prefix string, o Options) (*Repository, error) {
	return open(ctx, &storage{near: vault.Near{Bucket: b}, prefix: prefix}, o)
}

func open(ctx context.Context, s *storage, o Options) (*Repository, error) {
	at := s.String()
	if err := s.checkFormat(ctx); err != nil {
		return nil, fmt.Errorf("open %s: %w", at, err)
	}
	cached, err := s.large(ctx)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", at, damaged(err))
	}
	folder, rep, err := connect(ctx, s, o, cached)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", at, explainOpen(err))
	}
	return &Repository{at: at, rep: rep, storage: s, folder: folder}, nil
}

// checkFormat looks at what kopia, when it does not know it, calls a wrong password.
func (s *storage) checkFormat(ctx context.Context) error {
	var out bytes.Buffer
	err := vault.Fetch(ctx, s.near.Bucket, s.key(format.KopiaRepositoryBlobID), 0, 1<<20, &out)
	if fail.Is(err, fail.NotFound) {
		return fail.Errorf(fail.NotFound, "there is none")
	}
	if err != nil {
		return err
	}
	j, err := format.ParseKopiaRepositoryJSON(out.Bytes())
	if err != nil {
		return fail.Errorf(fail.Corrupt, "%s: %w", format.KopiaRepositoryBlobID, err)
	}
	if j.EncryptionAlgorithm != format.DefaultFormatEncryption {
		return fail.Errorf(fail.Unsupported, "its format is newer than this program, which has to be updated: it is encrypted by %q", j.EncryptionAlgorithm)
	}
	return nil
}

// inMemory is how large an index is kept in memory even if there is a folder for it: about a million and a half pieces.
const inMemory = 64 << 20

// large says whether the index is to be kept in files. Whoever wants files has kopia keep each piece that is read in a file too, which for small files is most of
// the work of a restore; what is read is near in memory as it is (vault.Near).
func (s *storage) large(ctx context.Context) (bool, error) {
	var size int64
	for _, prefix := range []kopia.ID{"x", "n"} { // of kopia's indexes, those of epochs and older ones
		err := s.ListBlobs(ctx, prefix, func(m kopia.Metadata) error {
			size += max(m.Length, 0)
			return nil
		})
		if err != nil {
			return false, err
		}
	}
	return size > inMemory, nil
}

// connect writes the configuration that kopia wants to read, without any secret. When it was read it is removed, but for the folder of a repository
// that is written to. Cached says that there may be files in o.Cache.
func connect(ctx context.Context, s *storage, o Options, cached bool) (string, repo.Repository, error) {
	register()
	files := o.Cache
	if !cached {
		files = ""
	}
	config, err := json.Marshal(repo.LocalConfig{
		Storage:       &kopia.ConnectionInfo{Type: storageType, Config: &struct{}{}},
		Caching:       caching(files, o.Limit),
		ClientOptions: repo.ClientOptions{Hostname: host, Username: user, ReadOnly: s.readOnly, FormatBlobCacheDuration: -1},
	})
	if err != nil {
		return "", nil, err
	}
	folder, err := os.MkdirTemp(o.Cache, "hozon-kopia-")
	if err != nil {
		return "", nil, err
	}
	file := filepath.Join(folder, "config.json")
	if err := os.WriteFile(file, config, 0o600); err != nil {
		return "", nil, errors.Join(err, os.RemoveAll(folder))
	}
	fatal := func(error) {} // kopia would end the process; every call fails with the same reason
	rep, err := repo.Open(context.WithValue(ctx, storageKey{}, s), file, o.Password, &repo.Options{
		DisableRepositoryLog: true, DoNotWaitForUpgrade: true, OnFatalError: fatal, TimeNowFunc: s.now,
	})
	if err != nil || s.readOnly {
		return "", rep, errors.Join(err, os.RemoveAll(folder))
	}
	return folder, rep, nil
}

// caching keeps the index in files, and beside it some packs, as encrypted as in the bucket. Without sizes for these kopia panics. A limit is shared as
// Velero shares it: four fifths are for files. Nothing of it is swept before half of the limit is used.
func caching(folder string, limit int64) *content.CachingOptions {
	if folder == "" {
		return &content.CachingOptions{}
	}
	files, index := int64(256<<20), int64(512<<20)
	if limit > 0 {
		files, index = max(limit/5*4, 1), max(limit/5, 1)
	}
	return &content.CachingOptions{
		CacheDirectory:         folder,
		MetadataCacheSizeBytes: min(128<<20, max(index/2, 1)), MetadataCacheSizeLimitBytes: index,
		ContentCacheSizeBytes: min(64<<20, max(files/2, 1)), ContentCacheSizeLimitBytes: files,
	}
}

// newer are the words of kopia for formats that its release does not know. It has no error values for them.
var newer = []string{
	"does not support feature", "Unsupported format version", "handle repositories created using version", "is not supported", "unknown encryption algorithm",
	"unknown hash function", "unsupported splitter",
}

// explainOpen tells what keeps a repository from being opened, with the way out.
func explainOpen(err error) error {
	text := err.Error()
	switch {
	case errors.Is(err, repo.ErrInvalidPassword):
		return fail.Errorf(fail.Denied, "the password is wrong (or kopia.repository is damaged): Velero keeps it in the Secret velero-repo-credentials of its "+
			"namespace, under the key repository-password")
	case errors.Is(err, repo.ErrRepositoryUnavailableDueToUpgradeInProgress):
		return fail.Errorf(fail.Busy, "its format is being upgraded by kopia: wait until that has ended")
	case slices.ContainsFunc(newer, func(s string) bool { return strings.Contains(text, s) }):
		return fail.Errorf(fail.Unsupported, "its format is newer than this program, which has to be updated: %w", err)
	}
	return damaged(err)
}

// checksum is how kopia names the pack whose bytes are not what they were.
var checksum = regexp.MustCompile(`invalid checksum at ([pq][0-9a-f]+(?:-s[0-9a-f]+)?) offset \d+`)

// damaged is err as fail.Corrupt, unless it is known to be something else. What should be there and is not is damage too. Of all that kopia says of it the pack is
// left, the same for each file that is lost with it.
func damaged(err error) error {
	if err == nil || fail.Of(err) != fail.Unknown && !fail.Is(err, fail.NotFound) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	var gone *missing
	if errors.As(err, &gone) {
		return fail.As(fail.Corrupt, gone)
	}
	if m := checksum.FindStringSubmatch(err.Error()); m != nil {
		return fail.Errorf(fail.Corrupt, "pack %s is damaged: its bytes are not what was written", m[1])
	}
	return fail.As(fail.Corrupt, err)
}

// Close gives back what the repository holds.
func (r *Repository) Close(ctx context.Context) error {
	err := r.rep.Close(ctx)
	if r.folder != "" {
		err = errors.Join(err, os.RemoveAll(r.folder))
	}
	return err
}
