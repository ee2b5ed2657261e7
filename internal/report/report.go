// SPDX-License-Identifier: Apache-2.0

// Package report is what a run says about itself: the outcome of every object that needs
// one, and the warnings and errors of the run. Phases, exit codes, describe texts and Velero's results file are derived from it.
//
// A failed object is never a failed run: it is an entry here.
package report

import (
	"fmt"
	"slices"

	"hozon.dev/hozon/internal/object"
)

// Action is what happened to one object.
type Action string

const (
	Saved     Action = "saved"     // backup: written to the archive
	Created   Action = "created"   // restore: did not exist, exists now
	Updated   Action = "updated"   // restore: existed, was changed to the saved state
	Unchanged Action = "unchanged" // restore: existed and equals the saved state under the declared normalisation
	Skipped   Action = "skipped"   // left alone on purpose; Reason says why
	Failed    Action = "failed"    // Reason says why, with the API server's message
)

// Item is the outcome of one object.
type Item struct {
	Ref     object.Ref
	Kind    string `json:",omitempty"` // "Deployment"
	Version string `json:",omitempty"` // "v1"
	Action  Action
	Reason  string `json:",omitempty"`
	// Warning is set when the outcome is no error, yet something that the user should look at.
	Warning string `json:",omitempty"`
}

// Note is a warning or an error that is not the outcome of one object: a kind that could not be listed, say.
// Namespace and cluster-wide notes both may be empty of a name; Velero's results file sorts them by Namespace.
type Note struct {
	Namespace string `json:",omitempty"` // "" and !Cluster: about the run itself
	Cluster   bool   `json:",omitempty"` // about something cluster-scoped
	Text      string
}

// Report is the outcome of one run. The zero value is an empty report.
type Report struct {
	Items    Items  `json:",omitzero"`
	Warnings []Note `json:",omitempty"`
	Errors   []Note `json:",omitempty"`
	// Counts has every object by action, also those that are not in Items (a backup lists only what is not Saved).
	Counts map[Action]int `json:",omitempty"`
	// Hooks that were to run, in the order in which they came to an end.
	Hooks []Hook `json:",omitempty"`
}

// Result is one half of Velero's results file.
type Result struct {
	Velero     []string            `json:"velero,omitempty"`
	Cluster    []string            `json:"cluster,omitempty"`
	Namespaces map[string][]string `json:"namespaces,omitempty"`
}

// Results is Velero's results file (contract: `<b>-results.gz`, `restore-<r>-results.gz`).
type Results struct {
	Errors   Result `json:"errors"`
	Warnings Result `json:"warnings"`
}

// Add records the outcome of one object. Saved objects are only counted.
func (r *Report) Add(i Item) {
	r.Count(i.Action, 1)
	if i.Action != Saved {
		r.Items.Add(i)
	}
}

// Count adds n objects with an outcome without listing them.
func (r *Report) Count(a Action, n int) {
	if r.Counts == nil {
		r.Counts = map[Action]int{}
	}
	r.Counts[a] += n
}

// Warn adds a warning about a namespace (cluster-wide things: "").
func (r *Report) Warn(namespace, format string, args ...any) {
	r.Warnings = append(r.Warnings, note(namespace, format, args))
}

// Err adds an error about a namespace (cluster-wide things: "").
func (r *Report) Err(namespace, format string, args ...any) {
	r.Errors = append(r.Errors, note(namespace, format, args))
}

func note(namespace, format string, args []any) Note {
	return Note{Namespace: namespace, Cluster: namespace == "", Text: fmt.Sprintf(format, args...)}
}

// Totals are the numbers of errors and warnings, those of single objects included.
func (r *Report) Totals() (errors, warnings int) {
	return len(r.Errors) + r.Counts[Failed], len(r.Warnings) + r.Items.warned
}

// Results is the report in the form of Velero's results file, sorted, so that the same outcome gives the same bytes.
func (r *Report) Results() Results {
	var out Results
	for _, n := range r.Errors {
		out.Errors.add(n)
	}
	for _, n := range r.Warnings {
		out.Warnings.add(n)
	}
	for it := range r.Items.All() {
		about := Note{Namespace: it.Ref.Namespace, Cluster: it.Ref.Namespace == ""}
		if it.Action == Failed {
			about.Text = fmt.Sprintf("%s: %s", it.Ref, it.Reason)
			out.Errors.add(about)
		}
		if it.Warning != "" {
			about.Text = it.Warning
			out.Warnings.add(about)
		}
	}
	out.Errors.sort()
	out.Warnings.sort()
	return out
}

func (r *Result) add(n Note) {
	switch {
	case n.Namespace != "":
		if r.Namespaces == nil {
			r.Namespaces = map[string][]string{}
		}
		r.Namespaces[n.Namespace] = append(r.Namespaces[n.Namespace], n.Text)
	case n.Cluster:
		r.Cluster = append(r.Cluster, n.Text)
	default:
		r.Velero = append(r.Velero, n.Text)
	}
}

func (r *Result) sort() {
	slices.Sort(r.Velero)
	slices.Sort(r.Cluster)
	for _, texts := range r.Namespaces {
		slices.Sort(texts)
	}
}
