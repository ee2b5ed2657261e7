// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"context"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	velerov1 "hozon.dev/hozon/api/velero/v1"
	"hozon.dev/hozon/internal/backup"
	"hozon.dev/hozon/internal/cli/env"
	"hozon.dev/hozon/internal/filter"
	"hozon.dev/hozon/internal/report"
	"hozon.dev/hozon/internal/store"
	"hozon.dev/hozon/internal/velero"
)

type createOptions struct {
	name     string
	schedule string
	spec     SpecFlags

	consistency string
	output      env.Output
	report      string
	wait        bool
}

// NewCreate is `hozon backup create`, and `hozon create backup` under the other name.
func NewCreate(e *env.Env, use string) *cobra.Command {
	o := &createOptions{}
	c := &cobra.Command{
		Use:   use + " NAME",
		Short: "Back up objects of the cluster",
		Long: `Back up objects of the cluster, all of them at one moment (one resourceVersion).

Without --store the server in the cluster is asked to do it, and the command ends at once unless --wait is given.

Without filters the backup holds every namespace and every cluster-scoped kind. An object that cannot be
read is reported and does not end the backup; the backup is then PartiallyFailed (exit code 3).

` + env.ExitHelp,
		Example: `  # Everything, into a folder
  hozon backup create monday --store /srv/backups

  # Two namespaces, into a bucket
  hozon backup create shop-1 --include-namespaces shop,shop-data --store 's3://backups/prod?endpoint=https://s3.example.com'

  # By the server in the cluster, and wait for it
  hozon backup create shop-2 --include-namespaces shop --wait

  # What a schedule would make, now
  hozon backup create --from-schedule nightly

  # What would be asked for, as an object
  hozon backup create shop-1 --include-namespaces 'shop*' -o yaml`,
		RunE: func(c *cobra.Command, args []string) error {
			if o.schedule == "" || len(args) > 0 {
				if err := noun.OneName(c, args); err != nil {
					return err
				}
				o.name = args[0]
			}
			return o.run(c.Context(), e)
		},
	}
	o.addFlags(c.Flags())
	return c
}

func (o *createOptions) addFlags(f *pflag.FlagSet) {
	o.spec.AddFlags(f, "backup")
	f.StringVar(&o.schedule, "from-schedule", "", "Make the backup that this schedule asks for; all other filters are ignored.")
	f.BoolVarP(&o.wait, "wait", "w", false, "Wait for the end (with --store the command always does).")
	f.StringVar(&o.consistency, "consistency", "prefer", "'prefer' one resourceVersion and fall back to one a kind with a warning, or 'require' it and fail otherwise.")
	o.output.AddTableFlags(f, "", "json", "yaml")
	f.Lookup("output").Usage = "Print the Backup as json or yaml and do not make it."
	f.StringVar(&o.report, "report", "", "Print the report of the run: 'json'.")
}

// complete makes the Backup out of the flags.
func (o *createOptions) complete(ctx context.Context, e *env.Env) (*velerov1.Backup, error) {
	if o.schedule != "" {
		return o.fromSchedule(ctx, e)
	}
	s, err := o.spec.Spec()
	if err != nil {
		return nil, err
	}
	return &velerov1.Backup{
		TypeMeta:   velero.Backups.TypeMeta(),
		ObjectMeta: metav1.ObjectMeta{Name: o.name, Namespace: e.Namespace, Labels: o.spec.Labels, Annotations: o.spec.Annotations},
		Spec:       s,
	}, nil
}

// validate refuses what cannot be carried out, with Velero's texts where it has them.
func (o *createOptions) validate(e *env.Env, b *velerov1.Backup) error {
	if err := store.CheckName(store.Backup, b.Name); err != nil {
		return env.UsageError(err)
	}
	if err := o.output.Check(); err != nil {
		return err
	}
	if o.report != "" && o.report != "json" {
		return env.Usagef("--report %q: the only form is json", o.report)
	}
	if e.StoreURL == "" && (o.report != "" || o.consistency != string(backup.Prefer)) {
		return env.Usagef("--report and --consistency are for --store only: the server decides for itself, and keeps the report with the backup")
	}
	if o.consistency != string(backup.Prefer) && o.consistency != string(backup.Require) {
		return env.Usagef("--consistency %q: use prefer or require", o.consistency)
	}
	if texts := filter.ValidateBackup(b.Spec); len(texts) > 0 {
		return env.Usagef("%s", joined(texts))
	}
	return nil
}

