// SPDX-License-Identifier: Apache-2.0

// Package schedule has the commands below `hozon schedule`, one file each.
package schedule

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	velerov1 "hozon.dev/hozon/api/velero/v1"
	"hozon.dev/hozon/internal/cli/env"
	"hozon.dev/hozon/internal/velero"
)

var noun = env.Noun[*velerov1.Schedule]{
	Word: "schedule", Kind: "Schedule", Table: table, Describe: describe,
	Served: env.Served[*velerov1.Schedule]{List: velero.Schedules.List, Get: velero.Schedules.Get, Remove: remove},
}

// New is `hozon schedule`.
func New(e *env.Env) *cobra.Command {
	c := &cobra.Command{
		Use:     "schedule",
		Aliases: []string{"schedules"},
		Short:   "Have the server make backups again and again",
	}
	c.AddCommand(NewCreate(e, "create"), NewGet(e, "get"), NewDescribe(e, "describe"), newPause(e), newUnpause(e), NewDelete(e, "delete"))
	return c
}

// NewDelete is `hozon schedule delete`, and `hozon delete schedule` under the other name.
func NewDelete(e *env.Env, use string) *cobra.Command {
	return noun.Delete(e, use, "Delete schedules, not the backups that they made", "  hozon schedule delete nightly")
}

func remove(ctx context.Context, c velero.Client, s *velerov1.Schedule) (string, error) {
	return fmt.Sprintf("Schedule deleted: %v", s.Name), velero.Schedules.Delete(ctx, c, s.Name)
}
