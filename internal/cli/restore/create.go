// SPDX-License-Identifier: Apache-2.0

package restore

import (
	"cmp"
	"context"
	"fmt"
	"runtime/debug"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	velerov1 "hozon.dev/hozon/api/velero/v1"
	"hozon.dev/hozon/internal/cli/env"
	"hozon.dev/hozon/internal/fail"
	"hozon.dev/hozon/internal/filter"
	"hozon.dev/hozon/internal/restore"
	"hozon.dev/hozon/internal/store"
)

type createOptions struct {
	name        string
	labels      map[string]string
	annotations map[string]string
	spec        velerov1.RestoreSpec
	mappings    env.Mapping
	policy      string
	itemTimeout time.Duration
	statusIn    []string
	statusOut   []string
	modifier    string
	policies    string
	parallel    int

	selectors        env.Selectors
	clusterResources env.OptionalBool
	volumes          env.OptionalBool
	nodePorts        env.OptionalBool
	partially        env.OptionalBool
	sparse           env.OptionalBool

	dryRun bool
	failed bool
	output env.Output
	report string
	wait   bool
}

// NewCreate is `hozon restore create`, and `hozon create restore` under the other name.
func NewCreate(e *env.Env, use string) *cobra.Command {
	o := &createOptions{}
	c := &cobra.Command{
		Use:   use + " [NAME] --from-backup BACKUP",
		Short: "Bring back what a backup holds",
		Long: `Bring back what a backup holds, into the cluster of the kubeconfig.

Without --store the server in the cluster is asked to do it, and the command ends at once unless --wait is given.

Objects that exist are left as they are, and those that differ are named, unless --existing-resource-policy update says to change them.
An object that cannot be restored is reported and does not end the restore; the restore is then PartiallyFailed (exit code 3).

` + env.ExitHelp,
		Example: `  # See what would happen
  hozon restore create --from-backup monday --dry-run

  # By the server in the cluster, and wait for it
  hozon restore create --from-backup monday --wait

  # One namespace, under another name
  hozon restore create --from-backup monday --include-namespaces shop --namespace-mappings shop:shop-test

  # Bring changed objects back to the saved state
  hozon restore create --from-backup monday --existing-resource-policy update`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 1 {
				return env.Usagef("give the name of one restore, not %d", len(args))
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) == 1 {
				o.name = args[0]
			}
			return o.run(c.Context(), e)
		},
	}
	o.addFlags(c.Flags())
	return c
}

func (o *createOptions) addFlags(f *pflag.FlagSet) {
	s := &o.spec
	f.StringVar(&s.BackupName, "from-backup", "", "Backup to restore from.")
	f.StringVar(&s.ScheduleName, "from-schedule", "", "Restore from the newest completed backup of this schedule.")
	f.StringSliceVar(&s.IncludedNamespaces, "include-namespaces", []string{"*"}, "Namespaces to restore, by their names in the backup (globs; '*': all).")
	f.StringSliceVar(&s.ExcludedNamespaces, "exclude-namespaces", nil, "Namespaces to leave out.")
	f.Var(&o.mappings, "namespace-mappings", "Namespaces to restore under another name: from:to,from2:to2.")
	f.StringToStringVar(&o.labels, "labels", nil, "Labels of the restore.")
	f.StringToStringVar(&o.annotations, "annotations", nil, "Annotations of the restore.")
	f.StringSliceVar(&s.IncludedResources, "include-resources", nil, "Resources to restore: resource.group, resource, short name or kind ('*': all).")
	f.StringSliceVar(&s.ExcludedResources, "exclude-resources", nil, "Resources to leave out.")
	f.StringSliceVar(&o.statusIn, "status-include-resources", nil, "Resources whose status is restored too.")
	f.StringSliceVar(&o.statusOut, "status-exclude-resources", nil, "Resources whose status is not restored.")
	f.StringVar(&o.policy, "existing-resource-policy", "", "What becomes of objects that exist and differ: 'none' leaves them, 'update' changes them to the saved state, 'recreate' also deletes and makes anew what cannot be changed.")
	o.selectors.AddFlags(f, "restore")
	f.DurationVar(&o.itemTimeout, "item-operation-timeout", 0, "How long to wait for an asynchronous operation.")
	o.volumes.AddFlag(f, "restore-volumes", "Restore volumes from snapshots.")
	o.nodePorts.AddFlag(f, "preserve-nodeports", "Keep the node ports of Services.")
	o.clusterResources.AddFlag(f, "include-cluster-resources", "Restore cluster-scoped resources: all (true), none (false), or what the rest needs (unset).")
	o.partially.AddFlag(f, "allow-partially-failed", "With --from-schedule, also take backups that are PartiallyFailed.")
	o.sparse.AddFlag(f, "write-sparse-files", "Write holes of volume files as holes.")
	f.StringVar(&o.modifier, "resource-modifier-configmap", "", "ConfigMap with resource modifiers, in the server's namespace (--namespace).")
	f.StringVar(&o.policies, "resource-policies-configmap", "", "ConfigMap with resource policies, in the server's namespace (--namespace).")
	f.IntVar(&o.parallel, "parallel-files-download", 0, "How many volume files are written at once (0: one a CPU).")
	f.BoolVarP(&o.wait, "wait", "w", false, "Wait for the end (with --store the command always does).")
	f.BoolVar(&o.failed, "allow-failed", false, "Restore also from a backup that failed or did not end.")
	f.BoolVar(&o.dryRun, "dry-run", false, "Print what would happen to each object, and change nothing.")
	o.output.AddTableFlags(f, "", "json", "yaml")
	f.Lookup("output").Usage = "Print the Restore as json or yaml and do not carry it out."
	f.StringVar(&o.report, "report", "", "Print the outcome of every object: 'json'.")
}

