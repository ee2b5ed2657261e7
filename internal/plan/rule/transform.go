// SPDX-License-Identifier: Apache-2.0

package rule

import (
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	velerov1 "hozon.dev/hozon/api/velero/v1"
)

// Env is what a transformation depends on beside the object.
type Env struct {
	Backup, Restore string            // names; they become labels
	Namespaces      map[string]string // from: to; a namespace that is not in it keeps its name
	// PreserveNodePorts keeps node ports that nobody chose, too.
	PreserveNodePorts bool
	// Modify, if set, changes the object as the user has asked for, in terms of the names in the backup.
	Modify func(o *unstructured.Unstructured) error
	// Argo says that Argo CD is among the object's field managers, which the object itself may not have any more.
	Argo bool
	// Convert is the version that the object is restored in, if the target does not serve the saved one.
	Convert string
	// Reprovision makes a claim ask for a new volume instead of the one it was bound to.
	Reprovision bool
	// Volumes are the new names of volumes that are restored under another one.
	Volumes map[string]string
	// Classes are storage classes and what comes in their place; Images the same of parts of images' names.
	Classes map[string]string
	Images  []Replacement
	// Domains are those of the API groups that the target serves, or will; nil: not known.
	Domains map[string]bool
}

// Target is the namespace that a namespace of the backup is restored to.
func (e Env) Target(namespace string) string {
	if to, ok := e.Namespaces[namespace]; ok {
		return to
	}
	return namespace
}

// Taken is what Transform took out of an object: what is written separately, or needs somebody who knows other objects.
type Taken struct {
	UID           string
	Owners        []map[string]any // ownerReferences as saved
	ManagedFields []any
	Status        any      // nil if there was none
	Warnings      []string // what was left out that a user may miss
	Created       []string // what a user has to know if the object is made of this
}

var transforms = map[string]func(o *unstructured.Unstructured, env Env, t *Taken) error{
	"/Namespace":                            transformNamespace,
	"/Pod":                                  transformPod,
	"/Service":                              transformService,
	"/Secret":                               transformSecret,
	"/ServiceAccount":                       transformServiceAccount,
	"/PersistentVolume":                     transformVolume,
	"/PersistentVolumeClaim":                transformClaim,
	"batch/Job":                             transformJob,
	"rbac.authorization.k8s.io/RoleBinding": transformBinding,
	"rbac.authorization.k8s.io/ClusterRoleBinding":                transformBinding,
	"apiextensions.k8s.io/CustomResourceDefinition":               transformDefinition,
	"apiregistration.k8s.io/APIService":                           transformAPIService,
	"snapshot.storage.k8s.io/VolumeSnapshot":                      transformSnapshot,
	"snapshot.storage.k8s.io/VolumeSnapshotContent":               transformContent,
	"admissionregistration.k8s.io/ValidatingWebhookConfiguration": transformWebhooks,
	"admissionregistration.k8s.io/MutatingWebhookConfiguration":   transformWebhooks,
}

// stale are the metadata fields that belong to the object that was saved, not to the one that is made from it.
var stale = []string{
	"generateName", "selfLink", "uid", "resourceVersion", "generation", "creationTimestamp", "deletionTimestamp",
	"deletionGracePeriodSeconds", "ownerReferences", "managedFields",
}

// Transform turns a saved object into the one to create, in place. An error means that the object is not what its kind says.
func Transform(o *unstructured.Unstructured, env Env) (Taken, error) {
	t, err := reset(o)
	if err != nil {
		return t, err
	}
	gvk := o.GroupVersionKind()
	if f := transforms[gvk.Group+"/"+gvk.Kind]; f != nil {
		// Node ports that a user chose are found in managedFields, which reset took out.
		if err := f(o, env, &t); err != nil {
			return t, err
		}
	}
	untrack(o, env, &t)
	replace(o, env)
	if env.Convert != "" {
		if err := convert(o, env.Convert); err != nil {
			return t, err
		}
	}
	if env.Modify != nil {
		if err := env.Modify(o); err != nil {
			return t, err
		}
	}
	if ns := o.GetNamespace(); ns != "" {
		o.SetNamespace(env.Target(ns))
	}
	finalizers(o, env, &t)
	if gvk.Group == "" && gvk.Kind == "Namespace" {
		return t, nil // as Velero: namespaces carry no labels of a restore
	}
	return t, label(o, env)
}

// reset takes out what belongs to the saved object only.
func reset(o *unstructured.Unstructured) (Taken, error) {
	var t Taken
	m, ok := o.Object["metadata"].(map[string]any)
	if !ok {
		return t, fmt.Errorf("metadata is no object")
	}
	t.UID, _ = m["uid"].(string)
	owners, _ := m["ownerReferences"].([]any)
	for _, r := range owners {
		if r, ok := r.(map[string]any); ok {
			t.Owners = append(t.Owners, r)
		}
	}
	t.ManagedFields, _ = m["managedFields"].([]any)
	t.Status = o.Object["status"]
	for _, key := range stale {
		delete(m, key)
	}
	delete(o.Object, "status")
	dropDeletionFinalizers(m)
	return t, nil
}

// dropDeletionFinalizers removes the two finalizers that only say how a deletion under way goes on.
func dropDeletionFinalizers(m map[string]any) {
	list, _ := m["finalizers"].([]any)
	if list == nil {
		return
	}
	list = slices.DeleteFunc(list, func(f any) bool { return f == "foregroundDeletion" || f == "orphan" })
	if len(list) == 0 {
		delete(m, "finalizers")
		return
	}
	m["finalizers"] = list
}

// Labels are the two labels that every restored object carries.
func (e Env) Labels() map[string]string {
	return map[string]string{
		velerov1.LabelBackupName:  velerov1.LabelValue(e.Backup),
		velerov1.LabelRestoreName: velerov1.LabelValue(e.Restore),
	}
}

func label(o *unstructured.Unstructured, env Env) error {
	labels, err := child(o.Object, "metadata", "labels")
	if err != nil {
		return err
	}
	for k, v := range env.Labels() {
		labels[k] = v
	}
	return nil
}

// child finds the map at path and makes what is missing of it.
func child(m map[string]any, path ...string) (map[string]any, error) {
	for _, key := range path {
		next, ok := m[key].(map[string]any)
		if !ok {
			if m[key] != nil {
				return nil, fmt.Errorf("%s is no object", key)
			}
			next = map[string]any{}
			m[key] = next
		}
		m = next
	}
	return m, nil
}

// find returns the map at path, or nil.
func find(m map[string]any, path ...string) map[string]any {
	for _, key := range path {
		m, _ = m[key].(map[string]any)
	}
	return m
}

// maps are the elements of the list at key that are objects.
func maps(m map[string]any, key string) []map[string]any {
	list, _ := m[key].([]any)
	found := make([]map[string]any, 0, len(list))
	for _, e := range list {
		if e, ok := e.(map[string]any); ok {
			found = append(found, e)
		}
	}
	return found
}

// dropAnnotations removes annotations, and the whole map when it becomes empty.
func dropAnnotations(o *unstructured.Unstructured, keys ...string) {
	m := find(o.Object, "metadata")
	annotations := find(m, "annotations")
	if annotations == nil {
		return
	}
	for _, key := range keys {
		delete(annotations, key)
	}
	if len(annotations) == 0 {
		delete(m, "annotations")
	}
}

// mapNamespace maps the namespace at key, if there is one.
func mapNamespace(m map[string]any, env Env, key string) {
	if ns, ok := m[key].(string); ok && ns != "" {
		m[key] = env.Target(ns)
	}
}
