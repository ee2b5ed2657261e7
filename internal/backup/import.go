// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"context"
	"errors"

	velerov1 "hozon.dev/hozon/api/velero/v1"
	"hozon.dev/hozon/internal/collect"
	"hozon.dev/hozon/internal/report"
	"hozon.dev/hozon/internal/store"
)

// Source has the objects of a cluster that is not there: those of a snapshot of its etcd.
type Source interface {
	// Read hands every object to the sink; what cannot be read is a Problem of the result.
	Read(context.Context, collect.Sink) (Found, error)
}

// Found is what a Source has to say about what it read.
type Found struct {
	collect.Result
	ClusterUID string // of the namespace kube-system, if it is known
	Warnings   []report.Note
}

// Import makes the backup b out of what source has, all of it at one revision. It needs no Cluster. b itself is not changed. An error means that no
// backup exists under that name because of this run.
func (e *Engine) Import(ctx context.Context, b *velerov1.Backup, source Source, o Options) (Result, error) {
	start := e.Now()
	r := &run{Engine: e, options: o, backup: prepare(b, start), source: source}
	r.log.now = e.Now
	r.log.backup = b.Namespace + "/" + b.Name
	work, draft, err := e.Store.Begin(ctx, store.Backup, b.Name, o.Run)
	if err != nil {
		return Result{}, err
	}
	r.draft = draft
	if err := r.importAll(work); err != nil {
		if cause := context.Cause(work); cause != nil && ctx.Err() == nil {
			err = cause
		}
		return Result{}, errors.Join(err, draft.Abort(ctx))
	}
	return Result{Backup: r.backup, Manifest: r.manifest, Report: r.report, Took: e.Now().Sub(start)}, nil
}

func (r *run) importAll(ctx context.Context) error {
	if err := r.attempt(ctx, true); err != nil {
		return err
	}
	return r.finish(ctx)
}

// list reads the objects from where they are.
func (r *run) list(ctx context.Context, exact bool, sink *sink) (collect.Result, error) {
	if r.source != nil {
		found, err := r.source.Read(ctx, sink)
		r.clusterUID = found.ClusterUID
		r.report.Warnings = append(r.report.Warnings, found.Warnings...)
		return found.Result, err
	}
	return collect.Run(ctx, r.Cluster, r.request(exact), sink)
}