func (o *createOptions) complete(e *env.Env) (*velerov1.Restore, error) {
	label, or, err := o.selectors.Parse()
	if err != nil {
		return nil, err
	}
	s := o.spec
	s.LabelSelector, s.OrLabelSelectors = label, or
	s.NamespaceMapping = o.mappings
	s.ExistingResourcePolicy = velerov1.PolicyType(o.policy)
	s.ItemOperationTimeout = velerov1.Duration{Duration: o.itemTimeout}
	s.RestorePVs, s.PreserveNodePorts, s.IncludeClusterResources = o.volumes.Value, o.nodePorts.Value, o.clusterResources.Value
	if len(o.statusIn)+len(o.statusOut) > 0 {
		s.RestoreStatus = &velerov1.RestoreStatusSpec{IncludedResources: o.statusIn, ExcludedResources: o.statusOut}
	}
	if o.modifier != "" {
		s.ResourceModifier = &corev1.TypedLocalObjectReference{Kind: "ConfigMap", Name: o.modifier}
	}
	if o.policies != "" {
		s.ResourcePolicy = &corev1.TypedLocalObjectReference{Kind: "configmap", Name: o.policies}
	}
	s.UploaderConfig = &velerov1.UploaderConfigForRestore{WriteSparseFiles: o.sparse.Value, ParallelFilesDownload: o.parallel}
	name := o.name
	if name == "" {
		name = o.defaultName(e.Now())
	}
	return &velerov1.Restore{
		TypeMeta:   metav1.TypeMeta{APIVersion: velerov1.APIVersion, Kind: "Restore"},
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: e.Namespace, Labels: o.labels, Annotations: o.annotations},
		Spec:       s,
	}, nil
}

// defaultName is Velero's: the source and the time to the second.
func (o *createOptions) defaultName(at time.Time) string {
	return cmp.Or(o.spec.BackupName, o.spec.ScheduleName) + "-" + at.UTC().Format("20060102150405")
}

// freeName is the default name of the first second from now on that has none yet.
func (o *createOptions) freeName(ctx context.Context, e *env.Env, s *store.Store) (string, error) {
	for at := e.Now(); ; at = at.Add(time.Second) {
		name := o.defaultName(at)
		if _, err := s.Restore(ctx, name); fail.Is(err, fail.NotFound) {
			return name, nil
		} else if err != nil && !fail.Is(err, fail.Corrupt) {
			return "", err
		}
	}
}

