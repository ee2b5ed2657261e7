// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	velerov1 "hozon.dev/hozon/api/velero/v1"
	"hozon.dev/hozon/internal/backup"
	"hozon.dev/hozon/internal/cli/env"
	"hozon.dev/hozon/internal/dr"
	"hozon.dev/hozon/internal/store"
)

// annotationFile names the file that a backup was extracted from.
const annotationFile = "hozon.dev/extracted-from"

type extractOptions struct {
	source Source
	name   string
	ttl    time.Duration
	labels map[string]string
	report string
}

func newExtract(e *env.Env) *cobra.Command {
	o := &extractOptions{}
	c := &cobra.Command{
		Use:   "extract FILE --as BACKUP",
		Short: "Make a backup out of an etcd snapshot, or an archive with one",
		Long: `Make a backup out of an etcd snapshot, without an etcd or an API server: all objects, at the snapshot's revision. Of that
backup, "restore create" brings back a namespace or a single object as of any other.

What cannot be decoded (kinds of OpenShift that are stored as its own protobuf, values that a key service has encrypted) is listed as an error
of the backup, which is then PartiallyFailed (exit code 3). Volumes are not in etcd and so not in the backup.

` + env.ExitHelp,
		Example: `  # One namespace back from last night's snapshot
  hozon cluster extract snapshot.db --as from-etcd --store /srv/backups
  hozon restore create --from-backup from-etcd --include-namespaces shop --store /srv/backups

  # Secrets are encrypted in etcd
  hozon cluster extract snapshot.db --as from-etcd --encryption-provider-config /etc/kubernetes/enc/config.yaml --store /srv/backups`,
		Args: oneFile,
		RunE: func(c *cobra.Command, args []string) error {
			if err := o.validate(); err != nil {
				return err
			}
			return o.run(c.Context(), e, args[0])
		},
	}
	o.source.AddFlags(e, c.Flags())
	c.Flags().StringVar(&o.name, "as", "", "Name of the backup that is made.")
	c.Flags().DurationVar(&o.ttl, "ttl", 0, "How long the backup is kept (default 720h).")
	c.Flags().StringToStringVar(&o.labels, "labels", nil, "Labels of the backup.")
	c.Flags().StringVar(&o.report, "report", "", "Print the report of the run: 'json'.")
	return c
}

func (o *extractOptions) validate() error {
	switch {
	case o.name == "":
		return env.Usagef("give the backup a name: --as NAME")
	case o.ttl < 0:
		return env.Usagef("--ttl %s: a backup cannot expire before it is made", o.ttl)
	case o.report != "" && o.report != "json":
		return env.Usagef("--report %q: the only form is json", o.report)
	}
	return env.UsageError(store.CheckName(store.Backup, o.name))
}

func (o *extractOptions) run(ctx context.Context, e *env.Env, file string) error {
	s, err := e.OpenStore(ctx, true)
	if err != nil {
		return err
	}
	if err := e.Sweep(ctx, s); err != nil {
		return err
	}
	bar := e.NewProgress()
	defer bar.Close()
	bar.Step("Reading " + file)
	return o.source.Open(ctx, file, func(image *dr.Image) error {
		engine := backup.Engine{Store: s, Now: e.Now, Tool: "hozon " + e.Version, Observe: bar}
		result, err := engine.Import(ctx, o.backup(e, file), image, backup.Options{Run: uuid.NewString()})
		bar.Close()
		if err != nil {
			return fmt.Errorf("extract %s as backup %s: %w", file, o.name, err)
		}
		return o.tell(e, image, result)
	})
}

func (o *extractOptions) backup(e *env.Env, file string) *velerov1.Backup {
	return &velerov1.Backup{
		TypeMeta: metav1.TypeMeta{APIVersion: velerov1.APIVersion, Kind: "Backup"},
		ObjectMeta: metav1.ObjectMeta{
			Name: o.name, Namespace: e.Namespace, UID: types.UID(uuid.NewString()), Labels: o.labels,
			Annotations: map[string]string{annotationFile: filepath.Base(file)}, CreationTimestamp: metav1.NewTime(e.Now().UTC().Truncate(time.Second)),
		},
		Spec: velerov1.BackupSpec{TTL: velerov1.Duration{Duration: o.ttl}},
	}
}

func (o *extractOptions) tell(e *env.Env, image *dr.Image, result backup.Result) error {
	if o.report == "json" {
		if err := e.Print("json", result.Report); err != nil {
			return err
		}
	}
	status := result.Backup.Status
	for _, n := range result.Report.Errors {
		e.Say("Not extracted: %s", n.Text)
	}
	e.Say("Backup %s made with status: %s. %d items of revision %d in %s, %d errors, %d warnings.", o.name, status.Phase,
		status.Progress.ItemsBackedUp, image.Revision(), result.Took.Round(time.Millisecond), status.Errors, status.Warnings)
	e.Say("Bring back a part of it with `%s restore create --from-backup %s --include-namespaces NAMESPACE`.", e.Name, o.name)
	if status.Phase == velerov1.BackupPhasePartiallyFailed {
		return env.Ended{Code: env.ExitPartial}
	}
	return nil
}
