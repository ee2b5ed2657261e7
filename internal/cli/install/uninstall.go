// SPDX-License-Identifier: Apache-2.0

package install

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"hozon.dev/hozon/internal/cli/env"
	"hozon.dev/hozon/internal/install"
)

// NewUninstall is `hozon uninstall`.
func NewUninstall(e *env.Env) *cobra.Command {
	var force, wait bool
	var timeout time.Duration
	c := &cobra.Command{
		Use:   "uninstall",
		Short: "Take the server out of the cluster",
		Long: `Take the server out of the cluster: the Deployment, its namespace with everything in it, its rights, the kinds of velero.io.

What is kept in buckets stays there, and is back when the server is installed again over the same bucket. Schedules are kept nowhere else.`,
		Example: "  hozon uninstall\n  hozon schedule get -o yaml > schedules.yaml && hozon uninstall --force",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			server, err := e.OpenServer()
			if err != nil {
				return err
			}
			say := func(format string, args ...any) { fmt.Fprintf(e.Out, format+"\n", args...) }
			i := install.Installer{Cluster: server.Cluster, Namespace: e.Namespace, Say: say}
			say("You are about to uninstall Velero.")
			if !force {
				if err := ask(c.Context(), e, &i); err != nil {
					return err
				}
			}
			if err := i.Uninstall(c.Context()); err != nil {
				return err
			}
			ctx, cancel := context.WithTimeoutCause(c.Context(), timeout, fmt.Errorf("still there after %s", timeout))
			defer cancel()
			if err := i.WaitGone(ctx); err != nil {
				return err
			}
			say("Velero uninstalled ⛵")
			return nil
		},
	}
	c.Flags().BoolVar(&force, "force", false, "Do not ask.")
	c.Flags().BoolVar(&wait, "wait", true, "Accepted for Velero's sake: the command always waits.")
	c.Flags().DurationVar(&timeout, "timeout", 5*time.Minute, "How long to wait for the namespace to go.")
	return c
}

func ask(ctx context.Context, e *env.Env, i *install.Installer) error {
	h, err := i.Holds(ctx)
	if err != nil {
		return err
	}
	e.Say("Namespace %s goes with everything in it: records of %d backups and %d restores, %d locations, %d schedules. What is in the buckets stays.",
		i.Namespace, h.Backups, h.Restores, h.Locations, h.Schedules)
	if h.Schedules > 0 {
		e.Say("Schedules are kept nowhere else: `%s schedule get -o yaml` prints them.", e.Name)
	}
	if !e.Confirm() {
		e.Say("Nothing was removed.")
		return env.Ended{Code: env.ExitFailed}
	}
	return nil
}
