// SPDX-License-Identifier: Apache-2.0

// Package export takes projects (namespaces) out of a cluster or a backup as manifests, brings manifests into a cluster, and compares the two.
//
// Its nouns: a Source is where objects are read from (Cluster at one resourceVersion, Backup, Folder); a Sink is where manifests go (Tree, Stream);
// a Finding is something that will not travel, with file and field; an Importer applies manifests, in stages made by package plan.
//
// Invariants:
//   - two exports of the same state are the same bytes, but for what is encrypted;
//   - an object is left out only with a reason: a cluster makes it by itself, or a controller does;
//   - a kind that cannot be read is a problem of the result, not the end;
//   - an import with Atomic changes nothing if the server refuses anything that it can be asked about beforehand.
//
// What is left out of an object is package manifest's business; the defaults of custom kinds come from their definitions, as they are when the first
// object of the kind is met. Files in volumes are nobody's here.
package export

import (
	"context"

	"hozon.dev/hozon/internal/collect"
	"hozon.dev/hozon/internal/manifest"
	"hozon.dev/hozon/internal/object"
	"hozon.dev/hozon/internal/report"
)

// Item is one object of a source.
type Item = collect.Item

// Scope says which objects of a source are meant.
type Scope struct {
	Namespaces []string // names; none: all but those of the cluster itself
}

// Origin is what a source says about itself after it was read.
type Origin struct {
	ResourceVersion string        `json:"resourceVersion,omitempty"`
	Problems        []report.Note `json:"problems,omitempty"` // what could not be read
	Terminating     []object.Ref  `json:"-"`
	Notes           []string      `json:"notes,omitempty"`
}

// Source is where objects are read from.
type Source interface {
	// Objects calls fn with every namespaced object in scope, from several goroutines at once. An Item is valid during the call.
	Objects(ctx context.Context, s Scope, fn func(Item) error) (Origin, error)
	// Cluster calls fn with the cluster-scoped objects of the given group-resources, as of the same moment, after Objects has returned.
	// Those that cannot be read are problems.
	Cluster(ctx context.Context, groupResources []string, fn func(Item) error) ([]report.Note, error)
	// Definition returns the CustomResourceDefinition of a type's group and kind, at any time. It is of kind fail.NotFound if there is none.
	Definition(ctx context.Context, t object.Type) ([]byte, error)
}

// Sink takes manifests. Put may be called from several goroutines at once.
type Sink interface {
	Put(path string, secret bool, data []byte) error
	// Reset forgets everything that was put since the start, before another attempt.
	Reset() error
	Close() error
}

// Finding is something that will not travel to another cluster as it is.
type Finding struct {
	Object string            `json:"object"`
	File   string            `json:"file,omitempty"`
	Kind   manifest.NoteKind `json:"kind"`
	Field  string            `json:"field"`
	Text   string            `json:"text"`

	needs object.Ref
}

// Left is an object that was left out.
type Left struct {
	Object string `json:"object"`
	Reason string `json:"reason"`
}

// Result is what came of an export.
type Result struct {
	Origin
	Objects  int       `json:"objects"`
	Findings []Finding `json:"findings,omitempty"`
	Left     []Left    `json:"leftOut,omitempty"`
}
