// SPDX-License-Identifier: Apache-2.0

package report

import (
	"fmt"
	"time"
)

// HookStage is when a hook runs.
type HookStage string

const (
	Pre  HookStage = "pre"  // in a backup, before anything is listed
	Post HookStage = "post" // in a backup, after everything was listed
	Init HookStage = "init" // in a restore, as containers that the pod starts with
	Exec HookStage = "exec" // in a restore, in the pod that was made
)

// HookOutcome is what came of a hook.
type HookOutcome string

const (
	HookSucceeded HookOutcome = "succeeded"
	HookFailed    HookOutcome = "failed"
	HookSkipped   HookOutcome = "skipped" // it was not started, and that is no failure of its own
	HookAdded     HookOutcome = "added"   // an init hook: the pod was made with it, and its node runs it
)

// Hook is what came of one hook in one pod (doc/format.md, hozon-hooks.json.gz).
type Hook struct {
	Stage     HookStage   `json:"stage"`
	Namespace string      `json:"namespace"`
	Pod       string      `json:"pod"`
	Container string      `json:"container,omitempty"`
	From      string      `json:"from"` // "annotation", or the name of the set in the spec
	Command   []string    `json:"command,omitempty"`
	OnError   string      `json:"onError,omitempty"`
	Outcome   HookOutcome `json:"outcome"`
	Reason    string      `json:"reason,omitempty"`
	// Output is the beginning of what it printed, both streams in one; Cut says that there was more.
	Output  string     `json:"output,omitempty"`
	Cut     bool       `json:"cut,omitempty"`
	Started *time.Time `json:"started,omitempty"` // nil: it was not started
	Seconds float64    `json:"seconds,omitempty"`
	// Late says that a later process ran it for one that had died.
	Late bool `json:"late,omitempty"`
}

// HookTotals counts the hooks that this run was to run, and those of them that failed.
func HookTotals(hooks []Hook) (attempted, failed int) {
	for _, h := range hooks {
		switch {
		case h.Late:
		case h.Outcome == HookFailed:
			failed++
			attempted++
		case h.Outcome == HookSucceeded:
			attempted++
		}
	}
	return attempted, failed
}

// String is one line about it: "pre hook in container db of pod shop/db failed: …".
func (h Hook) String() string {
	text := string(h.Stage) + " hook"
	if h.Container != "" {
		text += " in container " + h.Container
	}
	text += fmt.Sprintf(" of pod %s/%s (%s) %s", h.Namespace, h.Pod, h.From, h.Outcome)
	if h.Started != nil {
		text += fmt.Sprintf(" after %.1fs", h.Seconds)
	}
	if h.Late {
		text += ", run after the process that was to run it had died"
	}
	if h.Reason != "" {
		text += ": " + h.Reason
	}
	return text
}
