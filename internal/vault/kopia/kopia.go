// SPDX-License-Identifier: Apache-2.0

// Package kopia opens repositories of kopia, such as Velero keeps below kopia/<namespace>/ of a location. It is the only place that
// imports kopia, and hides that a kopia repository is usually opened by a file with a configuration and a cache.
//
// Velero's snapshots (contract: its releases 1.10 to 1.18) have the source default@default:snapshot-pod-volume/kopia/<namespace>/<pod>/<claim or
// volume>, or snapshot-data-upload-download/kopia/<namespace>/<claim>, and are found by the ID of their manifest. In their trees there are no hard
// links, attributes, pipes and devices, and bytes of names that were not UTF-8 are lost.
//
// Beside what package vault promises: in memory are at most 24 MiB of packs and the pieces of the files that are open, a few MiB each. The
// index is kept in memory without Options.Cache, else in files there.
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
	Cache    string // an existing folder for the index, for this repository only; empty: in memory
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
	folder, rep, err := connect(ctx, s, o)
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

// connect writes the configuration that kopia wants to read, without any secret. When it was read it is removed, but for the folder of a repository
// that is written to.
func connect(ctx context.Context, s *storage, o Options) (string, repo.Repository, error) {
	register()
	config, err := json.Marshal(repo.LocalConfig{
		Storage:       &kopia.ConnectionInfo{Type: storageType, Config: &struct{}{}},
		Caching:       caching(o.Cache),
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

// caching keeps the index in files, and beside it some packs, as encrypted as in the bucket. Without sizes for these kopia panics.
func caching(folder string) *content.CachingOptions {
	if folder == "" {
		return &content.CachingOptions{}
	}
	return &content.CachingOptions{
		CacheDirectory:         folder,
		MetadataCacheSizeBytes: 128 << 20, MetadataCacheSizeLimitBytes: 512 << 20,
		ContentCacheSizeBytes: 64 << 20, ContentCacheSizeLimitBytes: 256 << 20,
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
