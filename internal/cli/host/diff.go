// SPDX-License-Identifier: Apache-2.0

package host

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"hozon.dev/hozon/internal/cli/env"
	"hozon.dev/hozon/internal/dr/hostset"
	"hozon.dev/hozon/internal/host"
)

// Exit codes of diff, as of diff(1).
const (
	exitDifferent = 1
	exitTrouble   = 2
)

type diffOptions struct {
	machines machines
	identity identity
	output   env.Output
}

func newDiff(e *env.Env) *cobra.Command {
	o := &diffOptions{}
	c := &cobra.Command{
		Use:   "diff NAME",
		Short: "Say what has changed on machines since a backup",
		Long: `Say what has changed on machines since a host backup: files that were added, removed or changed (content, mode, owner, SELinux context, attributes), and
packages. Contents are never shown, and times do not count.

Exit codes, as of diff(1): 0 no difference, 1 differences, 2 trouble.`,
		Example: "  hozon host diff before-upgrade --inventory hosts.yaml --identity key.txt --store /srv/backups",
		Args:    oneName,
		RunE: func(c *cobra.Command, args []string) error {
			err := o.run(c.Context(), e, args[0])
			if ended := (env.Ended{}); err != nil && !errors.As(err, &ended) {
				fmt.Fprintf(e.Err, "An error occurred: %v\n", err)
				return env.Ended{Code: exitTrouble}
			}
			return err
		},
	}
	o.machines.addFlags(c.Flags())
	o.identity.addFlag(e, c.Flags())
	o.output.AddFlag(c.Flags(), "text", "json", "yaml")
	return c
}

func (o *diffOptions) run(ctx context.Context, e *env.Env, name string) error {
	if err := o.output.Check(); err != nil {
		return err
	}
	t, err := openTarget(ctx, e, name, &o.machines, o.identity)
	if err != nil {
		return err
	}
	all := []*hostset.Difference{}
	different := false
	for _, spec := range t.specs {
		d, err := t.diff(ctx, spec)
		if err != nil {
			return err
		}
		all = append(all, d)
		different = different || !d.Equal()
	}
	if o.output.Format != "text" {
		err = e.Print(o.output.Format, all)
	} else {
		for _, d := range all {
			printDiff(e, d)
		}
	}
	if err == nil && different {
		err = env.Ended{Code: exitDifferent}
	}
	return err
}

func (t *target) diff(ctx context.Context, spec host.Spec) (*hostset.Difference, error) {
	a, err := t.set.Host(ctx, spec.Name, t.with)
	if err != nil {
		return nil, err
	}
	h, err := host.Connect(ctx, spec)
	if err != nil {
		return nil, err
	}
	defer h.Close()
	return a.Diff(ctx, h)
}

var signs = map[string]string{hostset.Added: "+", hostset.Removed: "-", hostset.Changed: "~"}

func printDiff(e *env.Env, d *hostset.Difference) {
	fmt.Fprintf(e.Out, "Host %s: %d files as they were, %d differ, %d differences of packages\n", d.Host, d.Same, len(d.Files), len(d.Packages))
	for _, c := range d.Files {
		fmt.Fprintf(e.Out, "  %s %q%s\n", signs[c.What], c.Path, parts(c))
	}
	for _, c := range d.Packages {
		fmt.Fprintf(e.Out, "  %s package %s\n", signs[c.What], c.Path)
	}
}

func parts(c hostset.Change) string {
	if len(c.Parts) == 0 {
		return ""
	}
	return " (" + strings.Join(c.Parts, ", ") + ")"
}
