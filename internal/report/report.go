// SPDX-License-Identifier: Apache-2.0

// Package report is what a run says about itself: the outcome of every object that needs
// one, and the warnings and errors of the run. Phases, exit codes, describe texts and Velero's results file are derived from it.
//
// A failed object is never a failed run: it is an entry here.
package report

import "hozon.dev/hozon/internal/object"

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
	Items    []Item `json:",omitempty"`
	Warnings []Note `json:",omitempty"`
	Errors   []Note `json:",omitempty"`
	// Counts has every object by action, also those that are not in Items (a backup lists only what is not Saved).
	Counts map[Action]int `json:",omitempty"`
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
