// SPDX-License-Identifier: Apache-2.0

// Package cli is the command line: the tree of commands, and what an error means to the shell.
//
// Path equals command: `hozon backup create` is backup/create.go. Every command is options, New, run.
// The program can be called by other names: as velero it has Velero's exit codes, as kubectl-hozon it is a plugin of kubectl.
package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"hozon.dev/hozon/internal/cli/backup"
	"hozon.dev/hozon/internal/cli/backuplocation"
	"hozon.dev/hozon/internal/cli/check"
	"hozon.dev/hozon/internal/cli/client"
	"hozon.dev/hozon/internal/cli/cluster"
	"hozon.dev/hozon/internal/cli/env"
	"hozon.dev/hozon/internal/cli/host"
	"hozon.dev/hozon/internal/cli/install"
	"hozon.dev/hozon/internal/cli/nodeagent"
	"hozon.dev/hozon/internal/cli/plugin"
	"hozon.dev/hozon/internal/cli/project"
	"hozon.dev/hozon/internal/cli/repo"
	"hozon.dev/hozon/internal/cli/restore"
	"hozon.dev/hozon/internal/cli/schedule"
	"hozon.dev/hozon/internal/cli/server"
	"hozon.dev/hozon/internal/cli/snapshotlocation"
	"hozon.dev/hozon/internal/cli/volume"
)

// Run carries out one command line and returns the exit code.
func Run(ctx context.Context, e *env.Env, args []string) int {
	root := New(e)
	if e.Name == nodeagent.HelperName { // the init container of restored pods has no other arguments than Velero's
		args = append([]string{"restore-helper"}, args...)
	}
	root.SetArgs(args)
	root.SetIn(e.In)
	root.SetOut(e.Out)
	root.SetErr(e.Err)
	err := root.ExecuteContext(ctx)
	var ended env.Ended
	if err != nil && !errors.As(err, &ended) {
		fmt.Fprintf(e.Err, "An error occurred: %v\n", err)
	}
	return e.Code(err)
}

// New is the tree of commands.
func New(e *env.Env) *cobra.Command {
	root := &cobra.Command{
		Use:   e.Name,
		Short: "Save a Kubernetes cluster, and prove that it comes back",
		Long: `Hozon saves a Kubernetes cluster at every level at which it can be lost, and proves that what it saved comes back.

It speaks to the server in the cluster (namespace velero), ours or Velero's, through Velero's custom resources. With --store (or
HOZON_STORE) it needs no server, nothing but a kubeconfig and a folder or bucket.

` + env.ExitHelp,
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return env.Usagef("%w; see `%s --help`", err, c.CommandPath())
	})
	e.AddFlags(root.PersistentFlags())
	root.AddCommand(backup.New(e), restore.New(e), schedule.New(e), backuplocation.New(e), snapshotlocation.New(e),
		plugin.New(e), project.New(e), repo.New(e), repo.NewMaintenance(e), client.New(e), cluster.New(e), check.New(e), host.New(e), server.New(e), install.New(e), install.NewUninstall(e), volume.New(e), nodeagent.New(e), nodeagent.NewHelper(e), newVersion(e), newDebug(e), newBug(e))
	root.AddCommand(
		verb("create", "Make backups, restores, schedules and locations", backup.NewCreate(e, "backup"), restore.NewCreate(e, "restore"),
			schedule.NewCreate(e, "schedule"), backuplocation.NewCreate(e, "backup-location"), snapshotlocation.NewCreate(e, "snapshot-location")),
		verb("get", "List things", backup.NewGet(e, "backups"), restore.NewGet(e, "restores"), schedule.NewGet(e, "schedules"),
			backuplocation.NewGet(e, "backup-locations"), snapshotlocation.NewGet(e, "snapshot-locations"), plugin.NewGet(e, "plugins")),
		verb("describe", "Describe things", backup.NewDescribe(e, "backups"), restore.NewDescribe(e, "restores"), schedule.NewDescribe(e, "schedules")),
		verb("delete", "Delete things", backup.NewDelete(e, "backup"), restore.NewDelete(e, "restore"), schedule.NewDelete(e, "schedule"),
			backuplocation.NewDelete(e, "backup-location")),
	)
	refuseUnknown(root)
	return root
}

// verb is the other spelling of commands: `hozon get backups` for `hozon backup get`.
func verb(name, short string, nouns ...*cobra.Command) *cobra.Command {
	c := &cobra.Command{Use: name, Short: short}
	for _, n := range nouns {
		other, plural := strings.CutSuffix(n.Name(), "s")
		if !plural {
			other = n.Name() + "s"
		}
		n.Aliases = []string{other}
		c.AddCommand(n)
	}
	return c
}

// refuseUnknown makes a misspelt sub-command an error; cobra's default prints the help and reports success.
func refuseUnknown(c *cobra.Command) {
	for _, sub := range c.Commands() {
		refuseUnknown(sub)
	}
	if c.HasSubCommands() && c.RunE == nil && c.Run == nil {
		c.RunE = func(c *cobra.Command, args []string) error {
			if len(args) == 0 {
				return c.Help()
			}
			return env.Usagef("unknown command %q for %q; see `%s --help`", args[0], c.CommandPath(), c.CommandPath())
		}
	}
}
