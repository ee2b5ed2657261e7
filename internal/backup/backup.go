// SPDX-License-Identifier: Apache-2.0

// Package backup is the engine that carries out one Backup: cluster to collect to archive to store, as one stream.
//
//	claim the name in the store
//	record which post hooks will be owed, then run the pre hooks
//	repeat up to three times, until every kind was listed:
//	    collect → lanes of the archive → upload        (all kinds at one resourceVersion)
//	    begin the post hooks as soon as all is listed; index, side files
//	manifest, then the commit record
//
// Its nouns: a Request is the Backup as asked for; a Result is the Backup as it went, with its report.
//
// Invariants: everything is listed after the last pre hook and before the first post hook; a post hook whose pre hook may have run is run, by this process or by
// the next (Pay); no backup shows before the commit; an object or a kind that cannot be read is an entry of the report and not the end of the
// run; memory does not grow with the cluster, but for about 120 bytes an object.
//
// Bytes in volumes are saved by whoever takes snapshots of them (Snapshotter) or reads their files (FileSaver), after the listing and before the post hooks of the
// pods that they are mounted in; volumes of which nobody does are named in the report. What goes wrong with one volume is an entry of the report, too.
package backup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	velerov1 "hozon.dev/hozon/api/velero/v1"
	"hozon.dev/hozon/internal/cluster"
	"hozon.dev/hozon/internal/collect"
	"hozon.dev/hozon/internal/fail"
	"hozon.dev/hozon/internal/report"
	"hozon.dev/hozon/internal/store"
)

// Velero's defaults for what a Backup leaves open.
const (
	defaultTTL         = 720 * time.Hour
	defaultCSITimeout  = 10 * time.Minute
	defaultItemTimeout = 4 * time.Hour
	defaultLocation    = "default"
	defaultGroupLabel  = "velero.io/volume-group"
)

// Consistency says what happens when not every kind can be had at one resourceVersion.
type Consistency string

const (
	Prefer  Consistency = "prefer"  // fall back to a revision for each kind, with a warning
	Require Consistency = "require" // fail
)

// Options of one run.
type Options struct {
	Consistency Consistency // "": Prefer
	Run         string      // id of this run, unique
	// Notes are warnings that the caller has about the request; they become part of the report.
	Notes []string
	// Snapshots takes snapshots of volumes; nil: there are none.
	Snapshots Snapshotter
	// Files has the files of volumes saved; nil: nobody can.
	Files FileSaver
	// Check, if set, is asked right before the commit whether the run is still the caller's to end; its error ends the run.
	Check func(ctx context.Context) error
}

// Observer hears how a run gets on, from several goroutines.
type Observer interface {
	Step(name string)
	// Items: done of expected; expected is 0 while it is not known.
	Items(done, expected int)
}

// Engine runs backups. Its fields are set before the first Run and not changed.
type Engine struct {
	Cluster *cluster.Client
	Store   *store.Store
	Now     func() time.Time
	Tool    string // "hozon v1.2.3", for the manifest
	Observe Observer
	// GlobalPolicy is the ConfigMap, in the Backup's namespace, whose volume policies count behind those of each backup; "": none.
	GlobalPolicy string
	// AllVersions saves objects in all versions that are served, not in the preferred one only.
	AllVersions bool
}

// Result is a backup that exists: the Backup with its status, its manifest, and what is to be said about it.
type Result struct {
	Backup   *velerov1.Backup
	Manifest *store.Manifest
	Report   report.Report
	Took     time.Duration
}

