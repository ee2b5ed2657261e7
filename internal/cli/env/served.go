// SPDX-License-Identifier: Apache-2.0

package env

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"strings"

	"hozon.dev/hozon/internal/blob"
	"hozon.dev/hozon/internal/fail"
	"hozon.dev/hozon/internal/store"
	"hozon.dev/hozon/internal/velero"
)

// ServedStore is a store of the backups that a server gives out, ours or Velero's: enough to read one, and to plan a restore of it in this process.
func (e *Env) ServedStore(ctx context.Context, c velero.Client) (*store.Store, error) {
	if e.downloads.timeout == 0 {
		e.downloads.timeout = patience
	}
	return store.Open(ctx, &servedBucket{downloaded{c, e}})
}

// servedBucket is the bucket behind a server, as far as the server gives out its files: whole, and by the name of their backup.
type servedBucket struct{ files downloaded }

var errReadOnly = fail.Errorf(fail.Unsupported, "a server gives out files, and takes none")

func (b *servedBucket) String() string { return "the server in namespace " + b.files.client.Namespace }
func (b *servedBucket) Capabilities() blob.Capabilities {
	return blob.Capabilities{Sizeless: true, WholeOnly: true}
}

// List has nothing: what there is, the server's objects say.
func (b *servedBucket) List(context.Context, string, bool, func(blob.Info) error) error { return nil }

func (b *servedBucket) Put(context.Context, string, io.Reader, blob.PutOptions) (int64, error) {
	return 0, errReadOnly
}

func (b *servedBucket) Delete(context.Context, string) error { return errReadOnly }

func (b *servedBucket) Stat(ctx context.Context, key string) (blob.Info, error) {
	r, err := b.Get(ctx, key, 0, -1)
	if err != nil {
		return blob.Info{}, err
	}
	return blob.Info{Key: key, Size: -1}, r.Close()
}

func (b *servedBucket) Get(ctx context.Context, key string, offset, length int64) (io.ReadCloser, error) {
	folder, rest, _ := strings.Cut(key, "/")
	name, file, _ := strings.Cut(rest, "/")
	if folder != "backups" {
		return nil, fail.Errorf(fail.NotFound, "%s: a server does not give out this file", key)
	}
	if file == string(store.BackupRecord) {
		return b.record(ctx, name)
	}
	wanted := store.File(file)
	for known := range targets[store.Backup] {
		if known.Of(name) == file {
			wanted = known
		}
	}
	r, err := b.files.Open(ctx, store.Backup, name, wanted, 0, -1)
	if err != nil {
		return nil, err
	}
	if _, err := io.CopyN(io.Discard, r, offset); err != nil {
		return nil, errors.Join(err, r.Close())
	}
	if length < 0 {
		return r, nil
	}
	return partOf{io.LimitReader(r, length), r}, nil
}

type partOf struct {
	io.Reader
	io.Closer
}

// record is the Backup as the server has it.
func (b *servedBucket) record(ctx context.Context, name string) (io.ReadCloser, error) {
	backup, err := velero.Backups.Get(ctx, b.files.client, name)
	if err != nil {
		return nil, err
	}
	data, err := json.Marshal(backup)
	return io.NopCloser(bytes.NewReader(data)), err
}
