// SPDX-License-Identifier: Apache-2.0

package location_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	velerov1 "hozon.dev/hozon/api/velero/v1"
	"hozon.dev/hozon/internal/blob"
	"hozon.dev/hozon/internal/fail"
	"hozon.dev/hozon/internal/location"
)

func TestFile(t *testing.T) {
	mount := t.TempDir()
	open := func(provider, prefix string, mode velerov1.BackupStorageLocationAccessMode) (blob.Bucket, error) {
		loc := newLocation(provider, "bucket", map[string]string{"fspath": mount})
		loc.Spec.ObjectStorage.Prefix, loc.Spec.AccessMode = prefix, mode
		return location.Open(t.Context(), loc, location.Secrets{})
	}
	if _, err := open("file", "p", ""); !fail.Is(err, fail.NotFound) || !strings.Contains(err.Error(), "mount the volume at "+mount) {
		t.Errorf("a volume that is not mounted: %v", err)
	}
	if err := os.Mkdir(filepath.Join(mount, "bucket"), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := open("file", "a/b", velerov1.BackupStorageLocationAccessModeReadOnly); !fail.Is(err, fail.NotFound) {
		t.Errorf("a prefix that is not there, read-only: %v", err)
	}
	for _, provider := range []string{"file", "velero.io/file", "velero.io/fs"} {
		b, err := open(provider, "a/b", "")
		if err != nil {
			t.Fatal(err)
		}
		roundTrip(t, b)
		if _, ok := b.(blob.Signer); ok {
			t.Error("a folder says that it can sign URLs")
		}
	}
	if _, err := os.Stat(filepath.Join(mount, "bucket/a/b/backups/a/velero-backup.json")); err != nil {
		t.Error(err)
	}
	for _, path := range []string{"", "relative"} {
		loc := newLocation("file", "bucket", map[string]string{"fspath": path})
		if _, err := location.Open(t.Context(), loc, location.Secrets{}); !fail.Is(err, fail.Invalid) || !strings.Contains(err.Error(), "config.fspath") {
			t.Errorf("fspath %q: %v", path, err)
		}
	}
	loc := newLocation("file", "..", map[string]string{"fspath": mount})
	if _, err := location.Open(t.Context(), loc, location.Secrets{}); !fail.Is(err, fail.Invalid) {
		t.Errorf("a bucket that climbs: %v", err)
	}
	loc = newLocation("file", "bucket", map[string]string{"fspath": mount, "region": "x"})
	if _, err := location.Open(t.Context(), loc, location.Secrets{}); !fail.Is(err, fail.Invalid) || !strings.Contains(err.Error(), "valid keys are [fspath") {
		t.Errorf("a key of another provider: %v", err)
	}
}
