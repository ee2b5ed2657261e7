// SPDX-License-Identifier: Apache-2.0

package env

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/spf13/pflag"

	velerov1 "hozon.dev/hozon/api/velero/v1"
	"hozon.dev/hozon/internal/fail"
	"hozon.dev/hozon/internal/store"
	"hozon.dev/hozon/internal/velero"
)

// Files are the files of backups and restores, wherever they lie. A file that does not exist is fail.NotFound.
type Files interface {
	Open(ctx context.Context, sort store.Sort, name string, f store.File, offset, length int64) (io.ReadCloser, error)
	OpenText(ctx context.Context, sort store.Sort, name string, f store.File) (io.ReadCloser, error)
	ReadJSON(ctx context.Context, sort store.Sort, name string, f store.File, v any) error
	Manifest(ctx context.Context, backup string) (*store.Manifest, error)
}

// Optional reads a JSON file that need not exist. What a server cannot give just now is named on the server's behalf and left out: the rest
// of what is known is worth having.
func (p Place) Optional(ctx context.Context, sort store.Sort, name string, f store.File, v any) (found bool, err error) {
	err = p.ReadJSON(ctx, sort, name, f, v)
	switch {
	case err == nil:
		return true, nil
	case fail.Is(err, fail.NotFound):
		return false, nil
	case p.Server != nil && ctx.Err() == nil:
		p.say("Left out: %v", err)
		return false, nil
	}
	return false, err
}

// downloads are the flags of commands that read a file by way of a server.
type downloads struct {
	insecure bool
	cacert   string
	timeout  time.Duration
}

// patience is how long a server may take to say where a file is, unless told otherwise.
const patience = time.Minute

func (d *downloads) addFlags(f *pflag.FlagSet) {
	f.BoolVar(&d.insecure, "insecure-skip-tls-verify", false, "Do not check the certificate of the store that the server names.")
	f.StringVar(&d.cacert, "cacert", "", "File with the CA of the store that the server names (default: that of its location).")
	f.DurationVar(&d.timeout, "timeout", patience, "How long to wait for the server to say where the file is.")
}

// AddDownloadFlags registers the flags of commands that read a file by way of a server.
func (e *Env) AddDownloadFlags(f *pflag.FlagSet) { e.downloads.addFlags(f) }

// downloaded are files that the server lets us read.
type downloaded struct {
	client velero.Client
	env    *Env
}

// targets are the files that a server gives out.
var targets = map[store.Sort]map[store.File]velerov1.DownloadTargetKind{
	store.Backup: {
		store.Logs:            velerov1.DownloadTargetKindBackupLog,
		store.Archive:         velerov1.DownloadTargetKindBackupContents,
		store.Results:         velerov1.DownloadTargetKindBackupResults,
		store.ResourceList:    velerov1.DownloadTargetKindBackupResourceList,
		store.VolumeInfo:      velerov1.DownloadTargetKindBackupVolumeInfos,
		store.VolumeSnapshots: velerov1.DownloadTargetKindBackupVolumeSnapshots,
		store.ItemOperations:  velerov1.DownloadTargetKindBackupItemOperations,
	},
	store.Restore: {
		store.RestoreLogs:           velerov1.DownloadTargetKindRestoreLog,
		store.RestoreResults:        velerov1.DownloadTargetKindRestoreResults,
		store.RestoreResourceList:   velerov1.DownloadTargetKindRestoreResourceList,
		store.RestoreItemOperations: velerov1.DownloadTargetKindRestoreItemOperations,
		store.RestoreVolumeInfo:     velerov1.DownloadTargetKindRestoreVolumeInfo,
	},
}

// Open opens a whole file; a server gives out no parts.
func (d downloaded) Open(ctx context.Context, sort store.Sort, name string, f store.File, offset, length int64) (io.ReadCloser, error) {
	kind, ok := targets[sort][f]
	if !ok {
		return nil, fail.Errorf(fail.NotFound, "%s of %s %s: a server does not give out this file", f.Of(name), sort, name)
	}
	if offset != 0 || length >= 0 {
		return nil, fail.Errorf(fail.Unsupported, "%s of %s %s: a server gives out whole files only", f.Of(name), sort, name)
	}
	ca, err := d.ca(ctx, sort, name)
	if err != nil {
		return nil, err
	}
	o := velero.DownloadOptions{CA: ca, Insecure: d.env.downloads.insecure, Timeout: d.env.downloads.timeout}
	return d.client.Download(ctx, velerov1.DownloadTarget{Kind: kind, Name: name}, o)
}

// ca is what --cacert names, or else what the location of the backup has.
func (d downloaded) ca(ctx context.Context, sort store.Sort, name string) ([]byte, error) {
	if file := cmp.Or(d.env.downloads.cacert, d.env.setting("cacert")); file != "" {
		pem, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("--cacert: %w", err)
		}
		return pem, nil
	}
	backup := name
	if sort == store.Restore {
		r, err := velero.Restores.Get(ctx, d.client, name)
		if err != nil {
			return nil, err
		}
		backup = r.Spec.BackupName
	}
	b, err := velero.Backups.Get(ctx, d.client, backup)
	if err != nil {
		return nil, unless(fail.NotFound, err)
	}
	if b.Spec.StorageLocation == "" {
		return nil, nil
	}
	l, err := velero.StorageLocations.Get(ctx, d.client, b.Spec.StorageLocation)
	if err != nil || l.Spec.ObjectStorage == nil {
		return nil, unless(fail.NotFound, err)
	}
	return l.Spec.ObjectStorage.CACert, nil
}

// unless is err, but nil if it has the kind: the download itself will tell.
func unless(kind fail.Kind, err error) error {
	if fail.Is(err, kind) {
		return nil
	}
	return err
}

func (d downloaded) OpenText(ctx context.Context, sort store.Sort, name string, f store.File) (io.ReadCloser, error) {
	raw, err := d.Open(ctx, sort, name, f, 0, -1)
	if err != nil {
		return nil, err
	}
	gz, err := gzip.NewReader(raw)
	if err != nil {
		return nil, errors.Join(fail.Errorf(fail.Corrupt, "open %s of %s %s: %w", f.Of(name), sort, name, err), raw.Close())
	}
	return text{gz, raw}, nil
}

type text struct {
	*gzip.Reader
	raw io.Closer
}

func (t text) Close() error { return errors.Join(t.Reader.Close(), t.raw.Close()) }

// sideLimit bounds what a store may make us inflate into memory.
const sideLimit = 256 << 20

func (d downloaded) ReadJSON(ctx context.Context, sort store.Sort, name string, f store.File, v any) error {
	r, err := d.OpenText(ctx, sort, name, f)
	if err != nil {
		return err
	}
	defer r.Close()
	if err := json.NewDecoder(io.LimitReader(r, sideLimit)).Decode(v); err != nil {
		return fail.Errorf(fail.Corrupt, "read %s of %s %s: %w", f.Of(name), sort, name, err)
	}
	return nil
}

func (d downloaded) Manifest(_ context.Context, backup string) (*store.Manifest, error) {
	return nil, fail.Errorf(fail.NotFound, "the manifest of backup %s: a server does not give out this file", backup)
}
