// SPDX-License-Identifier: Apache-2.0

package compat

import (
	"slices"
	"strings"
	"testing"

	velerov1 "hozon.dev/hozon/api/velero/v1"
	"hozon.dev/hozon/internal/cluster/clustertest"
	"hozon.dev/hozon/internal/fail"
	"hozon.dev/hozon/internal/object"
	"hozon.dev/hozon/internal/report"
	"hozon.dev/hozon/internal/restore"
)

func TestMain(m *testing.M) { clustertest.Main(m) }

// TestBroken: what must not be restored creates nothing at all and says which backup it was; what has one bad item loses that one.
func TestBroken(t *testing.T) {
	var e struct {
		Cases map[string]struct{ Outcome, Why string }
	}
	readJSON(t, &e, "broken", "expected.json")
	k := client(t, clustertest.Shared(t))
	s := bucket(t, "broken", "bucket")
	namespaces := object.Type{Version: "v1", Resource: "namespaces"}
	for name, c := range e.Cases {
		t.Run(name, func(t *testing.T) {
			names, err := s.Backups(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if listed := slices.Contains(names, name); listed != (c.Outcome != "not-listed") {
				t.Errorf("listed: %v", listed)
			}
			to := name + "-copy"
			writes := k.Calls()["create"]
			r, err := run(t, k, s, "r-"+name, velerov1.RestoreSpec{
				BackupName: name, NamespaceMapping: map[string]string{"shop": to, "shop-data": to + "-data", "tools": to + "-tools"},
			}, restore.Options{})
			switch c.Outcome {
			case "refused", "not-listed":
				if err == nil || !strings.Contains(err.Error(), name) {
					t.Errorf("%s: error %v, want one that names the backup", c.Why, err)
				}
				if n := k.Calls()["create"] - writes; n != 0 {
					t.Errorf("%d objects were created", n)
				}
				if phase := r.Restore.Status.Phase; phase == velerov1.RestorePhaseCompleted {
					t.Errorf("phase %s", phase)
				}
				t.Log(err)
			case "item-error":
				if err != nil {
					t.Fatal(err)
				}
				failed := with(r.Report, report.Failed)
				if len(failed) != 1 || r.Restore.Status.Phase != velerov1.RestorePhasePartiallyFailed {
					t.Errorf("phase %s, failed %q, want one item", r.Restore.Status.Phase, failed)
				}
				if _, err := k.Get(t.Context(), namespaces, "", to); err != nil {
					t.Errorf("the rest was not restored: %v", err)
				}
				t.Log(r.Report.Results().Errors)
			default:
				t.Fatalf("the outcome %q is not known to this test", c.Outcome)
			}
		})
	}
}

// TestFailed: a failed backup is refused, unless one insists; a partially failed one is restored.
func TestFailed(t *testing.T) {
	k := client(t, clustertest.Shared(t))
	s := bucket(t, "failed", "bucket")
	r, err := run(t, k, s, "ours-failed", velerov1.RestoreSpec{BackupName: "failed-early"}, restore.Options{})
	if !fail.Is(err, fail.Invalid) || r.Restore.Status.Phase != velerov1.RestorePhaseFailedValidation {
		t.Errorf("a failed backup: %v, phase %s", err, r.Restore.Status.Phase)
	}
	r, err = run(t, k, s, "ours-failed", velerov1.RestoreSpec{BackupName: "failed-early"}, restore.Options{AllowFailed: true})
	if err != nil || r.Restore.Status.Phase != velerov1.RestorePhaseCompleted || r.Restore.Status.Warnings != 1 {
		t.Errorf("a failed backup, on request: %v, phase %s, %d warnings", err, r.Restore.Status.Phase, r.Restore.Status.Warnings)
	}
	checkCreated(t, "failed", "hook-fail-r", func() (restore.Result, error) {
		return run(t, k, s, "ours-hook-fail", velerov1.RestoreSpec{BackupName: "hook-fail", NamespaceMapping: map[string]string{"hooked": "hooked-copy"}}, restore.Options{})
	})
}

// TestVolumeSets restores the objects of backups whose volumes hold data, and of old Velero versions.
func TestVolumeSets(t *testing.T) {
	k := client(t, clustertest.Shared(t))
	s := bucket(t, "fsbackup", "bucket")
	for _, n := range []string{"1", "2"} {
		checkCreated(t, "fsbackup", "files-"+n+"-r", func() (restore.Result, error) {
			return run(t, k, s, "ours-"+n, velerov1.RestoreSpec{BackupName: "files-" + n, NamespaceMapping: map[string]string{"files": "files-back" + n}}, restore.Options{})
		})
	}
	old := bucket(t, "restic", "bucket")
	for _, name := range []string{"attic-0301", "attic-0302", "cellar-0301"} {
		r, err := run(t, k, old, name+"-r", velerov1.RestoreSpec{BackupName: name}, restore.Options{})
		if err != nil || r.Restore.Status.Phase != velerov1.RestorePhaseCompleted {
			t.Errorf("%s: %v, phase %s, %v", name, err, r.Restore.Status.Phase, r.Report.Results())
		}
		// attic-0302 finds what attic-0301 has restored.
		if n := len(with(r.Report, report.Created)); n == 0 && name != "attic-0302" {
			t.Errorf("%s: nothing was created", name)
		}
	}
}

// checkCreated runs a restore that has to create what Velero created.
func checkCreated(t *testing.T, set, name string, run func() (restore.Result, error)) {
	t.Helper()
	var th theirs
	readJSON(t, &th, set, "expected.json")
	r, err := run()
	if err != nil {
		t.Fatal(err)
	}
	if r.Restore.Status.Phase != velerov1.RestorePhaseCompleted {
		t.Errorf("%s: phase %s, %v", name, r.Restore.Status.Phase, r.Report.Results())
	}
	ours := with(r.Report, report.Created)
	for _, c := range th.created(name) {
		if !slices.Contains(ours, c) {
			t.Errorf("%s: Velero creates %s, we do not", name, c)
		}
	}
}
