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
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	velerov1 "hozon.dev/hozon/api/velero/v1"
	"hozon.dev/hozon/internal/backup"
	"hozon.dev/hozon/internal/cli/env"
	"hozon.dev/hozon/internal/filter"
	"hozon.dev/hozon/internal/store"
)

type createOptions struct {
	name        string
	labels      map[string]string
	annotations map[string]string
	spec        velerov1.BackupSpec
	ttl         time.Duration
	csiTimeout  time.Duration
	itemTimeout time.Duration
	ordered     string
	policies    string
	parallel    int

	selectors        env.Selectors
	clusterResources env.OptionalBool
	snapshotVolumes  env.OptionalBool
	moveData         env.OptionalBool
	fsBackup         env.OptionalBool

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

Without filters the backup holds every namespace and every cluster-scoped kind. An object that cannot be
read is reported and does not end the backup; the backup is then PartiallyFailed (exit code 3).

` + env.ExitHelp,
		Example: `  # Everything, into a folder
  hozon backup create monday --store /srv/backups

  # Two namespaces, into a bucket
  hozon backup create shop-1 --include-namespaces shop,shop-data --store 's3://backups/prod?endpoint=https://s3.example.com'

  # What would be asked for, as an object
  hozon backup create shop-1 --include-namespaces 'shop*' -o yaml`,
		Args: noun.OneName,
		RunE: func(c *cobra.Command, args []string) error {
			o.name = args[0]
			return o.run(c.Context(), e)
		},
	}
	o.addFlags(c.Flags())
	return c
}

func (o *createOptions) addFlags(f *pflag.FlagSet) {
	s := &o.spec
	f.DurationVar(&o.ttl, "ttl", 0, "How long the backup is kept (default 720h).")
	f.StringSliceVar(&s.IncludedNamespaces, "include-namespaces", []string{"*"}, "Namespaces to take in (globs; '*': all).")
	f.StringSliceVar(&s.ExcludedNamespaces, "exclude-namespaces", nil, "Namespaces to leave out.")
	f.StringSliceVar(&s.IncludedResources, "include-resources", nil, "Resources to take in: resource.group, resource, short name or kind ('*': all).")
	f.StringSliceVar(&s.ExcludedResources, "exclude-resources", nil, "Resources to leave out.")
	f.StringSliceVar(&s.IncludedClusterScopedResources, "include-cluster-scoped-resources", nil, "Cluster-scoped resources to take in. Not together with --include-resources, --exclude-resources, --include-cluster-resources.")
	f.StringSliceVar(&s.ExcludedClusterScopedResources, "exclude-cluster-scoped-resources", nil, "Cluster-scoped resources to leave out.")
	f.StringSliceVar(&s.IncludedNamespaceScopedResources, "include-namespace-scoped-resources", nil, "Namespaced resources to take in.")
	f.StringSliceVar(&s.ExcludedNamespaceScopedResources, "exclude-namespace-scoped-resources", nil, "Namespaced resources to leave out.")
	o.clusterResources.AddFlag(f, "include-cluster-resources", "Take in cluster-scoped resources: all (true), none (false), or what the rest needs (unset).")
	f.StringToStringVar(&o.labels, "labels", nil, "Labels of the backup.")
	f.StringToStringVar(&o.annotations, "annotations", nil, "Annotations of the backup.")
	f.StringVar(&s.StorageLocation, "storage-location", "", "Location that the backup is recorded under.")
	f.StringSliceVar(&s.VolumeSnapshotLocations, "volume-snapshot-locations", nil, "Locations for volume snapshots (kept in the spec).")
	o.selectors.AddFlags(f, "back up")
	f.StringVar(&o.ordered, "ordered-resources", "", "Resources that go first: 'pods=ns/a,ns/b;persistentvolumes=pv1'.")
	f.DurationVar(&o.csiTimeout, "csi-snapshot-timeout", 0, "How long to wait for a CSI snapshot.")
	f.DurationVar(&o.itemTimeout, "item-operation-timeout", 0, "How long to wait for an asynchronous operation.")
	o.snapshotVolumes.AddFlag(f, "snapshot-volumes", "Take snapshots of volumes.")
	o.moveData.AddFlag(f, "snapshot-move-data", "Move the data of snapshots to the store.")
	o.fsBackup.AddFlag(f, "default-volumes-to-fs-backup", "Back up the files of pod volumes.")
	f.StringVar(&o.policies, "resource-policies-configmap", "", "ConfigMap with resource policies.")
	f.StringVar(&s.DataMover, "data-mover", "", "Data mover to use.")
	f.IntVar(&o.parallel, "parallel-files-upload", 0, "How many files are uploaded at once (0: one a CPU).")
	f.BoolVarP(&o.wait, "wait", "w", false, "Wait for the end (with --store the command always does).")
	f.StringVar(&o.consistency, "consistency", "prefer", "'prefer' one resourceVersion and fall back to one a kind with a warning, or 'require' it and fail otherwise.")
	o.output.AddFlag(f, "", "json", "yaml")
	f.Lookup("output").Usage = "Print the Backup as json or yaml and do not make it."
	f.StringVar(&o.report, "report", "", "Print the report of the run: 'json'.")
}

// complete makes the Backup out of the flags.
func (o *createOptions) complete(e *env.Env) (*velerov1.Backup, error) {
	label, or, err := o.selectors.Parse()
	if err != nil {
		return nil, err
	}
	s := o.spec
	s.LabelSelector, s.OrLabelSelectors = label, or
	s.TTL = metav1.Duration{Duration: o.ttl}
	s.CSISnapshotTimeout = metav1.Duration{Duration: o.csiTimeout}
	s.ItemOperationTimeout = metav1.Duration{Duration: o.itemTimeout}
	s.IncludeClusterResources = o.clusterResources.Value
	s.SnapshotVolumes, s.SnapshotMoveData, s.DefaultVolumesToFsBackup = o.snapshotVolumes.Value, o.moveData.Value, o.fsBackup.Value
	if s.OrderedResources, err = parseOrdered(o.ordered); err != nil {
		return nil, err
	}
	if o.policies != "" {
		s.ResourcePolicy = &corev1.TypedLocalObjectReference{Kind: "configmap", Name: o.policies}
	}
	if o.parallel > 0 {
		s.UploaderConfig = &velerov1.UploaderConfigForBackup{ParallelFilesUpload: o.parallel}
	}
	return &velerov1.Backup{
		TypeMeta:   metav1.TypeMeta{APIVersion: velerov1.APIVersion, Kind: "Backup"},
		ObjectMeta: metav1.ObjectMeta{Name: o.name, Namespace: e.Namespace, Labels: o.labels, Annotations: o.annotations},
		Spec:       s,
	}, nil
}

// validate refuses what cannot be carried out, with Velero's texts where it has them.
func (o *createOptions) validate(b *velerov1.Backup) error {
	if err := store.CheckName(store.Backup, b.Name); err != nil {
		return env.UsageError(err)
	}
	if err := o.output.Check(); err != nil {
		return err
	}
	if o.report != "" && o.report != "json" {
		return env.Usagef("--report %q: the only form is json", o.report)
	}
	if o.consistency != string(backup.Prefer) && o.consistency != string(backup.Require) {
		return env.Usagef("--consistency %q: use prefer or require", o.consistency)
	}
	if o.ttl < 0 {
		return env.Usagef("--ttl %s: a backup cannot expire before it is made", o.ttl)
	}
	if texts := filter.ValidateBackup(b.Spec); len(texts) > 0 {
		return env.Usagef("%s", joined(texts))
	}
	return unsupported(b.Spec)
}

// unsupported refuses requests whose silent neglect would lose data.
func unsupported(s velerov1.BackupSpec) error {
	yes := func(b *bool) bool { return b != nil && *b }
	switch {
	case yes(s.SnapshotVolumes), yes(s.SnapshotMoveData), yes(s.DefaultVolumesToFsBackup), yes(s.DefaultVolumesToRestic):
		return env.Usagef("volume data cannot be saved with --store yet, only objects; leave out --snapshot-volumes, --snapshot-move-data and --default-volumes-to-fs-backup")
	case s.ResourcePolicy != nil:
		return env.Usagef("--resource-policies-configmap cannot be used with --store yet")
	}
	return nil
}

func (o *createOptions) run(ctx context.Context, e *env.Env) error {
	b, err := o.complete(e)
	if err != nil {
		return err
	}
	if err := o.validate(b); err != nil {
		return err
	}
	if o.output.Format != "" {
		return e.Print(o.output.Format, b)
	}
	return o.submit(ctx, e, b)
}

// collectAt makes the collector start when the heap has grown by a quarter. What a backup has alive are buffers without pointers, which
// cost it next to nothing to pass over; its peak is a tenth lower for it.
const collectAt = 25

func (o *createOptions) submit(ctx context.Context, e *env.Env, b *velerov1.Backup) error {
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
	engine := backup.Engine{Cluster: client, Store: s, Now: e.Now, Tool: "hozon " + e.Version, Observe: bar}
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

func counts(errors, warnings int) string {
	if errors+warnings == 0 {
		return ""
	}
	return fmt.Sprintf(", %d errors, %d warnings", errors, warnings)
}
