// SPDX-License-Identifier: Apache-2.0

package store

import (
	"bytes"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"hozon.dev/hozon/internal/blob"
	"hozon.dev/hozon/internal/blob/mem"
	"hozon.dev/hozon/internal/fail"
)

func stored(t testing.TB, b blob.Bucket, key string) []byte {
	t.Helper()
	r, err := b.Get(t.Context(), key, 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	data, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func plant(t testing.TB, b blob.Bucket, key string, data []byte) {
	t.Helper()
	if _, err := b.Put(t.Context(), key, bytes.NewReader(data), blob.PutOptions{}); err != nil {
		t.Fatal(err)
	}
}

// FuzzFolder reads any commit record, manifest and side file as a backup. What cannot be read is said to be corrupt, or of a newer
// format; what can has the backup's own name; and nothing is intact unless the manifest says the same of every file.
func FuzzFolder(f *testing.F) {
	b := mem.New()
	s, err := Open(f.Context(), b)
	if err != nil {
		f.Fatal(err)
	}
	ctx, d, err := s.Begin(f.Context(), Backup, "a", "run-a")
	if err != nil {
		f.Fatal(err)
	}
	if _, err := d.PutJSON(ctx, Results, map[string]any{"errors": map[string]any{}}); err != nil {
		f.Fatal(err)
	}
	if err := d.CommitBackup(ctx, &Manifest{Format: ManifestFormat, Backup: "a"}, record("a")); err != nil {
		f.Fatal(err)
	}
	rec, man, side := stored(f, b, "backups/a/velero-backup.json"), stored(f, b, "backups/a/hozon-manifest.json"), stored(f, b, "backups/a/a-results.gz")
	f.Add(rec, man, side)
	f.Add(rec, []byte(nil), side)
	f.Add([]byte(`{"metadata":{"name":"b"}}`), []byte(`{"format":2}`), []byte("not gzip"))
	f.Add([]byte(`{"metadata":{"name":"a"},"status":{"formatVersion":"9"}}`), []byte(`{"format":1,"backup":"a","files":[{"name":"../x"},{"name":""}]}`), side[:len(side)/2])
	f.Fuzz(func(t *testing.T, rec, man, side []byte) {
		b := mem.New()
		plant(t, b, "backups/a/velero-backup.json", rec)
		if man != nil {
			plant(t, b, "backups/a/hozon-manifest.json", man)
		}
		plant(t, b, "backups/a/a-results.gz", side)
		s, err := Open(t.Context(), b)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := s.Backup(t.Context(), "a"); err == nil && got.Name != "a" {
			t.Errorf("read backup %q", got.Name)
		} else if err != nil && !fail.Is(err, fail.Corrupt) {
			t.Errorf("record: %v is %v", err, fail.Of(err))
		}
		if m, err := s.Manifest(t.Context(), "a"); err == nil && (m.Backup != "a" || m.Format != ManifestFormat) {
			t.Errorf("read manifest %+v", m)
		} else if err != nil && !slices.Contains([]fail.Kind{fail.Corrupt, fail.Unsupported, fail.NotFound}, fail.Of(err)) {
			t.Errorf("manifest: %v is %v", err, fail.Of(err))
		}
		if v, err := s.Verify(t.Context(), "a", nil); err == nil && v.Intact() {
			t.Error("a backup without an archive is intact")
		}
		var results map[string]any
		if err := s.ReadJSON(t.Context(), Backup, "a", Results, &results); err != nil && !fail.Is(err, fail.Corrupt) {
			t.Errorf("side file: %v is %v", err, fail.Of(err))
		}
	})
}

// FuzzClaim sweeps a bucket in which anything at all lies in the place of a claim. A committed backup outlives every one of them.
func FuzzClaim(f *testing.F) {
	f.Add([]byte(`{"run":"r","kind":"backup","name":"a","expires":"2020-01-01T00:00:00Z"}`), "backup-a")
	f.Add([]byte(`{"run":"r","kind":"backup","name":"b","host":"h","pid":-1,"expires":"2199-01-01T00:00:00Z"}`), "backup-b")
	f.Add([]byte(`{"kind":"restore","name":"../../backups/a"}`), "restore-x")
	f.Add([]byte("{"), "backup-")
	f.Fuzz(func(t *testing.T, claim []byte, name string) {
		key := runsPrefix + name + ".json"
		if blob.CheckKey(key) != nil {
			return
		}
		b := mem.New()
		plant(t, b, "backups/a/velero-backup.json", []byte(`{"metadata":{"name":"a"}}`))
		plant(t, b, key, claim)
		s, err := Open(t.Context(), b)
		if err != nil {
			t.Fatal(err)
		}
		s.Now = func() time.Time { return time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC) }
		if _, err := s.Sweep(t.Context()); err != nil && !fail.Is(err, fail.Corrupt) {
			t.Errorf("%v is %v", err, fail.Of(err))
		}
		if names, err := s.Backups(t.Context()); err != nil || !slices.Equal(names, []string{"a"}) {
			t.Errorf("after the sweep: %v, %v", names, err)
		}
	})
}

// FuzzDebt reads any bytes as what a dead run owes. Nothing of another backup is taken, and who is told that it is unreadable is told where.
func FuzzDebt(f *testing.F) {
	f.Add([]byte(`{"backup":"a","run":"r","cluster":"c","ordered":1,"pods":[{"namespace":"n","name":"p","uid":"u"}]}`))
	f.Add([]byte(`{"backup":"b"}`))
	f.Add([]byte(`{"backup":"a","pods":[`))
	f.Fuzz(func(t *testing.T, text []byte) {
		b := mem.New()
		plant(t, b, debtKey("a"), text)
		s, err := Open(t.Context(), b)
		if err != nil {
			t.Fatal(err)
		}
		d, err := s.Debt(t.Context(), "a")
		if err == nil && d.Backup != "a" {
			t.Errorf("%+v", d)
		}
		if err != nil && (!fail.Is(err, fail.Corrupt) || !strings.Contains(err.Error(), debtKey("a"))) {
			t.Errorf("%v is %v", err, fail.Of(err))
		}
		if names, err := s.Debtors(t.Context()); err != nil || !slices.Equal(names, []string{"a"}) {
			t.Errorf("%v, %v", names, err)
		}
	})
}
