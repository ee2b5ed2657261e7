// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	velerov1 "hozon.dev/hozon/api/velero/v1"
	"hozon.dev/hozon/internal/blob"
	"hozon.dev/hozon/internal/blob/dir"
	"hozon.dev/hozon/internal/blob/faulty"
	"hozon.dev/hozon/internal/blob/mem"
	"hozon.dev/hozon/internal/fail"
)

// each runs a test over a folder and over memory.
func each(t *testing.T, test func(t *testing.T, b blob.Bucket)) {
	t.Run("mem", func(t *testing.T) { test(t, mem.New()) })
	t.Run("dir", func(t *testing.T) {
		b, err := dir.Open(t.TempDir(), false)
		if err != nil {
			t.Fatal(err)
		}
		test(t, b)
	})
}

func open(t *testing.T, b blob.Bucket) *Store {
	t.Helper()
	s, err := Open(t.Context(), b)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func keys(t *testing.T, b blob.Bucket) []string {
	t.Helper()
	var out []string
	err := b.List(context.Background(), "", false, func(i blob.Info) error {
		out = append(out, i.Key)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func record(name string) *velerov1.Backup {
	return &velerov1.Backup{
		TypeMeta:   metav1.TypeMeta{APIVersion: velerov1.APIVersion, Kind: "Backup"},
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "velero"},
		Status:     velerov1.BackupStatus{Phase: velerov1.BackupPhaseCompleted},
	}
}

func begin(t *testing.T, s *Store, name string) (context.Context, *Draft) {
	t.Helper()
	ctx, d, err := s.Begin(t.Context(), Backup, name, "run-"+name)
	if err != nil {
		t.Fatal(err)
	}
	return ctx, d
}

func makeBackup(t *testing.T, s *Store, name string) {
	t.Helper()
	ctx, d := begin(t, s, name)
	if _, err := d.PutJSON(ctx, Results, map[string]any{}); err != nil {
		t.Fatal(err)
	}
	if err := d.CommitBackup(ctx, &Manifest{Format: ManifestFormat, Backup: name}, record(name)); err != nil {
		t.Fatal(err)
	}
}

func wantKind(t *testing.T, err error, kind fail.Kind, text string) {
	t.Helper()
	if !fail.Is(err, kind) || !strings.Contains(err.Error(), text) {
		t.Fatalf("error %v (%v), want kind %v and %q in its text", err, fail.Of(err), kind, text)
	}
}

func TestBackupIsListedOnlyAfterCommit(t *testing.T) {
	each(t, func(t *testing.T, b blob.Bucket) {
		s := open(t, b)
		ctx, d := begin(t, s, "monday")
		info, err := d.Put(ctx, Archive, func(w io.Writer) error { _, err := io.WriteString(w, "archive"); return err })
		if err != nil {
			t.Fatal(err)
		}
		if info.Name != "monday.tar.gz" || info.Size != 7 || len(info.SHA256) != 64 {
			t.Errorf("unexpected file info %+v", info)
		}
		if names, err := s.Backups(ctx); err != nil || len(names) != 0 {
			t.Fatalf("listed %v, %v before the commit", names, err)
		}
		if err := d.CommitBackup(ctx, &Manifest{Format: 1, Backup: "monday"}, record("monday")); err != nil {
			t.Fatal(err)
		}
		want := []string{"backups/monday/hozon-manifest.json", "backups/monday/monday.tar.gz", "backups/monday/velero-backup.json"}
		if diff := cmp.Diff(want, keys(t, b)); diff != "" {
			t.Error(diff)
		}
		m, err := s.Manifest(t.Context(), "monday")
		if err != nil {
			t.Fatal(err)
		}
		if f, ok := m.File("monday.tar.gz"); !ok || f != info {
			t.Errorf("manifest has %+v, want %+v", f, info)
		}
		if _, ok := m.File("velero-backup.json"); !ok {
			t.Error("the manifest does not list the commit record")
		}
		if err := d.Abort(t.Context()); err != nil || len(keys(t, b)) != 3 {
			t.Errorf("Abort after Commit did something: %v", err)
		}
	})
}

func TestFailedWriterStoresNothing(t *testing.T) {
	each(t, func(t *testing.T, b blob.Bucket) {
		s := open(t, b)
		ctx, d := begin(t, s, "monday")
		cause := errors.New("the cluster is gone")
		_, err := d.Put(ctx, Archive, func(w io.Writer) error {
			_, _ = io.WriteString(w, "half of an arch")
			return cause
		})
		if !errors.Is(err, cause) {
			t.Fatalf("error %v, want the cause", err)
		}
		if err := d.Abort(ctx); err != nil {
			t.Fatal(err)
		}
		if left := keys(t, b); len(left) != 0 {
			t.Errorf("left behind: %v", left)
		}
	})
}

func TestNamesAreTakenOnce(t *testing.T) {
	each(t, func(t *testing.T, b blob.Bucket) {
		s := open(t, b)
		makeBackup(t, s, "monday")
		_, _, err := s.Begin(t.Context(), Backup, "monday", "other")
		wantKind(t, err, fail.Exists, `backup "monday" already exists`)

		_, d := begin(t, s, "tuesday")
		_, _, err = s.Begin(t.Context(), Backup, "tuesday", "other")
		wantKind(t, err, fail.Busy, "run run-tuesday")
		wantKind(t, s.Delete(t.Context(), Backup, "tuesday"), fail.Busy, "is working on it")
		if err := d.Abort(t.Context()); err != nil {
			t.Fatal(err)
		}
		begin(t, s, "tuesday")

		_, _, err = s.Begin(t.Context(), Backup, "Not A Name", "x")
		wantKind(t, err, fail.Invalid, `"Not A Name"`)
	})
}

// deadPID is the number of a process that has ended.
func deadPID(t *testing.T) int {
	t.Helper()
	cmd := exec.Command("true")
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
	return cmd.Process.Pid
}

// abandon leaves a draft as a killed process leaves it.
func abandon(t *testing.T, b blob.Bucket, s *Store, name string) {
	t.Helper()
	ctx, d := begin(t, s, name)
	if _, err := d.PutJSON(ctx, Results, "x"); err != nil {
		t.Fatal(err)
	}
	d.finish()
	c := d.claim
	c.PID = deadPID(t)
	if err := s.putClaim(ctx, c, blob.PutOptions{}); err != nil {
		t.Fatal(err)
	}
}

func TestDeadRunsAreSwept(t *testing.T) {
	each(t, func(t *testing.T, b blob.Bucket) {
		s := open(t, b)
		makeBackup(t, s, "good")
		before := keys(t, b)
		abandon(t, b, s, "dead")
		_, live := begin(t, s, "live")
		swept, err := s.Sweep(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{"backup dead"}, swept); diff != "" {
			t.Error(diff)
		}
		if err := live.Abort(t.Context()); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(before, keys(t, b)); diff != "" {
			t.Error(diff)
		}
	})
}

func TestNameOfDeadRunIsTakenOver(t *testing.T) {
	each(t, func(t *testing.T, b blob.Bucket) {
		s := open(t, b)
		abandon(t, b, s, "monday")
		makeBackup(t, s, "monday")
		if swept, err := s.Sweep(t.Context()); err != nil || len(swept) != 0 {
			t.Errorf("swept %v, %v", swept, err)
		}
	})
}

func TestExpiredClaimIsDead(t *testing.T) {
	now := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	c := newClaim(Backup, "a", "r", now)
	tests := []struct {
		name   string
		change func(*Claim)
		after  time.Duration
		dead   bool
	}{
		{"fresh", func(*Claim) {}, 0, false},
		{"expired", func(*Claim) {}, claimTTL + time.Second, true},
		{"gone process of this host", func(c *Claim) { c.PID = deadPID(t) }, 0, true},
		{"gone process of another host", func(c *Claim) { c.PID, c.Host = deadPID(t), "elsewhere" }, 0, false},
		{"this host before a reboot", func(c *Claim) { c.PID, c.BootID = deadPID(t), "before" }, 0, false},
		{"no process", func(c *Claim) { c.PID = 0 }, 0, false},
	}
	for _, tt := range tests {
		got := c
		tt.change(&got)
		if got.dead(now.Add(tt.after)) != tt.dead {
			t.Errorf("%s: dead is %v, want %v", tt.name, !tt.dead, tt.dead)
		}
	}
}

func TestLostClaimStopsTheCommit(t *testing.T) {
	each(t, func(t *testing.T, b blob.Bucket) {
		s := open(t, b)
		ctx, d := begin(t, s, "monday")
		thief := d.claim
		thief.Run = "thief"
		if err := s.putClaim(ctx, thief, blob.PutOptions{}); err != nil {
			t.Fatal(err)
		}
		err := d.CommitBackup(ctx, &Manifest{Format: 1, Backup: "monday"}, record("monday"))
		wantKind(t, err, fail.Busy, "run thief")
		if err := d.Abort(ctx); err == nil {
			t.Error("Abort removed another run's draft")
		}
		if names, err := s.Backups(ctx); err != nil || len(names) != 0 {
			t.Errorf("listed %v, %v", names, err)
		}
	})
}

func TestStrangersFilesAreNotTouched(t *testing.T) {
	each(t, func(t *testing.T, b blob.Bucket) {
		s := open(t, b)
		if _, err := b.Put(t.Context(), "backups/monday/monday.tar.gz", strings.NewReader("of another tool"), blob.PutOptions{}); err != nil {
			t.Fatal(err)
		}
		_, _, err := s.Begin(t.Context(), Backup, "monday", "r")
		wantKind(t, err, fail.Exists, "hozon backup delete monday")
		if diff := cmp.Diff([]string{"backups/monday/monday.tar.gz"}, keys(t, b)); diff != "" {
			t.Error(diff)
		}
		if err := s.Delete(t.Context(), Backup, "monday"); err != nil {
			t.Fatal(err)
		}
		wantKind(t, s.Delete(t.Context(), Backup, "monday"), fail.NotFound, "does not exist")
	})
}

func TestForeignBucketIsRefused(t *testing.T) {
	b := mem.New()
	for _, key := range []string{"backups/a/x", "photos/1.jpg", "mail/1", "src/x", "zoo/y", "README"} {
		if _, err := b.Put(t.Context(), key, strings.NewReader("x"), blob.PutOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	_, err := Open(t.Context(), b)
	wantKind(t, err, fail.Invalid, "Backup store contains invalid top-level directories: [mail photos src] and 1 more")
}

func TestHostileRecords(t *testing.T) {
	valid, err := json.Marshal(record("monday"))
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name, key, content string
		read               func(s *Store) error
		kind               fail.Kind
		text               string
	}{
		{"record of another backup", "backups/tuesday/velero-backup.json", string(valid),
			func(s *Store) error { _, err := s.Backup(t.Context(), "tuesday"); return err }, fail.Corrupt, `holds Backup "monday"`},
		{"record that is no JSON", "backups/monday/velero-backup.json", "<html>",
			func(s *Store) error { _, err := s.Backup(t.Context(), "monday"); return err }, fail.Corrupt, "velero-backup.json"},
		{"huge record", "backups/monday/velero-backup.json", strings.Repeat(" ", recordLimit+1),
			func(s *Store) error { _, err := s.Backup(t.Context(), "monday"); return err }, fail.Corrupt, "larger than"},
		{"no record", "backups/monday/other", "x",
			func(s *Store) error { _, err := s.Backup(t.Context(), "monday"); return err }, fail.NotFound, "hozon backup get"},
		{"newer manifest", "backups/monday/hozon-manifest.json", `{"format":2,"backup":"monday"}`,
			func(s *Store) error { _, err := s.Manifest(t.Context(), "monday"); return err }, fail.Unsupported, "use a newer one"},
		{"manifest of another", "backups/monday/hozon-manifest.json", `{"format":1,"backup":"x"}`,
			func(s *Store) error { _, err := s.Manifest(t.Context(), "monday"); return err }, fail.Corrupt, `that of "x"`},
		{"name that climbs", "backups/monday/x", "x",
			func(s *Store) error { _, err := s.Backup(t.Context(), "../monday"); return err }, fail.Invalid, "../monday"},
		{"side file that is no gzip", "backups/monday/monday-results.gz", "plain",
			func(s *Store) error { var v any; return s.ReadJSON(t.Context(), Backup, "monday", Results, &v) }, fail.Corrupt, "monday-results.gz"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := mem.New()
			if _, err := b.Put(t.Context(), tt.key, strings.NewReader(tt.content), blob.PutOptions{}); err != nil {
				t.Fatal(err)
			}
			wantKind(t, tt.read(open(t, b)), tt.kind, tt.text)
		})
	}
}

func TestFileNames(t *testing.T) {
	var got []string
	for _, f := range []File{BackupRecord, ManifestFile, Archive, Index, Logs, VolumeInfo} {
		got = append(got, f.Of("b"))
	}
	for _, f := range []File{RestoreRecord, RestoreReport, RestoreLogs, RestoreVolumeInfo} {
		got = append(got, f.Of("r"))
	}
	want := "[velero-backup.json hozon-manifest.json b.tar.gz hozon-index.gz b-logs.gz b-volumeinfo.json.gz" +
		" hozon-restore.json hozon-report.json.gz restore-r-logs.gz r-volumeinfo.json.gz]"
	if fmt.Sprint(got) != want {
		t.Errorf("names are %v", got)
	}
}

func TestInterruptedDeleteIsSwept(t *testing.T) {
	each(t, func(t *testing.T, b blob.Bucket) {
		s := open(t, b)
		makeBackup(t, s, "monday")
		ctx, cancel := context.WithCancel(t.Context())
		f := faulty.New(b)
		struck := f.Arm(faulty.Fault{Op: faulty.Delete, Key: "backups/monday/hozon-manifest.json", Mode: faulty.Block})
		f.Arm(faulty.Fault{Op: faulty.Get}) // it cannot be cleared away at once either
		s.bucket = f
		go func() { <-struck; cancel() }()
		if err := s.Delete(ctx, Backup, "monday"); !errors.Is(err, context.Canceled) {
			t.Fatalf("error %v, want that of the ended context", err)
		}
		s.bucket = b
		if names, err := s.Backups(t.Context()); err != nil || len(names) != 0 {
			t.Errorf("listed %v, %v", names, err)
		}
		s.Now = func() time.Time { return time.Now().Add(claimTTL + time.Second) }
		if _, err := s.Sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
		if left := keys(t, b); len(left) != 0 {
			t.Errorf("left behind: %v", left)
		}
	})
}

func TestClaimSurvivesALostAnswer(t *testing.T) {
	each(t, func(t *testing.T, b blob.Bucket) {
		s := open(t, b)
		f := faulty.New(b)
		f.Arm(faulty.Fault{Op: faulty.Put, Key: "metadata/hozon/runs/backup-monday.json", Mode: faulty.Lose})
		s.bucket = f
		makeBackup(t, s, "monday")
		if names, err := s.Backups(t.Context()); err != nil || len(names) != 1 {
			t.Errorf("listed %v, %v", names, err)
		}
	})
}

func TestEndedContextLeavesNoClaim(t *testing.T) {
	each(t, func(t *testing.T, b blob.Bucket) {
		for n := 1; n <= 3; n++ { // look for it, claim it, look for strangers
			ctx, cancel := context.WithCancel(t.Context())
			f := faulty.New(b)
			struck := f.Arm(faulty.Fault{N: n, Mode: faulty.Lose})
			s := open(t, b)
			s.bucket = f
			go func() { <-struck; cancel() }()
			if _, d, err := s.Begin(ctx, Backup, "monday", "r"); err == nil { // only the answer to the claim was lost
				d.finish()
				s.giveBack(t.Context(), d.claim)
			}
			<-struck
			if left := keys(t, b); len(left) != 0 {
				t.Errorf("operation %d: left behind: %v", n, left)
			}
		}
	})
}
