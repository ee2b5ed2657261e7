// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"fmt"

	"github.com/spf13/cobra"

	"hozon.dev/hozon/internal/cli/env"
	"hozon.dev/hozon/internal/store"
)

func newVerify(e *env.Env) *cobra.Command {
	var output env.Output
	c := &cobra.Command{
		Use:   "verify NAME",
		Short: "Read every byte of a backup back and compare it with what was written",
		Long: `Read every byte of a backup back and compare it with what was written: each file with its size and SHA-256 in the manifest,
each object with its place and SHA-256 in the index. Backups by Velero, which have neither, are checked as far as their own format goes.

Exit codes: 0 intact, 1 damaged or not readable.`,
		Example:           "  hozon backup verify monday --store /srv/backups",
		Args:              noun.OneName,
		ValidArgsFunction: noun.Complete(e),
		RunE: func(c *cobra.Command, args []string) error {
			if err := output.Check(); err != nil {
				return err
			}
			s, err := e.OpenStore(c.Context(), false)
			if err != nil {
				return err
			}
			bar := e.NewProgress()
			bar.Step("Reading backup " + args[0])
			v, err := s.Verify(c.Context(), args[0], func(n int) { bar.Items(n, 0) })
			bar.Close()
			if err != nil {
				return fmt.Errorf("verify backup %s: %w", args[0], err)
			}
			return tellVerified(e, output.Format, v)
		},
	}
	output.AddFlag(c.Flags(), "text", "json", "yaml")
	return c
}

func tellVerified(e *env.Env, format string, v *store.Verification) error {
	if format != "text" {
		if err := e.Print(format, v); err != nil {
			return err
		}
	} else if err := printVerified(e, v); err != nil {
		return err
	}
	if !v.Intact() {
		return env.Ended{Code: env.ExitFailed}
	}
	return nil
}

func printVerified(e *env.Env, v *store.Verification) error {
	against := "against manifest and index"
	if !v.Manifest {
		against = "made by another tool, no manifest: checked what its own format can tell"
	}
	for _, d := range v.Damages {
		if _, err := fmt.Fprintf(e.Out, "%s: %s\n", d.File, d.What); err != nil {
			return err
		}
	}
	verdict := "intact"
	if !v.Intact() {
		verdict = fmt.Sprintf("DAMAGED in %d places", len(v.Damages)+v.More)
	}
	_, err := fmt.Fprintf(e.Out, "Backup %s is %s: %d items, %d files, %d bytes read (%s).\n", v.Backup, verdict, v.Items, v.Files, v.Bytes, against)
	return err
}
