// SPDX-License-Identifier: Apache-2.0

package store

import (
	"bytes"
	"context"
	"fmt"

	velerov1 "hozon.dev/hozon/api/velero/v1"
	"hozon.dev/hozon/internal/blob"
	"hozon.dev/hozon/internal/fail"
)

// Rewrite replaces the commit record of a backup that another tool has uploaded and not brought to its end. A backup with a manifest, which
// vouches for its record, is refused with fail.Invalid: nothing of it changes after the commit.
func (s *Store) Rewrite(ctx context.Context, b *velerov1.Backup) error {
	if err := CheckName(Backup, b.Name); err != nil {
		return err
	}
	if _, err := s.bucket.Stat(ctx, Backup.dir(b.Name)+ManifestFile.Of(b.Name)); err == nil {
		return fail.Errorf(fail.Invalid, "rewrite the record of backup %s: it has a manifest, and is final", b.Name)
	} else if !fail.Is(err, fail.NotFound) {
		return fmt.Errorf("rewrite the record of backup %s: %w", b.Name, err)
	}
	data, err := marshalRecord(b)
	if err != nil {
		return err
	}
	if _, err := s.bucket.Put(ctx, Backup.dir(b.Name)+BackupRecord.Of(b.Name), bytes.NewReader(data), blob.PutOptions{}); err != nil {
		return fmt.Errorf("rewrite the record of backup %s: %w", b.Name, err)
	}
	return nil
}
