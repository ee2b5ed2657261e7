// SPDX-License-Identifier: Apache-2.0

package project

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"hozon.dev/hozon/internal/cli/env"
	"hozon.dev/hozon/internal/export"
)

// The exit codes of diff are those of diff(1).
const (
	exitDiffers = 1
	exitTrouble = 2
)

type diffOptions struct {
	sides      []string
	namespaces []string
	identities identities
	output     env.Output
}

func newDiff(e *env.Env) *cobra.Command {
	o := &diffOptions{}
	c := &cobra.Command{
		Use:   "diff DIR|FILE|BACKUP [DIR|FILE|BACKUP|live]",
		Short: "Say what differs, object by object and field by field",
		Long: `Say what differs between manifests, a backup of --store, and the cluster (live, the default of the second), object by object and field by field.
Each object is compared as an export would write it: what servers and controllers add is no difference. Values of Secrets are never shown.

A name with a slash, or of something that exists on disk, is a folder or file; any other is a backup.

Exit codes, as of diff(1):
  0  no difference
  1  differences
  2  trouble`,
		Example: `  # Has anybody changed the project since?
  hozon project diff ./shop

  # What has changed since the backup
  hozon project diff monday --namespaces shop --store /srv/backups

  # Between two backups, for a program
  hozon project diff monday tuesday --store /srv/backups -o json`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) < 1 || len(args) > 2 {
				return env.Usagef("give one or two of: folder, file, name of a backup; the second may be 'live'")
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			o.sides = args
			err := o.run(c.Context(), e)
			if ended := (env.Ended{}); err != nil && !errors.As(err, &ended) {
				fmt.Fprintf(e.Err, "An error occurred: %v\n", err)
				return env.Ended{Code: exitTrouble}
			}
			return err
		},
	}
	f := c.Flags()
	f.StringSliceVar(&o.namespaces, "namespaces", nil, "Only these namespaces (default: those of the manifests, or all projects).")
	o.identities.addFlag(f)
	o.output.AddFlag(f, "", "json", "yaml")
	return c
}

func (o *diffOptions) run(ctx context.Context, e *env.Env) error {
	if err := o.output.Check(); err != nil {
		return err
	}
	if len(o.sides) == 1 {
		o.sides = append(o.sides, "live")
	}
	a, err := o.side(ctx, e, o.sides[0])
	if err != nil {
		return err
	}
	b, err := o.side(ctx, e, o.sides[1])
	if err != nil {
		return err
	}
	d, err := export.Diff(ctx, a, b, export.Scope{Namespaces: o.namespaces})
	if err != nil {
		return err
	}
	return o.tell(e, d)
}

func (o *diffOptions) side(ctx context.Context, e *env.Env, name string) (export.Source, error) {
	if name == "live" {
		return source(ctx, e, "")
	}
	if !strings.ContainsRune(name, '/') && name != "-" && !isFile(name) {
		return source(ctx, e, name)
	}
	ids, err := o.identities.read(e)
	if err != nil {
		return nil, err
	}
	docs, err := export.ReadManifests(name, e.In, ids)
	return &export.Manifests{Docs: docs}, err
}

func (o *diffOptions) tell(e *env.Env, d export.Difference) error {
	for _, note := range d.Notes {
		e.Say("%s", note)
	}
	for _, p := range d.Problems {
		e.Say("not compared: %s", p.Text)
	}
	if o.output.Format != "" {
		if err := e.Print(o.output.Format, d); err != nil {
			return err
		}
	} else if err := o.text(e, d); err != nil {
		return err
	}
	switch {
	case len(d.Changes) > 0:
		return env.Ended{Code: exitDiffers}
	case len(d.Problems) > 0:
		return env.Ended{Code: exitTrouble}
	}
	return nil
}

func (o *diffOptions) text(e *env.Env, d export.Difference) error {
	var b strings.Builder
	for _, c := range d.Changes {
		switch c.Kind {
		case export.Added:
			fmt.Fprintf(&b, "+ %s (only in %s)\n", c.Object, o.sides[1])
		case export.Removed:
			fmt.Fprintf(&b, "- %s (only in %s)\n", c.Object, o.sides[0])
		default:
			fmt.Fprintf(&b, "~ %s\n", c.Object)
		}
		for _, f := range c.Fields {
			fmt.Fprintf(&b, "    %s: %s → %s\n", f.Path, shown(f.A), shown(f.B))
		}
	}
	_, err := fmt.Fprint(e.Out, b.String())
	e.Say("%d objects differ, %d are the same.", len(d.Changes), d.Same)
	return err
}

func shown(value string) string {
	if value == "" {
		return "absent"
	}
	return value
}
