// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"hozon.dev/hozon/internal/cli/env"
	"hozon.dev/hozon/internal/fail"
	"hozon.dev/hozon/internal/store"
)

func newDownload(e *env.Env) *cobra.Command {
	var output string
	var force bool
	c := &cobra.Command{
		Use:   "download NAME",
		Short: "Copy the archive of a backup to a file",
		Long: `Copy the archive of a backup to a file (NAME-data.tar.gz).

The archive holds everything that was saved, Secrets in clear text included: the file is made with mode 0600.`,
		Example:           "  hozon backup download monday -o /tmp/monday.tar.gz --store /srv/backups",
		Args:              noun.OneName,
		ValidArgsFunction: noun.Complete(e),
		RunE: func(c *cobra.Command, args []string) error {
			p, err := noun.Find(c.Context(), e, args[0])
			if err != nil {
				return err
			}
			if output == "" {
				output = args[0] + "-data.tar.gz"
			}
			if err := download(c.Context(), p, args[0], output, force); err != nil {
				return err
			}
			_, err = fmt.Fprintf(e.Out, "Backup %s has been successfully downloaded to %s\n", args[0], output)
			return err
		},
	}
	c.Flags().StringVarP(&output, "output", "o", "", "File to write (default NAME-data.tar.gz in this folder).")
	e.AddDownloadFlags(c.Flags())
	c.Flags().BoolVar(&force, "force", false, "Overwrite the file if it exists.")
	return c
}

// download writes to a file beside the target and renames it, so that the target is whole or untouched.
func download(ctx context.Context, p env.Place, name, target string, force bool) (err error) {
	if _, err := os.Lstat(target); err == nil && !force {
		return fail.Errorf(fail.Exists, "%s exists; give another file with -o, or --force", target)
	}
	r, err := p.Open(ctx, store.Backup, name, store.Archive, 0, -1)
	if err != nil {
		return err
	}
	defer r.Close()
	f, err := os.CreateTemp(filepath.Dir(target), ".hozon-download-*")
	if err != nil {
		return fmt.Errorf("write %s: %w", target, err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(f.Name()))
		}
	}()
	_, err = io.Copy(f, r)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("download backup %s to %s: %w", name, target, err)
	}
	return os.Rename(f.Name(), target)
}
