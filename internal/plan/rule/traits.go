// SPDX-License-Identifier: Apache-2.0

package rule

import (
	"fmt"
	"strings"

	"hozon.dev/hozon/internal/object"
)

// Owner is one ownerReference of a saved object.
type Owner struct {
	Group, Kind, Name, UID string
	// Controller is set for the one owner that manages the object.
	Controller bool
}

// Traits is what a plan knows of an object beyond its name. It is kept for every item of a backup, so that it has to stay small:
// whatever only few kinds have lies behind More.
type Traits struct {
	UID    string
	Owners []Owner
	// Skip says why the object is not restored, whatever the rest of the backup holds; "" if nothing speaks against it.
	Skip string
	More *More
}

// More is what only some kinds have.
type More struct {
	// Needs are objects of the backup without which this one cannot work: they are restored along, past selectors.
	Needs []object.Ref
	// Release is the release of Helm's that the object belongs to, "namespace/name".
	Release string
	// Defines is the group-resource ("gears.example.com") that a CustomResourceDefinition brings.
	Defines string
	// FixedPorts is set for Services that keep a node port, health check port or address that a user chose.
	FixedPorts bool
	// Allocates is set for Services that get a node port which nobody chose.
	Allocates bool
	// Volume is set for PersistentVolumes.
	Volume *Volume
	// Template is a hash of the pod template of a workload, Selector of its selector.
	Template, Selector uint64
}

// Volume is what matters of a PersistentVolume.
type Volume struct {
	Retain         bool   // reclaim policy Retain (or Recycle): the volume outlives its claim
	ClaimNamespace string // "" if no claim is bound
	ClaimName      string
}

// inspectors look into the bodies of the kinds that have traits of their own.
var inspectors = map[string]func(ref object.Ref, head object.Head, body []byte, t *Traits) error{
	"pods":                   inspectPod,
	"jobs.batch":             inspectJob,
	"services":               inspectService,
	"secrets":                inspectSecret,
	"persistentvolumes":      inspectVolume,
	"persistentvolumeclaims": inspectClaim,
	"customresourcedefinitions.apiextensions.k8s.io": inspectDefinition,
	"apiservices.apiregistration.k8s.io":             inspectAPIService,
	"ipaddresses.networking.k8s.io":                  inspectAddress,
	"endpointslices.discovery.k8s.io":                inspectSlice,
	"deployments.apps":                               inspectWorkload,
	"statefulsets.apps":                              inspectWorkload,
	"daemonsets.apps":                                inspectWorkload,
	"volumesnapshots.snapshot.storage.k8s.io":        inspectSnapshot,
	"volumesnapshotcontents.snapshot.storage.k8s.io": inspectSnapshot,
	"volumesnapshotclasses.snapshot.storage.k8s.io":  inspectSnapshot,
	"datauploads.velero.io":                          inspectUpload,
}

// Looks reports whether traits of this kind depend on more than the metadata that every object has.
func Looks(groupResource string) bool { return inspectors[groupResource] != nil }

// Inspect reads the traits of a saved object; head is what object.Scan said of body. What it returns does not hold on to either.
func Inspect(ref object.Ref, head object.Head, body []byte) (Traits, error) {
	t := Traits{UID: strings.Clone(head.UID)}
	owners, err := head.Owners()
	if err != nil {
		return Traits{}, fmt.Errorf("read %s: %w", ref, err)
	}
	for _, o := range owners {
		t.Owners = append(t.Owners, Owner{Group: groupOf(o.APIVersion), Kind: o.Kind, Name: o.Name, UID: o.UID, Controller: o.Controller})
	}
	if look := inspectors[ref.GroupResource()]; look != nil {
		if err := look(ref, head, body, &t); err != nil {
			return Traits{}, fmt.Errorf("read %s: %w", ref, err)
		}
	}
	if r := releaseOf(ref, head); r != "" {
		if t.More == nil {
			t.More = &More{}
		}
		t.More.Release = r
	}
	if head.Terminating {
		t.Skip = "it was being deleted when it was saved"
	}
	return t, nil
}

func groupOf(apiVersion string) string {
	for i := range apiVersion {
		if apiVersion[i] == '/' {
			return apiVersion[:i]
		}
	}
	return ""
}
