// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"context"

	velerov1 "hozon.dev/hozon/api/velero/v1"
)

// SUT is the program under test.
type SUT interface {
	// Enter makes a site the one that the next calls are about.
	Enter(ctx context.Context, site *Site) error
	// Backup saves, and returns when that is Completed.
	Backup(ctx context.Context, name string, spec velerov1.BackupSpec) error
	// Restore brings back. What is wrong with single objects is in the outcome.
	Restore(ctx context.Context, name string, spec velerov1.RestoreSpec) (Outcome, error)
	// Can says whether the program has a way at all.
	Can(way Way) bool
	// Foresees says whether it has a dry run.
	Foresees() bool
}

// Outcome is what a program said about a restore.
type Outcome struct {
	Phase    string
	Errors   []string
	Warnings []string
	Changed  []string          // objects that it says it has made or changed
	Actions  map[string]string // what it says it did to each: "created"; nil if it does not tell
	// Surprises are objects of which a dry run said something else; nil, too, where there is no dry run.
	Surprises []string
}
