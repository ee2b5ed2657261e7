// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"time"

	"github.com/spf13/pflag"
	corev1 "k8s.io/api/core/v1"

	velerov1 "hozon.dev/hozon/api/velero/v1"
	"hozon.dev/hozon/internal/cli/env"
)

// SpecFlags are the flags that say what a backup takes in and how; schedules have them too.
type SpecFlags struct {
	Labels      map[string]string
	Annotations map[string]string
	TTL         time.Duration

	spec        velerov1.BackupSpec
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
}

// AddFlags registers the flags. of is the noun whose labels are given.
func (o *SpecFlags) AddFlags(f *pflag.FlagSet, of string) {
	s := &o.spec
	f.DurationVar(&o.TTL, "ttl", 0, "How long the backup is kept (default 720h).")
	o.addFilters(f)
	f.StringToStringVar(&o.Labels, "labels", nil, "Labels of the "+of+".")
	f.StringToStringVar(&o.Annotations, "annotations", nil, "Annotations of the "+of+".")
	f.StringVar(&s.StorageLocation, "storage-location", "", "Location that the backup is kept in, or recorded under.")
	f.StringSliceVar(&s.VolumeSnapshotLocations, "volume-snapshot-locations", nil, "Locations for volume snapshots.")
	f.StringVar(&o.ordered, "ordered-resources", "", "Resources that go first: 'pods=ns/a,ns/b;persistentvolumes=pv1'.")
	f.DurationVar(&o.csiTimeout, "csi-snapshot-timeout", 0, "How long to wait for a CSI snapshot.")
	f.DurationVar(&o.itemTimeout, "item-operation-timeout", 0, "How long to wait for an asynchronous operation.")
	o.snapshotVolumes.AddFlag(f, "snapshot-volumes", "Take snapshots of volumes.")
	o.moveData.AddFlag(f, "snapshot-move-data", "Move the data of snapshots to the store.")
	o.fsBackup.AddFlag(f, "default-volumes-to-fs-backup", "Back up the files of pod volumes.")
	f.StringVar(&o.policies, "resource-policies-configmap", "", "ConfigMap with resource policies.")
	f.StringVar(&s.DataMover, "data-mover", "", "Data mover to use.")
	f.IntVar(&o.parallel, "parallel-files-upload", 0, "How many files are uploaded at once (0: one a CPU).")
}

func (o *SpecFlags) addFilters(f *pflag.FlagSet) {
	s := &o.spec
	f.StringSliceVar(&s.IncludedNamespaces, "include-namespaces", []string{"*"}, "Namespaces to take in (globs; '*': all).")
	f.StringSliceVar(&s.ExcludedNamespaces, "exclude-namespaces", nil, "Namespaces to leave out.")
	f.StringSliceVar(&s.IncludedResources, "include-resources", nil, "Resources to take in: resource.group, resource, short name or kind ('*': all).")
	f.StringSliceVar(&s.ExcludedResources, "exclude-resources", nil, "Resources to leave out.")
	f.StringSliceVar(&s.IncludedClusterScopedResources, "include-cluster-scoped-resources", nil, "Cluster-scoped resources to take in. Not together with --include-resources, --exclude-resources, --include-cluster-resources.")
	f.StringSliceVar(&s.ExcludedClusterScopedResources, "exclude-cluster-scoped-resources", nil, "Cluster-scoped resources to leave out.")
	f.StringSliceVar(&s.IncludedNamespaceScopedResources, "include-namespace-scoped-resources", nil, "Namespaced resources to take in.")
	f.StringSliceVar(&s.ExcludedNamespaceScopedResources, "exclude-namespace-scoped-resources", nil, "Namespaced resources to leave out.")
	o.clusterResources.AddFlag(f, "include-cluster-resources", "Take in cluster-scoped resources: all (true), none (false), or what the rest needs (unset).")
	o.selectors.AddFlags(f, "back up")
}

// Spec is what the flags say.
func (o *SpecFlags) Spec() (velerov1.BackupSpec, error) {
	s := o.spec
	if o.TTL < 0 {
		return s, env.Usagef("--ttl %s: a backup cannot expire before it is made", o.TTL)
	}
	var err error
	if s.LabelSelector, s.OrLabelSelectors, err = o.selectors.Parse(); err != nil {
		return s, err
	}
	if s.OrderedResources, err = parseOrdered(o.ordered); err != nil {
		return s, err
	}
	s.TTL = velerov1.Duration{Duration: o.TTL}
	s.CSISnapshotTimeout = velerov1.Duration{Duration: o.csiTimeout}
	s.ItemOperationTimeout = velerov1.Duration{Duration: o.itemTimeout}
	s.IncludeClusterResources = o.clusterResources.Value
	s.SnapshotVolumes, s.SnapshotMoveData, s.DefaultVolumesToFsBackup = o.snapshotVolumes.Value, o.moveData.Value, o.fsBackup.Value
	if o.policies != "" {
		s.ResourcePolicy = &corev1.TypedLocalObjectReference{Kind: "configmap", Name: o.policies}
	}
	if o.parallel > 0 {
		s.UploaderConfig = &velerov1.UploaderConfigForBackup{ParallelFilesUpload: o.parallel}
	}
	return s, nil
}
