// SPDX-License-Identifier: Apache-2.0

package restore

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	velerov1 "hozon.dev/hozon/api/velero/v1"
	"hozon.dev/hozon/internal/apply"
	"hozon.dev/hozon/internal/cluster"
	"hozon.dev/hozon/internal/fail"
	"hozon.dev/hozon/internal/filter"
	"hozon.dev/hozon/internal/object"
	"hozon.dev/hozon/internal/perform"
	"hozon.dev/hozon/internal/plan"
	"hozon.dev/hozon/internal/plan/modify"
	"hozon.dev/hozon/internal/report"
	"hozon.dev/hozon/internal/store"
)

// Target is the cluster that is restored into; *cluster.Client is one.
type Target interface {
	apply.Target
	perform.Executor
	Types(ctx context.Context, allVersions bool) ([]object.Type, []cluster.Problem, error)
}

// Observer is told how far a run is. Its methods are called one at a time, and must not take long.
type Observer interface {
	// Stage is called when one begins: "reading", then the titles of the plan's stages; objects is their number, 0 if nobody knows.
	Stage(title string, objects int)
	// Item is called with what came of each object.
	Item(report.Item)
}

// Engine brings backups of a store back to a target.
type Engine struct {
	Target  Target
	Store   *store.Store
	Now     func() time.Time
	Observe Observer // nil: nobody
	Volumes Volumes  // nil: no volume is made out of a snapshot
	Files   Filler   // nil: no volume is filled with saved files
	// ByTarget restores objects that were saved in several versions in the one that the target prefers, or the user (feature EnableAPIGroupVersions).
	ByTarget bool
}

// Options modify a run.
type Options struct {
	// DryRun makes the plan, compares with what exists, and changes nothing, in the target and in the store.
	DryRun bool
	// AllowFailed restores also from backups that failed or did not end.
	AllowFailed bool
	// Concurrency, if not zero, fixes the number of calls under way.
	Concurrency int
	// Terminating bounds the wait for namespaces that are being deleted; 0: ten minutes.
	Terminating time.Duration
	// HookWait bounds the wait for hooks that name no bound, after everything else is done; 0: ten minutes.
	HookWait time.Duration
	// VolumeWait bounds the wait for volumes that claims provision anew and that are to get back a reclaim policy or labels; 0: ten minutes.
	VolumeWait time.Duration
	// Again says that a run of this restore has begun before, and came to no end: hooks run also in pods that it has made.
	Again bool
	// Priorities are places in the order for kinds that have none of their own.
	Priorities plan.Priorities
	// Run is the id of this run, unique; "": a new one.
	Run string
	// Notes are warnings that the caller has about the request; they become part of the report.
	Notes []string
	// Location is the name that the backup's location has in the target; "": that of the backup's record.
	Location string
	// Check, if set, is asked right before the commit whether the run is still the caller's to end; its error ends the run.
	Check func(ctx context.Context) error
}

// Result is what came of a run.
type Result struct {
	Restore *velerov1.Restore // with its status
	Report  *report.Report
}

// maxKept bounds the bytes of the bodies that are kept from the first pass on, so that no second one is needed: fewer if there is an
// index, by which single objects are read.
const (
	maxKept        = 32 << 20
	maxKeptIndexed = 4 << 20
)

// run is the state of one Run.
type run struct {
	*Engine
	o        Options
	restore  *velerov1.Restore
	backup   *velerov1.Backup
	index    *store.Manifest // nil: another tool made the backup, and there is no index
	items    sync.Mutex      // guards report.Items and Counts, and calls of the observer
	report   report.Report
	log      *logbook
	filter   *filter.Filter
	versions plan.Versions
	replace  replacements
	fine     filter.Fine // of the policy that the spec names
	// modifiers change objects as the user has asked for; nil: none do.
	modifiers *modify.Rules
	types     []object.Type // all versions that the target serves
	entries   *plan.Entries
	plan      *plan.Plan
	bodies    map[int][]byte // nil: not kept
	found     findings
	volumes   volumes
	files     files
	anew      anew
	hooks     hooks
}

// Run carries out one restore. The error says why nothing, or not all, could be done: what is wrong with single objects is in the
// report instead, and in the phase. A Result is returned in any case; its Restore has the terminal phase, and
// is recorded in the store unless the request was refused, the run cancelled, or dry.
func (e *Engine) Run(ctx context.Context, restore *velerov1.Restore, o Options) (Result, error) {
	own := *restore // the caller's keeps its status
	r := &run{Engine: e, o: o, restore: &own, log: newLogbook(e.Now)}
	for _, text := range o.Notes {
		r.report.Warnings = append(r.report.Warnings, report.Note{Text: text})
	}
	start := metav1.NewTime(e.Now())
	r.restore.APIVersion, r.restore.Kind = velerov1.APIVersion, "Restore"
	r.restore.Status = velerov1.RestoreStatus{Phase: velerov1.RestorePhaseInProgress, StartTimestamp: &start}
	if err := r.admit(ctx); err != nil {
		r.end(velerov1.RestorePhaseFailedValidation, err)
		return r.result(), err
	}
	if o.DryRun {
		err := r.work(ctx)
		r.conclude(err)
		return r.result(), err
	}
	work, draft, err := e.Store.Begin(ctx, store.Restore, r.restore.Name, cmp.Or(o.Run, uuid.NewString()))
	if err != nil {
		r.end(velerov1.RestorePhaseFailedValidation, err)
		return r.result(), err
	}
	err = r.work(work)
	r.conclude(err)
	if work.Err() != nil || fail.Is(err, fail.Invalid) {
		if abortErr := draft.Abort(ctx); abortErr != nil {
			r.log.line("warning", "leftovers of the restore's records stay until the next run: %v", abortErr)
		}
		return r.result(), err
	}
	if recordErr := r.record(work, draft); recordErr != nil {
		if err == nil {
			err = recordErr
		}
		_ = draft.Abort(ctx) // the first error says more
	}
	return r.result(), err
}