// Run makes the backup that b asks for; b itself is not changed. An error means that no backup exists under that name because of this run.
func (e *Engine) Run(ctx context.Context, b *velerov1.Backup, o Options) (Result, error) {
	start := e.Now()
	r := &run{Engine: e, options: o, backup: prepare(b, start)}
	r.log.now = e.Now
	r.log.backup = b.Namespace + "/" + b.Name
	e.Observe.Step("Reading what the cluster serves")
	if err := r.look(ctx); err != nil {
		return Result{}, err
	}
	if err := r.findHooked(ctx); err != nil {
		return Result{}, err
	}
	late, err := e.Pay(ctx, r.backup) // what an earlier run under this name owes
	if err != nil {
		return Result{}, err
	}
	r.keepHooks(late)
	work, draft, err := e.Store.Begin(ctx, store.Backup, b.Name, o.Run)
	if err != nil {
		return Result{}, err
	}
	r.draft = draft
	r.releaseEarlier(work)
	if err := r.write(work); err != nil {
		if cause := context.Cause(work); cause != nil && ctx.Err() == nil {
			err = cause
		}
		r.dropFiles(err)
		r.thaw(ctx, false)
		aborted := draft.Abort(ctx)
		return Result{}, errors.Join(err, r.dropSnapshots(ctx), aborted, r.unthawed())
	}
	r.forgetTaking(ctx)
	return Result{Backup: r.backup, Manifest: r.manifest, Report: r.report, Took: e.Now().Sub(start)}, nil
}

// prepare fills in what the server of Velero fills in, and starts the clock.
func prepare(asked *velerov1.Backup, now time.Time) *velerov1.Backup {
	b := *asked
	b.TypeMeta = metav1.TypeMeta{APIVersion: velerov1.APIVersion, Kind: "Backup"}
	s := &b.Spec
	set(&s.TTL, defaultTTL)
	set(&s.CSISnapshotTimeout, defaultCSITimeout)
	set(&s.ItemOperationTimeout, defaultItemTimeout)
	if s.StorageLocation == "" {
		s.StorageLocation = defaultLocation
	}
	if s.VolumeGroupSnapshotLabelKey == "" {
		s.VolumeGroupSnapshotLabelKey = defaultGroupLabel
	}
	if len(s.IncludedNamespaces) == 0 {
		s.IncludedNamespaces = []string{"*"}
	}
	b.Labels = with(asked.Labels, velerov1.LabelStorageLocation, velerov1.LabelValue(s.StorageLocation))
	start := metav1.NewTime(now.UTC().Truncate(time.Second))
	if b.CreationTimestamp.IsZero() {
		b.CreationTimestamp = start
	}
	expires := metav1.NewTime(start.Add(s.TTL.Duration))
	b.Status = velerov1.BackupStatus{
		Version: 1, FormatVersion: velerov1.FormatVersion, Phase: velerov1.BackupPhaseInProgress,
		StartTimestamp: &start, Expiration: &expires, HookStatus: &velerov1.HookStatus{},
	}
	return &b
}

func set(d *velerov1.Duration, value time.Duration) {
	if d.Duration == 0 {
		d.Duration = value
	}
}

func with(m map[string]string, key, value string) map[string]string {
	out := map[string]string{key: value}
	for k, v := range m {
		out[k] = v
	}
	out[key] = value
	return out
}

// write does everything between the claim and the commit.
func (r *run) write(ctx context.Context) error {
	if err := r.freeze(ctx); err != nil {
		return err
	}
	if err := r.collect(ctx); err != nil {
		return err
	}
	return r.finish(ctx)
}

// finish writes everything that follows the objects.
func (r *run) finish(ctx context.Context) error {
	if err := r.tellFiles(ctx); err != nil {
		return err
	}
	r.Observe.Step("Committing")
	r.tellHooks()
	r.unsaved()
	r.judge()
	if err := r.sideFiles(ctx); err != nil {
		return err
	}
	if r.options.Check != nil {
		if err := r.options.Check(ctx); err != nil {
			return err
		}
	}
	return r.draft.CommitBackup(ctx, r.manifest, r.backup)
}

// attempts are the ways to list, best first: at one revision, at a newer one if the first is gone, then a revision for each kind.
var attempts = []struct {
	exact bool
	note  string
}{
	{true, ""},
	{true, "the revision was compacted away while it was read; starting again at a newer one"},
	{false, "no revision could be held long enough; each kind is consistent in itself only"},
}

