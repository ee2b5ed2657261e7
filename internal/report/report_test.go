// SPDX-License-Identifier: Apache-2.0

package report_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"hozon.dev/hozon/internal/object"
	"hozon.dev/hozon/internal/report"
)

func TestResults(t *testing.T) {
	var r report.Report
	r.Count(report.Saved, 3)
	r.Add(report.Item{Ref: object.Ref{Resource: "pods", Namespace: "a", Name: "x"}, Action: report.Failed, Reason: "quota"})
	r.Add(report.Item{Ref: object.Ref{Resource: "nodes", Name: "n"}, Action: report.Skipped, Reason: "never restored"})
	r.Add(report.Item{Ref: object.Ref{Resource: "secrets", Namespace: "a", Name: "s"}, Action: report.Skipped, Warning: "could not restore"})
	r.Warn("a", "b comes %s", "second")
	r.Warn("", "about the cluster")
	r.Errors = append(r.Errors, report.Note{Text: "about the run"})

	want := report.Results{
		Errors:   report.Result{Velero: []string{"about the run"}, Namespaces: map[string][]string{"a": {"pods/a/x: quota"}}},
		Warnings: report.Result{Cluster: []string{"about the cluster"}, Namespaces: map[string][]string{"a": {"b comes second", "could not restore"}}},
	}
	if diff := cmp.Diff(want, r.Results()); diff != "" {
		t.Error(diff)
	}
	errors, warnings := r.Totals()
	if errors != 2 || warnings != 3 {
		t.Errorf("%d errors, %d warnings; want 2, 3", errors, warnings)
	}
	if got := r.Counts[report.Skipped]; got != 2 {
		t.Errorf("%d skipped, want 2", got)
	}
}
