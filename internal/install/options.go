// SPDX-License-Identifier: Apache-2.0

// Package install puts the server into a cluster and takes it out again.
//
// Nouns: Options are what the user wants; a Manifest is one object of an installation; an Installer carries them into a cluster, over
// nothing, over an earlier installation of ours, or over Velero.
//
// Invariants: names are Velero's (namespace, Deployment, ServiceAccount, Secret, locations), so that everything that is there goes on
// working, and Velero can be installed over us again. What an installation does not name it does not change: other locations, schedules,
// backups stay. A server that is at work is not replaced.
//
// It does not look into buckets.
package install

import (
	"path"

	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"hozon.dev/hozon/internal/fail"
)

// Names that Velero gave, and that scripts and dashboards know.
const (
	Deployment      = "velero"
	Secret          = "cloud-credentials"
	secretKey       = "cloud"
	defaultAccount  = "velero"
	defaultLocation = "default"
)

// RBAC says what the server may do.
type RBAC string

const (
	ClusterAdmin RBAC = "cluster-admin" // everything, as Velero's server
	Split        RBAC = "split"         // what it needs (doc/decision/0018-rbac.md)
)

// Resources are what a container asks for and may use at most; empty: no bound.
type Resources struct{ CPURequest, MemRequest, CPULimit, MemLimit string }

// Options are what is wanted of an installation.
type Options struct {
	Namespace string
	Image     string

	// The place where backups are kept. Without Provider there is none.
	Provider       string
	Bucket, Prefix string
	LocationConfig map[string]string
	CACert         []byte
	Credentials    []byte // nil: no Secret

	SnapshotLocation bool
	SnapshotConfig   map[string]string

	Account            string // ServiceAccount to use that exists; empty: one is made
	AccountAnnotations map[string]string
	PodAnnotations     map[string]string
	PodLabels          map[string]string
	PriorityClass      string
	Server             Resources
	RBAC               RBAC
	Args               []string // further flags of the server
	Plugins            []string // images; those whose work the server does itself are left out

	NodeAgent    NodeAgent
	ControlPlane ControlPlane

	CRDsOnly bool
}

// Check refuses what cannot be installed.
func (o Options) Check() error {
	switch {
	case o.CRDsOnly:
		return nil
	case o.Provider == "" != (o.Bucket == ""):
		return fail.Errorf(fail.Invalid, "--provider and --bucket belong together: give both, or --no-default-backup-location")
	case o.Image == "":
		return fail.Errorf(fail.Invalid, "--image is required: an image that the nodes of the cluster can pull")
	case o.RBAC != ClusterAdmin && o.RBAC != Split:
		return fail.Errorf(fail.Invalid, "--rbac %q: use %s or %s", o.RBAC, ClusterAdmin, Split)
	}
	if root := o.NodeAgent.KubeletRoot; root != "" && (!path.IsAbs(root) || path.Clean(root) != root) {
		return fail.Errorf(fail.Invalid, "--kubelet-root-dir %q: it is an absolute path", root)
	}
	if err := o.ControlPlane.check(o.Provider); err != nil {
		return fail.Errorf(fail.Invalid, "%w", err)
	}
	for name, text := range map[string]string{
		"--velero-pod-cpu-request": o.Server.CPURequest, "--velero-pod-mem-request": o.Server.MemRequest,
		"--velero-pod-cpu-limit": o.Server.CPULimit, "--velero-pod-mem-limit": o.Server.MemLimit,
		"--node-agent-pod-cpu-request": o.NodeAgent.Resources.CPURequest, "--node-agent-pod-mem-request": o.NodeAgent.Resources.MemRequest,
		"--node-agent-pod-cpu-limit": o.NodeAgent.Resources.CPULimit, "--node-agent-pod-mem-limit": o.NodeAgent.Resources.MemLimit,
	} {
		if _, err := resource.ParseQuantity(text); text != "" && err != nil {
			return fail.Errorf(fail.Invalid, "%s %q: %w", name, text, err)
		}
	}
	return nil
}

func (o Options) account() string {
	if o.Account != "" {
		return o.Account
	}
	return defaultAccount
}

func (o Options) meta(name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: o.Namespace, Name: name, Labels: map[string]string{"component": "velero"}}
}
