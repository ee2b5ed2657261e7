// SPDX-License-Identifier: Apache-2.0

// Package collect reads what a backup takes in from a cluster: every kind at ONE exact resourceVersion, split into raw items.
//
//	anchor  ── list namespaces, limit 1           → R, the revision of the run
//	probe   ── list every kind, limit 1           → its revision, its size, whether we may
//	anchor  ── again                              → the end of the interval
//	list    ── every kind at exactly R, in pages, biggest first, on a few lanes
//
// Its nouns: a Request says what is wanted; an Item is one object as the API server sent it; a Sink takes items
// through Lanes, of which every listing goroutine has one; a Result says what was found and what could not be read.
//
// A kind is in the revision domain if its probe's revision lies in the interval: then its revisions are those of the
// anchor's etcd. That is found by reading only. R is the revision at the START of the interval: every kind's
// cache in the API server has passed it when its probe is answered, so that no list has to wait for a cache.
// Kinds outside of the domain (events in an etcd of their own, aggregated APIs) are listed consistently in
// themselves and named in Result.Own.
//
// Invariants:
//   - Every page is checked to be of the revision that was asked for; pages of different revisions are never mixed.
//   - No object is decoded; memory is one buffer a lane, which grows to the largest item.
//   - A kind that cannot be listed is a Problem of the Result, never the end of the run. The run ends
//     for a cancelled context, an error of the Sink, an API server that is gone, and ErrExpired.
//   - A kind that is defined at R and missing in the request's types is a Problem too.
//   - Objects that are being deleted are left out and named.
//
// It does not retry a run: after ErrExpired the caller starts again with a new Sink.
package collect

import (
	"context"
	"errors"
	"io"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"hozon.dev/hozon/internal/cluster"
	"hozon.dev/hozon/internal/filter"
	"hozon.dev/hozon/internal/object"
	"hozon.dev/hozon/internal/report"
)

// ErrExpired says that the API server does not have the revision of the run any more. What the Sink got is of no
// use; a new run reads at a newer revision, and one with Exact unset needs no revision for long.
var ErrExpired = errors.New("the resource version of this run has expired")

// ErrInconsistent says that a kind cannot be had at the revision of the run although that was required.
var ErrInconsistent = errors.New("not every kind can be read at one resource version")

// Source is the API server, as *cluster.Client has it.
type Source interface {
	List(ctx context.Context, t object.Type, o cluster.ListOptions) (io.ReadCloser, error)
}

// Consistency says what to do about kinds that lie outside of the revision domain.
type Consistency uint8

const (
	Prefer  Consistency = iota // list them at a revision of their own
	Require                    // end with ErrInconsistent
)

// Request says what is collected. The zero value but for Types takes everything, each kind at a revision of its own.
type Request struct {
	Types       []object.Type  // what the cluster serves; those that cannot be listed, created and deleted are passed over
	Filter      *filter.Filter // nil: everything
	Consistency Consistency
	// Exact reads every kind at one revision. Without it each kind is read at one of its own.
	Exact    bool
	Parallel int // lanes; 0: 2, which leave room for others in a small API server
	// First is the group-resource that is listed before others; "": what takes longest.
	First string
	// GroupLabel is the label whose value claims share that are taken together; "": none.
	GroupLabel string
}

// Item is one object. Ref, Type and the plain strings of Head may be kept; Body and the raw parts of Head are
// valid only during the call.
type Item struct {
	Ref  object.Ref
	Type object.Type
	Head object.Head
	Body []byte // JSON, with apiVersion and kind
}

// Sink takes what is found.
type Sink interface {
	// Lane is asked for once by every listing goroutine, before the first item.
	Lane() Lane
}

// Lane takes the items of one goroutine.
type Lane interface {
	// Add takes an item. An error of kind fail.Invalid is a Problem of that item; every other one ends the run.
	Add(Item) error
	// Close is called once, if the run has not failed.
	Close() error
}

// OwnRevision is a kind that was read at another revision than the run's.
type OwnRevision struct {
	Type            object.Type
	ResourceVersion string // empty if the API has none, or if namespaces were listed one by one
	Reason          string
}

// Result is what was found. Its lists are sorted.
type Result struct {
	ResourceVersion string // of the run; empty if Exact was not asked for
	Own             []OwnRevision
	Problems        []report.Note // errors: parts of the cluster that are missing from what was collected
	Terminating     []object.Ref  // left out because they are being deleted
	Counts          map[schema.GroupVersionResource]int
	Items           int
	Bytes           int64 // of all bodies
}

// Run collects what req asks for into sink. The Result is valid only without an error.
func Run(ctx context.Context, source Source, req Request, sink Sink) (Result, error) {
	if req.Parallel <= 0 {
		req.Parallel = 2
	}
	r := &run{source: source, req: req, sink: sink, buffers: buffers(), served: served(req.Types)}
	r.result.Counts = map[schema.GroupVersionResource]int{}
	tasks, err := r.plan(ctx)
	if err != nil {
		return Result{}, err
	}
	if err := r.collect(ctx, tasks); err != nil {
		return Result{}, err
	}
	r.sort()
	return r.result, nil
}