func (o *createOptions) validate(e *env.Env, r *velerov1.Restore) error {
	if (r.Spec.BackupName == "") == (r.Spec.ScheduleName == "") {
		return env.Usagef("Either a backup or schedule must be specified as a source for the restore, but not both")
	}
	if err := store.CheckName(store.Restore, r.Name); err != nil {
		return env.UsageError(err)
	}
	if err := o.output.Check(); err != nil {
		return err
	}
	if o.report != "" && o.report != "json" {
		return env.Usagef("--report %q: the only form is json", o.report)
	}
	if texts := filter.ValidateRestore(r.Spec); len(texts) > 0 {
		return env.Usagef("%s", strings.Join(texts, "; "))
	}
	return nil
}

func (o *createOptions) run(ctx context.Context, e *env.Env) error {
	r, err := o.complete(e)
	if err != nil {
		return err
	}
	if err := o.validate(e, r); err != nil {
		return err
	}
	if o.output.Format != "" {
		return e.Print(o.output.Format, r)
	}
	if e.StoreURL == "" {
		return o.request(ctx, e, r)
	}
	return o.carryOut(ctx, e, r)
}

// collectAt makes the collector of a dry run start when the heap has grown by a quarter: what it compares is garbage at once, and
// little is left alive to go through.
const collectAt = 25

// carryOut restores in this process.
func (o *createOptions) carryOut(ctx context.Context, e *env.Env, r *velerov1.Restore) error {
	s, err := e.OpenStore(ctx, false)
	if err != nil {
		return err
	}
	if o.name == "" {
		if r.Name, err = o.freeName(ctx, e, s); err != nil {
			return err
		}
	}
	if r.Spec.ScheduleName != "" {
		if r.Spec.BackupName, err = newest(ctx, s, r.Spec.ScheduleName, o.takesPartial()); err != nil {
			return err
		}
	}
	client, err := e.OpenCluster()
	if err != nil {
		return err
	}
	if !o.dryRun {
		if err := e.Sweep(ctx, s); err != nil {
			return err
		}
	}
	if o.dryRun && e.Getenv("GOGC") == "" {
		defer debug.SetGCPercent(debug.SetGCPercent(collectAt))
	}
	r.UID = types.UID(uuid.NewString())
	r.CreationTimestamp = metav1.NewTime(e.Now().UTC().Truncate(time.Second))
	bar := &progress{Progress: e.NewProgress()}
	engine := restore.Engine{Target: client, Store: s, Now: e.Now, Observe: bar, ByTarget: e.Feature(env.AllVersions)}
	result, err := engine.Run(ctx, r, restore.Options{DryRun: o.dryRun, AllowFailed: o.failed})
	bar.Close()
	if err != nil {
		return fmt.Errorf("restore %s: %w", r.Name, err)
	}
	return o.tell(e, result)
}

// newest is the name of the schedule's newest backup that may be restored.
func newest(ctx context.Context, s *store.Store, schedule string, partially bool) (string, error) {
	names, err := s.Backups(ctx)
	if err != nil {
		return "", err
	}
	var backups []*velerov1.Backup
	for _, name := range names {
		b, err := s.Backup(ctx, name)
		if fail.Is(err, fail.Corrupt) {
			continue
		}
		if err != nil {
			return "", err
		}
		if b.Labels[velerov1.LabelScheduleName] == velerov1.LabelValue(schedule) {
			backups = append(backups, b)
		}
	}
	best, err := newestOf(schedule, backups, partially)
	if err != nil {
		return "", err
	}
	return best.Name, nil
}

// newestOf is the backup of a schedule that began last, of those that may be restored.
func newestOf(schedule string, backups []*velerov1.Backup, partially bool) (*velerov1.Backup, error) {
	var best *velerov1.Backup
	for _, b := range backups {
		usable := b.Status.Phase == velerov1.BackupPhaseCompleted || partially && b.Status.Phase == velerov1.BackupPhasePartiallyFailed
		if usable && (best == nil || best.Status.StartTimestamp.Before(b.Status.StartTimestamp)) {
			best = b
		}
	}
	switch {
	case best != nil:
		return best, nil
	case len(backups) > 0:
		return nil, fail.Errorf(fail.NotFound, "No completed backups found for schedule %s; --allow-partially-failed takes those that are PartiallyFailed", schedule)
	}
	return nil, fail.Errorf(fail.NotFound, "No backups found for schedule %s", schedule)
}
