// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"hozon.dev/hozon/internal/blob"
	"hozon.dev/hozon/internal/blob/mem"
	"hozon.dev/hozon/internal/fail"
)

func snapshot(id string) Snapshot {
	return Snapshot{Spec: SnapshotSpec{Location: "disks", Volume: "pv-" + id, VolumeID: "v-" + id}, Status: SnapshotStatus{ID: id}}
}

// ids are those of what is loose.
func ids(t *testing.T, s *Store, taking Taking) string {
	t.Helper()
	loose, err := s.Loose(t.Context(), taking)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, one := range loose {
		all = append(all, one.Status.ID)
	}
	return strings.Join(all, " ")
}

// TestTakings: nothing of a run that lives is loose, all of a dead one is, and of a committed one what its backup does not list.
func TestTakings(t *testing.T) {
	s, err := Open(t.Context(), mem.New())
	if err != nil {
		t.Fatal(err)
	}
	ctx, draft, err := s.Begin(t.Context(), Backup, "b", "run-1")
	if err != nil {
		t.Fatal(err)
	}
	first := Taking{Backup: "b", Run: "run-1", Cluster: "c", Namespace: "velero", Snapshots: []Snapshot{snapshot("1"), snapshot("")}}
	if err := s.PutTaking(ctx, first); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Loose(ctx, first); !fail.Is(err, fail.Busy) {
		t.Errorf("while its run lives: %v", err)
	}
	if err := draft.Abort(ctx); err != nil {
		t.Fatal(err)
	}
	if got := ids(t, s, first); got != "1 " {
		t.Errorf("of a run that came to nothing %q is loose", got)
	}
	second := Taking{Backup: "b", Run: "run-2", Cluster: "c", Namespace: "velero", Snapshots: []Snapshot{snapshot("2"), snapshot("3")}}
	committed(t, s, second, second.Snapshots[:1])
	if got := ids(t, s, second); got != "3" {
		t.Errorf("of the run that was committed %q is loose", got)
	}
	if got := ids(t, s, first); got != "1 " {
		t.Errorf("of the first run %q is loose after the second", got)
	}
	got, err := s.Takings(t.Context(), "b")
	if diff := cmp.Diff([]Taking{first, second}, got); diff != "" || err != nil {
		t.Errorf("%v -want +got:\n%s", err, diff)
	}
	for range 2 { // the second time there is none
		if err := s.DropTaking(t.Context(), first); err != nil {
			t.Fatal(err)
		}
	}
	if got, err = s.Takings(t.Context(), ""); err != nil || len(got) != 1 || got[0].Run != "run-2" {
		t.Errorf("%+v, %v", got, err)
	}
}

// committed makes the backup of a run, which lists some snapshots.
func committed(t *testing.T, s *Store, taking Taking, listed []Snapshot) {
	t.Helper()
	ctx, d, err := s.Begin(t.Context(), Backup, taking.Backup, taking.Run)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.PutTaking(ctx, taking); err != nil {
		t.Fatal(err)
	}
	if _, err := d.PutJSON(ctx, VolumeSnapshots, listed); err != nil {
		t.Fatal(err)
	}
	if err := d.CommitBackup(ctx, &Manifest{Format: ManifestFormat, Backup: taking.Backup}, record(taking.Backup)); err != nil {
		t.Fatal(err)
	}
}

// TestTakingOfExpired: a run whose claim has expired cannot be committed any more once its snapshots were called loose.
func TestTakingOfExpired(t *testing.T) {
	s, err := Open(t.Context(), mem.New())
	if err != nil {
		t.Fatal(err)
	}
	ctx, d, err := s.Begin(t.Context(), Backup, "b", "run-1")
	if err != nil {
		t.Fatal(err)
	}
	taking := Taking{Backup: "b", Run: "run-1", Snapshots: []Snapshot{snapshot("1")}}
	if err := s.PutTaking(ctx, taking); err != nil {
		t.Fatal(err)
	}
	s.Now = func() time.Time { return time.Now().Add(time.Hour) }
	if got := ids(t, s, taking); got != "1" {
		t.Errorf("%q is loose", got)
	}
	err = d.CommitBackup(context.WithoutCancel(ctx), &Manifest{Format: ManifestFormat, Backup: "b"}, record("b"))
	if !fail.Is(err, fail.Busy) {
		t.Errorf("the run was committed: %v", err)
	}
}

// TestHostileTakings: what somebody else wrote is named, names that cannot be are passed over, and the others are read.
func TestHostileTakings(t *testing.T) {
	bucket := mem.New()
	s, err := Open(t.Context(), bucket)
	if err != nil {
		t.Fatal(err)
	}
	for key, text := range map[string]string{
		"a/r.json": `{"backup":"a","run":"r"}`, "a/other.json": `{"backup":"a","run":"r"}`, "b/r.json": `[`, "UPPER/r.json": "{}", "c/UPPER.json": "{}", "x": "{}", "d/e/f.json": "{}",
	} {
		if _, err := bucket.Put(t.Context(), takingsPrefix+key, strings.NewReader(text), blob.PutOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	got, err := s.Takings(t.Context(), "")
	if len(got) != 1 || got[0].Backup != "a" || !fail.Is(err, fail.Corrupt) || !strings.Contains(err.Error(), "b/r.json") || !strings.Contains(err.Error(), "a/other.json") {
		t.Errorf("%+v, %v", got, err)
	}
}