func (r *run) result() Result {
	return Result{Restore: r.restore, Report: &r.report}
}

// end sets the terminal phase of a run that did not do its work.
func (r *run) end(phase velerov1.RestorePhase, err error) {
	now := metav1.NewTime(r.Now())
	r.restore.Status.Phase, r.restore.Status.CompletionTimestamp = phase, &now
	if phase == velerov1.RestorePhaseFailedValidation {
		if len(r.restore.Status.ValidationErrors) == 0 {
			r.restore.Status.ValidationErrors = []string{err.Error()}
		}
		return
	}
	r.restore.Status.FailureReason = err.Error()
}

// conclude derives status and phase from what the work came to.
func (r *run) conclude(err error) {
	s := &r.restore.Status
	s.Errors, s.Warnings = r.report.Totals()
	done := 0
	for action, n := range r.report.Counts {
		if action != report.Failed {
			done += n
		}
	}
	s.Progress = &velerov1.RestoreProgress{TotalItems: done + r.report.Counts[report.Failed], ItemsRestored: done}
	switch {
	case err != nil:
		r.log.line("error", "%v", err)
		r.end(velerov1.RestorePhaseFailed, err)
		return
	case s.Errors > 0:
		s.Phase = velerov1.RestorePhasePartiallyFailed
	default:
		s.Phase = velerov1.RestorePhaseCompleted
	}
	now := metav1.NewTime(r.Now())
	s.CompletionTimestamp = &now
	r.log.line("info", "restore %s: %s, %d errors, %d warnings", r.restore.Name, s.Phase, s.Errors, s.Warnings)
}

// admit checks the request and finds the backup.
func (r *run) admit(ctx context.Context) error {
	if err := store.CheckName(store.Restore, r.restore.Name); err != nil {
		return err
	}
	if problems := filter.ValidateRestore(r.restore.Spec); len(problems) > 0 {
		r.restore.Status.ValidationErrors = problems
		return fail.Errorf(fail.Invalid, "restore %s: %s", r.restore.Name, strings.Join(problems, "; "))
	}
	if err := r.loadModifiers(ctx); err != nil {
		return err
	}
	if err := r.loadPolicy(ctx); err != nil {
		return err
	}
	if err := r.loadVersions(ctx); err != nil {
		return err
	}
	if err := r.loadReplacements(ctx); err != nil {
		return err
	}
	if r.restore.Spec.BackupName == "" {
		name, err := r.newest(ctx, r.restore.Spec.ScheduleName)
		if err != nil {
			return err
		}
		r.restore.Spec.BackupName = name
	}
	backup, err := r.Store.Backup(ctx, r.restore.Spec.BackupName)
	if err != nil {
		return err
	}
	r.backup = backup
	if err := r.readHooks(ctx); err != nil {
		return err
	}
	if r.index, err = r.Store.Manifest(ctx, backup.Name); err != nil && !fail.Is(err, fail.NotFound) {
		return err
	}
	return r.checkBackup()
}

// checkBackup refuses backups that did not end well, and formats that are not known.
func (r *run) checkBackup() error {
	b := r.backup
	switch phase := b.Status.Phase; phase {
	case velerov1.BackupPhaseCompleted, velerov1.BackupPhasePartiallyFailed, "":
	default:
		if !r.o.AllowFailed {
			return fail.Errorf(fail.Invalid, "backup %s is %s: it may hold a part only, or nothing; use --allow-failed to restore what there is", b.Name, phase)
		}
		r.report.Warnings = append(r.report.Warnings, report.Note{Text: fmt.Sprintf("backup %s is %s: it may hold a part only", b.Name, phase)})
	}
	if v := b.Status.FormatVersion; v != "" && v != "1" && !strings.HasPrefix(v, "1.") {
		return fail.Errorf(fail.Unsupported, "backup %s has format version %q; 1 and 1.x can be read", b.Name, v)
	}
	return nil
}

// spec is what the run goes by: a schedule that stood for its newest backup is one source, not two.
func (r *run) spec() velerov1.RestoreSpec {
	spec := r.restore.Spec
	spec.ScheduleName = ""
	return spec
}

// newest finds the newest completed backup of a schedule. The texts are Velero's.
func (r *run) newest(ctx context.Context, schedule string) (string, error) {
	names, err := r.Store.Backups(ctx)
	if err != nil {
		return "", err
	}
	var best *velerov1.Backup
	found := false
	for _, name := range names {
		b, err := r.Store.Backup(ctx, name)
		if err != nil || b.Labels[velerov1.LabelScheduleName] != velerov1.LabelValue(schedule) {
			continue // a record that cannot be read is no reason not to restore from another
		}
		found = true
		if b.Status.Phase != velerov1.BackupPhaseCompleted || b.Status.StartTimestamp == nil {
			continue
		}
		if best == nil || best.Status.StartTimestamp.Before(b.Status.StartTimestamp) {
			best = b
		}
	}
	switch {
	case best != nil:
		return best.Name, nil
	case found:
		return "", fail.Errorf(fail.Invalid, "No completed backups found for schedule")
	}
	return "", fail.Errorf(fail.Invalid, "No backups found for schedule")
}

func (r *run) stage(title string, objects int) {
	r.log.line("info", "%s (%d objects)", title, objects)
	if r.Observe != nil {
		r.Observe.Stage(title, objects)
	}
}
