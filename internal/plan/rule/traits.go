// SPDX-License-Identifier: Apache-2.0

package rule

import (
	"encoding/json"
	"fmt"

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
	// Defines is the group-resource ("gears.example.com") that a CustomResourceDefinition brings.
	Defines string
	// FixedPorts is set for Services that keep a node port or health check port that a user chose.
	FixedPorts bool
	// Allocates is set for Services that get a node port which nobody chose.
	Allocates bool
	// Volume is set for PersistentVolumes.
	Volume *Volume
	// Template is a hash of the pod template of a workload.
	Template uint64
}

// Volume is what matters of a PersistentVolume.
type Volume struct {
	Retain         bool   // reclaim policy Retain (or Recycle): the volume outlives its claim
	ClaimNamespace string // "" if no claim is bound
	ClaimName      string
}

// meta is the part of an object's metadata that traits come from.
type meta struct {
	UID             string            `json:"uid"`
	Name            string            `json:"name"`
	Labels          map[string]string `json:"labels"`
	Annotations     map[string]string `json:"annotations"`
	Deleted         string            `json:"deletionTimestamp"`
	ManagedFields   []managed         `json:"managedFields"`
	OwnerReferences []struct {
		APIVersion string `json:"apiVersion"`
		Kind       string `json:"kind"`
		Name       string `json:"name"`
		UID        string `json:"uid"`
		Controller *bool  `json:"controller"`
	} `json:"ownerReferences"`
}

// inspectors look into the bodies of the kinds that have traits of their own.
var inspectors = map[string]func(ref object.Ref, m meta, body []byte, t *Traits) error{
	"pods":                   inspectPod,
	"jobs.batch":             inspectJob,
	"services":               inspectService,
	"secrets":                inspectSecret,
	"persistentvolumes":      inspectVolume,
	"persistentvolumeclaims": inspectClaim,
	"customresourcedefinitions.apiextensions.k8s.io": inspectDefinition,
	"apiservices.apiregistration.k8s.io":             inspectAPIService,
	"deployments.apps":                               inspectWorkload,
	"statefulsets.apps":                              inspectWorkload,
	"daemonsets.apps":                                inspectWorkload,
}

// Looks reports whether traits of this kind depend on more than the metadata that every object has.
func Looks(groupResource string) bool { return inspectors[groupResource] != nil }

// Inspect reads the traits of a saved object.
func Inspect(ref object.Ref, body []byte) (Traits, error) {
	var o struct {
		Metadata meta `json:"metadata"`
	}
	if err := json.Unmarshal(body, &o); err != nil {
		return Traits{}, fmt.Errorf("read metadata of %s: %w", ref, err)
	}
	t := Traits{UID: o.Metadata.UID}
	for _, r := range o.Metadata.OwnerReferences {
		t.Owners = append(t.Owners, Owner{
			Group: groupOf(r.APIVersion), Kind: r.Kind, Name: r.Name, UID: r.UID,
			Controller: r.Controller != nil && *r.Controller,
		})
	}
	if look := inspectors[ref.GroupResource()]; look != nil {
		if err := look(ref, o.Metadata, body, &t); err != nil {
			return Traits{}, fmt.Errorf("read %s: %w", ref, err)
		}
	}
	if o.Metadata.Deleted != "" {
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
