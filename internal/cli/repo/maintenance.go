// SPDX-License-Identifier: Apache-2.0

package repo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	velerov1 "hozon.dev/hozon/api/velero/v1"
	"hozon.dev/hozon/internal/cli/env"
	"hozon.dev/hozon/internal/controller"
	"hozon.dev/hozon/internal/fail"
	"hozon.dev/hozon/internal/volume"
)

// maintenance is what a Job of the server runs: Velero's hidden command, with its flags.
type maintenance struct {
	namespace, kind, location, log string
	full                           bool
}

// NewMaintenance is `hozon repo-maintenance`.
func NewMaintenance(e *env.Env) *cobra.Command {
	o := &maintenance{}
	c := &cobra.Command{
		Use: "repo-maintenance", Hidden: true, Args: cobra.NoArgs,
		Short: "Maintain a repository with the data of volumes",
		Long: `Maintain the repository of a namespace in a location, as far as that is due by its own schedule: compact indexes, and remove what no snapshot needs.

The server runs it, in Jobs. It prints as JSON what it did and what the repository holds.`,
		Example: "  hozon repo-maintenance --repo-name shop --repo-type kopia --backup-storage-location default",
		RunE:    func(c *cobra.Command, _ []string) error { return o.run(c.Context(), e) },
	}
	f := c.Flags()
	f.StringVar(&o.namespace, "repo-name", "", "Namespace whose volumes the repository holds.")
	f.StringVar(&o.kind, "repo-type", velerov1.RepositoryTypeKopia, "Format of the repository: kopia.")
	f.StringVar(&o.location, "backup-storage-location", "", "Location that it is in.")
	f.BoolVar(&o.full, "full", false, "Do all of it, due or not.")
	f.StringVar(&o.log, "termination-log", "", "File that gets the result too.")
	f.String("log-level", "info", "Accepted for Velero's sake.")
	f.String("log-format", "text", "Accepted for Velero's sake.")
	return c
}

func (o *maintenance) run(ctx context.Context, e *env.Env) error {
	if o.namespace == "" || o.location == "" {
		return env.Usagef("--repo-name and --backup-storage-location are needed")
	}
	if o.kind != velerov1.RepositoryTypeKopia {
		return env.Usagef("--repo-type %q: only kopia's repositories are maintained; restic's are only read", o.kind)
	}
	done, err := o.maintain(ctx, e)
	text, coding := json.Marshal(done)
	if err != nil {
		text = []byte(controller.MaintenanceFailure + err.Error())
	}
	fmt.Fprintln(e.Out, string(text))
	if o.log != "" {
		coding = errors.Join(coding, os.WriteFile(o.log, text, 0o600))
	}
	return errors.Join(err, coding)
}

func (o *maintenance) maintain(ctx context.Context, e *env.Env) (done controller.Maintained, err error) {
	st, err := e.OpenLocation(ctx, o.location)
	if err != nil {
		return done, err
	}
	secret, err := e.Secret(ctx, "velero-repo-credentials", "repository-password")
	if err != nil && !fail.Is(err, fail.NotFound) {
		return done, err
	}
	passwords, err := volume.Passwords(ctx, st.Bucket(), secret)
	if err != nil {
		return done, err
	}
	cache, err := os.MkdirTemp("", "hozon-maintenance-")
	if err != nil {
		return done, err
	}
	defer os.RemoveAll(cache)
	r, err := volume.OpenWrite(ctx, st.Bucket(), o.namespace, passwords, cache)
	if err != nil {
		return done, err
	}
	if done.Maintenance, err = r.Maintain(ctx, o.full); err == nil {
		done.Usage, err = r.Stats(ctx)
	}
	return done, errors.Join(err, r.Close(context.WithoutCancel(ctx)))
}