// collect lists everything into the archive. When the revision is gone, the upload is dropped and begun anew.
func (r *run) collect(ctx context.Context) error {
	for i, a := range attempts {
		if i > 0 {
			r.log.warn(a.note)
			if err := r.look(ctx); err != nil { // what the cluster serves may have changed, too
				return err
			}
		}
		if !a.exact && r.options.Consistency == Require {
			return fail.Errorf(fail.Transient, "%w; --consistency=require does not allow a revision for each kind: try again when the cluster is quieter, or raise the API server's --etcd-compaction-interval", collect.ErrExpired)
		}
		err := r.attempt(ctx, a.exact)
		if errors.Is(err, errHooked) {
			err = r.attemptFrozen(ctx, a.exact)
		}
		if !errors.Is(err, collect.ErrExpired) {
			if err == nil && !a.exact {
				r.report.Warnings = append(r.report.Warnings, report.Note{Text: a.note})
			}
			return err
		}
	}
	return collect.ErrExpired
}

// attemptFrozen begins anew, with the hooks of the pods that the listing came upon.
func (r *run) attemptFrozen(ctx context.Context, exact bool) error {
	r.log.info("there are pods with hooks: running these first, then listing anew")
	if err := r.lookForHooks(ctx); err != nil {
		return err
	}
	if err := r.freeze(ctx); err != nil {
		return err
	}
	return r.attempt(ctx, exact)
}

// attempt streams one listing through the archive into the store, then stores the index.
func (r *run) attempt(ctx context.Context, exact bool) error {
	r.reset()
	r.Observe.Step("Saving objects")
	var sink *sink
	_, err := r.draft.Put(ctx, store.Archive, func(w io.Writer) error {
		sink = newSink(w, r.backup.Status.StartTimestamp.Time, r.Observe)
		sink.refused = r.refused
		if r.unlooked {
			sink.hooked = r.sets.Backup
		}
		sink.wantPods = r.source == nil && (r.byFiles() || len(r.policies.Rules) > 0)
		sink.bodies, sink.wantClaims = r.options.Snapshots != nil, r.source == nil
		result, err := r.list(ctx, exact, sink)
		if err != nil {
			sink.writer.Abort(err)
			return err
		}
		r.collected, r.sink = result, sink
		r.decide()
		r.chooseFiles()
		r.beginFiles(ctx)
		if err := r.snapshots(ctx); err != nil {
			sink.writer.Abort(err)
			return err
		}
		r.thaw(ctx, true)
		sink.summary, err = sink.writer.Close()
		return err
	})
	if err != nil {
		return err
	}
	_, err = r.draft.Put(ctx, store.Index, func(w io.Writer) error {
		var err error
		sink.index, err = sink.writer.WriteIndex(w)
		return err
	})
	if err != nil {
		return err
	}
	if sink.summary.Items == 0 {
		return fail.Errorf(fail.Invalid, "the filters match no object of this cluster%s", texts(append(r.doubts, r.found...)))
	}
	r.record(exact)
	return nil
}

func (r *run) sideFiles(ctx context.Context) error {
	none := []struct{}{}
	files := []struct {
		file store.File
		data any
	}{
		{store.Results, r.report.Results()},
		{store.VolumeInfo, r.volumeInfos()},
		{store.PodVolumeBackups, r.files.records()},
		{store.VolumeSnapshots, r.taken()},
		{store.ItemOperations, none},
	}
	if len(r.report.Hooks) > 0 {
		if _, err := r.draft.PutJSON(ctx, store.Hooks, r.report.Hooks); err != nil {
			return err
		}
	}
	for _, f := range files {
		if _, err := r.draft.PutJSON(ctx, f.file, f.data); err != nil {
			return err
		}
	}
	if _, err := r.draft.Put(ctx, store.ResourceList, r.sink.writeResourceList); err != nil {
		return err
	}
	_, err := r.draft.Put(ctx, store.Logs, r.log.writeTo)
	return err
}

// judge turns the report into counts and a phase.
func (r *run) judge() {
	st := &r.backup.Status
	st.Errors, st.Warnings = r.report.Totals()
	st.Phase = velerov1.BackupPhaseCompleted
	if st.Errors > 0 {
		st.Phase = velerov1.BackupPhasePartiallyFailed
	}
	items := int(r.sink.objects.Load())
	st.Progress = &velerov1.BackupProgress{TotalItems: items, ItemsBackedUp: items}
	end := metav1.NewTime(r.Now().UTC().Truncate(time.Second))
	st.CompletionTimestamp = &end
	r.manifest.Completed = r.Now().UTC()
	r.log.info(fmt.Sprintf("Backed up a total of %d items", items), "phase", st.Phase)
}
