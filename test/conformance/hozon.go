// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"context"
	"fmt"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	velerov1 "hozon.dev/hozon/api/velero/v1"
	"hozon.dev/hozon/internal/backup"
	"hozon.dev/hozon/internal/blob/mem"
	"hozon.dev/hozon/internal/report"
	"hozon.dev/hozon/internal/restore"
	"hozon.dev/hozon/internal/store"
)

// Hozon is our engines as a SUT. Each restore is preceded by a dry run, whose word is compared with what then happens.
type Hozon struct {
	store *store.Store
	site  *Site
}

// NewHozon makes one with a store in memory.
func NewHozon(ctx context.Context) (*Hozon, error) {
	s, err := store.Open(ctx, mem.New())
	return &Hozon{store: s}, err
}

// Enter implements SUT.
func (h *Hozon) Enter(_ context.Context, site *Site) error {
	h.site = site
	return nil
}

// Can implements SUT.
func (h *Hozon) Can(Way) bool { return true }

// Foresees implements SUT.
func (h *Hozon) Foresees() bool { return true }

// quiet hears nothing.
type quiet struct{}

func (quiet) Step(string)    {}
func (quiet) Items(int, int) {}

// Backup implements SUT.
func (h *Hozon) Backup(ctx context.Context, name string, spec velerov1.BackupSpec) error {
	e := backup.Engine{Cluster: h.site.Client, Store: h.store, Now: time.Now, Tool: "conformance", Observe: quiet{}}
	made, err := e.Run(ctx, &velerov1.Backup{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "velero"}, Spec: spec}, backup.Options{Run: "1"})
	if err != nil {
		return err
	}
	if made.Backup.Status.Phase != velerov1.BackupPhaseCompleted {
		return fmt.Errorf("the backup is %s: %+v", made.Backup.Status.Phase, made.Report.Errors)
	}
	return nil
}

// terminating is how long namespaces that are being deleted are waited for.
const terminating = 15 * time.Second

func (h *Hozon) run(ctx context.Context, name string, spec velerov1.RestoreSpec, dry bool) (*report.Report, velerov1.RestorePhase, error) {
	e := restore.Engine{Target: h.site.Client, Store: h.store, Now: time.Now}
	r := &velerov1.Restore{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "velero"}, Spec: spec}
	result, err := e.Run(ctx, r, restore.Options{DryRun: dry, Terminating: terminating})
	if err != nil {
		return nil, "", err
	}
	return result.Report, result.Restore.Status.Phase, nil
}

// Restore implements SUT.
func (h *Hozon) Restore(ctx context.Context, name string, spec velerov1.RestoreSpec) (Outcome, error) {
	foreseen, _, err := h.run(ctx, name, spec, true)
	if err != nil {
		return Outcome{}, fmt.Errorf("dry run: %w", err)
	}
	rep, phase, err := h.run(ctx, name, spec, false)
	if err != nil {
		return Outcome{}, err
	}
	o := Told(rep.Results())
	o.Phase, o.Actions = string(phase), map[string]string{}
	said := map[string]report.Item{}
	for it := range foreseen.Items.All() {
		said[it.Ref.String()] = it
	}
	for it := range rep.Items.All() {
		ref := it.Ref.String()
		o.Actions[ref] = string(it.Action)
		if it.Action == report.Created || it.Action == report.Updated {
			o.Changed = append(o.Changed, ref)
		}
		if before := said[ref]; before.Action != it.Action && !strings.Contains(before.Reason, "has to be gone first") {
			o.Surprises = append(o.Surprises, fmt.Sprintf("%s was said to be %s (%s) and is %s (%s)", ref, before.Action, before.Reason, it.Action, it.Reason))
		}
		delete(said, ref)
	}
	for ref, it := range said {
		o.Surprises = append(o.Surprises, fmt.Sprintf("%s was said to be %s and is not in the report", ref, it.Action))
	}
	return o, nil
}

// Told are the texts of a results file.
func Told(r report.Results) Outcome {
	all := func(r report.Result) []string {
		out := append(append([]string{}, r.Velero...), r.Cluster...)
		for _, texts := range r.Namespaces {
			out = append(out, texts...)
		}
		return out
	}
	return Outcome{Errors: all(r.Errors), Warnings: all(r.Warnings)}
}