// unsupported refuses requests whose silent neglect would lose data.
func unsupported(s velerov1.BackupSpec) error {
	yes := func(b *bool) bool { return b != nil && *b }
	switch {
	case yes(s.SnapshotVolumes), yes(s.SnapshotMoveData), yes(s.DefaultVolumesToFsBackup), yes(s.DefaultVolumesToRestic):
		return env.Usagef("volume data cannot be saved with --store, only objects: the server in the cluster has node agents that read volumes; leave out --snapshot-volumes, --snapshot-move-data and --default-volumes-to-fs-backup")
	}
	return nil
}

func (o *createOptions) run(ctx context.Context, e *env.Env) error {
	b, err := o.complete(ctx, e)
	if err != nil {
		return err
	}
	if err := o.validate(e, b); err != nil {
		return err
	}
	if o.output.Format != "" {
		return e.Print(o.output.Format, b)
	}
	if e.StoreURL == "" {
		return o.request(ctx, e, b)
	}
	if err := unsupported(b.Spec); err != nil {
		return err
	}
	return o.carryOut(ctx, e, b)
}

// collectAt makes the collector start when the heap has grown by a quarter. What a backup has alive are buffers without pointers, which
// cost it next to nothing to pass over; its peak is a tenth lower for it.
const collectAt = 25

// carryOut makes the backup in this process.
func (o *createOptions) carryOut(ctx context.Context, e *env.Env, b *velerov1.Backup) error {
	e.GiveWay()
	s, err := e.OpenStore(ctx, true)
	if err != nil {
		return err
	}
	client, err := e.OpenCluster()
	if err != nil {
		return err
	}
	if err := e.Sweep(ctx, s); err != nil {
		return err
	}
	if e.Getenv("GOGC") == "" {
		defer debug.SetGCPercent(debug.SetGCPercent(collectAt))
	}
	b.UID = types.UID(uuid.NewString())
	b.CreationTimestamp = metav1.NewTime(e.Now().UTC().Truncate(time.Second))
	bar := e.NewProgress()
	engine := backup.Engine{Cluster: client, Store: s, Now: e.Now, Tool: "hozon " + e.Version, Observe: bar, AllVersions: e.Feature(env.AllVersions)}
	if err := engine.PayAll(ctx, debtor(b), func(name string, hooks []report.Hook) {
		for _, h := range hooks {
			e.Say("An unfinished run of backup %s: %s", name, h)
		}
	}); err != nil {
		return err
	}
	result, err := engine.Run(ctx, b, backup.Options{Consistency: backup.Consistency(o.consistency), Run: uuid.NewString()})
	bar.Close()
	if err != nil {
		return fmt.Errorf("backup %s: %w", b.Name, err)
	}
	if o.report == "json" {
		if err := e.Print("json", result.Report); err != nil {
			return err
		}
	}
	status := result.Backup.Status
	e.Say("Backup completed with status: %s. %d items in %s%s.", status.Phase, status.Progress.ItemsBackedUp,
		result.Took.Round(time.Millisecond), counts(status.Errors, status.Warnings))
	e.Say("You may check for more information using the commands `%s backup describe %s` and `%s backup logs %s`.", e.Name, b.Name, e.Name, b.Name)
	if status.Phase == velerov1.BackupPhasePartiallyFailed {
		return env.Ended{Code: env.ExitPartial}
	}
	return nil
}

// debtor finds the Backup whose dead run owes post hooks: of the one that is made now, if it has its name, the engine takes care; of others only the name
// is known, so that what the pods' annotations say is run.
func debtor(b *velerov1.Backup) func(string) *velerov1.Backup {
	return func(name string) *velerov1.Backup {
		if name == b.Name {
			return nil
		}
		return &velerov1.Backup{ObjectMeta: metav1.ObjectMeta{Name: name}}
	}
}

func counts(errors, warnings int) string {
	if errors+warnings == 0 {
		return ""
	}
	return fmt.Sprintf(", %d errors, %d warnings", errors, warnings)
}
