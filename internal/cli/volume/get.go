// SPDX-License-Identifier: Apache-2.0

package volume

import (
	"context"
	"fmt"
	"path"
	"strings"

	"github.com/spf13/cobra"

	"hozon.dev/hozon/internal/cli/env"
	"hozon.dev/hozon/internal/transfer"
	"hozon.dev/hozon/internal/vault"
)

func newGet(e *env.Env) *cobra.Command {
	var a access
	var o choice
	c := &cobra.Command{
		Use:   "get BACKUP NAMESPACE/CLAIM|NAMESPACE/POD:VOLUME PATH [DIR]",
		Short: "Copy files of a volume out of a backup",
		Long: `Copy a file, or what is below a folder, of a volume that a backup has, into a folder of this machine. The volume is not restored, and with --store no
cluster is needed. Backups by Velero with kopia or restic, of any version, can be read.

Only what differs in size or time is read. Nothing outside of DIR is written, whatever is in the backup. Runs of zeros become holes. What is
damaged is named, and everything else is copied. DIR is, unless given, a folder of this one with the name of what is copied; of a file, this folder.

` + accessHelp + `

Exit codes: 0 all was copied, 1 nothing was, 2 the command line cannot be used, 3 some files are missing, which are named.`,
		Example: `  # One file out of last night's backup
  hozon volume get daily-20261120 shop/uploads /2026/11/invoice-17.pdf . --store 's3://backups?endpoint=https://s3.example.com'

  # A pod's volume as a whole
  hozon volume get daily-20261120 shop/db-0:data / ./db-0 --store /srv/backups`,
		Args: func(c *cobra.Command, args []string) error {
			if len(args) == 3 {
				return nil
			}
			return exactly(4, "a backup, a volume, a path in it, and a folder (or not)")(c, args)
		},
		RunE: func(c *cobra.Command, args []string) error {
			if err := o.check(); err != nil {
				return err
			}
			dir := ""
			if len(args) == 4 {
				dir = args[3]
			}
			return get(c.Context(), e, a, o, [3]string(args), dir)
		},
	}
	o.addFlags(c.Flags())
	a.addFlags(c.Flags())
	return c
}

// get copies; what is a backup, a volume, and a path in it.
func get(ctx context.Context, e *env.Env, a access, o choice, what [3]string, dir string) error {
	s, err := a.open(ctx, e, what[0])
	if err != nil {
		return err
	}
	defer s.close(ctx)
	tree, err := s.tree(ctx, what[0], what[1])
	if err != nil {
		return err
	}
	if dir == "" {
		if dir, err = target(ctx, tree, what); err != nil {
			return err
		}
	}
	var progress transfer.Progress
	stop := show(e, &progress)
	began := e.Now()
	stats, err := transfer.Restore(ctx, transfer.Snapshot{Tree: tree, Path: what[2]}, dir, o.Options, &progress)
	stop()
	if err != nil {
		return fmt.Errorf("volume %s of backup %s: %w", what[1], what[0], err)
	}
	return o.report(e, stats, e.Now().Sub(began))
}

// target is where something goes if nobody says.
func target(ctx context.Context, tree vault.Tree, what [3]string) (string, error) {
	n, err := vault.Find(ctx, tree, what[2])
	if err != nil || n.Type != vault.Folder {
		return ".", err
	}
	if n.Name != "" {
		return n.Name, nil
	}
	name := path.Base(what[1])
	return name[strings.LastIndexByte(name, ':')+1:], nil
}
