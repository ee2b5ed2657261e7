// SPDX-License-Identifier: Apache-2.0

package export

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	velerov1 "hozon.dev/hozon/api/velero/v1"
	"hozon.dev/hozon/internal/fail"
	"hozon.dev/hozon/internal/manifest"
	"hozon.dev/hozon/internal/object"
	"hozon.dev/hozon/internal/plan"
	"hozon.dev/hozon/internal/plan/rule"
)

// job is a document whose kind is known.
type job struct {
	doc manifest.Document
	t   object.Type
}

// resolve finds the types of all documents, and what the plan has to know of them. All faults are in the one error.
func (r *importing) resolve(docs []manifest.Document) error {
	served := map[string]object.Type{}
	for _, t := range r.types {
		served[t.GroupVersion()+" "+t.Kind] = t
	}
	for _, d := range docs {
		define(served, d.Object)
	}
	var faults []string
	first := map[object.Ref]manifest.Document{}
	for _, d := range docs {
		j, ref, err := r.job(d, served)
		if err == nil {
			if other, twice := first[ref]; twice {
				err = fmt.Errorf("%s is also in %s", ref, other.Where())
			}
			first[ref] = d
		}
		var entry plan.Entry
		if err == nil {
			entry, err = inspect(j, ref)
		}
		if err != nil {
			faults = append(faults, d.Where()+": "+err.Error())
			continue
		}
		r.jobs = append(r.jobs, j)
		r.entries.Add(entry)
	}
	if len(faults) > 0 {
		return fail.Errorf(fail.Invalid, "nothing was applied:\n%s", strings.Join(faults, "\n"))
	}
	return nil
}

// define adds the kinds that a definition among the documents brings.
func define(served map[string]object.Type, o map[string]any) {
	if o["kind"] != "CustomResourceDefinition" {
		return
	}
	group, _, _ := unstructured.NestedString(o, "spec", "group")
	kind, _, _ := unstructured.NestedString(o, "spec", "names", "kind")
	plural, _, _ := unstructured.NestedString(o, "spec", "names", "plural")
	scope, _, _ := unstructured.NestedString(o, "spec", "scope")
	versions, _, _ := unstructured.NestedSlice(o, "spec", "versions")
	for _, v := range versions {
		m, _ := v.(map[string]any)
		name, _ := m["name"].(string)
		t := object.Type{Group: group, Version: name, Resource: plural, Kind: kind, Namespaced: scope == "Namespaced", Preferred: true}
		if _, ok := served[t.GroupVersion()+" "+kind]; !ok && name != "" && m["served"] == true {
			served[t.GroupVersion()+" "+kind] = t
		}
	}
}

// job finds the type of a document and makes it one that can be applied.
func (r *importing) job(d manifest.Document, served map[string]object.Type) (job, object.Ref, error) {
	version, kind := d.Object["apiVersion"].(string), d.Object["kind"].(string)
	t, ok := served[version+" "+kind]
	if !ok {
		return job{}, object.Ref{}, fmt.Errorf("the cluster does not serve the kind %s in %s%s", kind, version, others(served, kind))
	}
	meta, ok := d.Object["metadata"].(map[string]any)
	if !ok {
		return job{}, object.Ref{}, fmt.Errorf("metadata is no object")
	}
	if meta["uid"] != nil { // the state of an object, not a manifest
		manifest.Clean(d.Object)
	}
	strip(d.Object, meta)
	r.o.Classes.MapClasses(d.Object)
	name, _ := meta["name"].(string)
	ns, _ := meta["namespace"].(string)
	switch {
	case !t.Namespaced:
		delete(meta, "namespace")
		ns = ""
	case ns == "" && r.o.Into == "":
		return job{}, object.Ref{}, fmt.Errorf("%s %s names no namespace: give one with --into", kind, name)
	case ns == "":
		ns = r.o.Into
		meta["namespace"] = ns
	}
	return job{d, t}, t.Ref(ns, name), nil
}

// others are the versions in which a kind is served.
func others(served map[string]object.Type, kind string) string {
	var list []string
	for key, t := range served {
		if t.Kind == kind {
			list = append(list, strings.Fields(key)[0])
		}
	}
	if len(list) == 0 {
		return ""
	}
	slices.Sort(list)
	return ", only in " + strings.Join(list, ", ")
}

// strip takes out what belongs to one object of one cluster.
func strip(o, meta map[string]any) {
	for _, key := range []string{"managedFields", "resourceVersion", "uid", "selfLink", "generation", "creationTimestamp", "deletionTimestamp",
		"deletionGracePeriodSeconds", "ownerReferences"} {
		delete(meta, key)
	}
	delete(o, "status")
}

// inspect is what the plan has to know of a manifest. In a manifest, a node port was chosen by somebody.
func inspect(j job, ref object.Ref) (plan.Entry, error) {
	body, err := json.Marshal(j.doc.Object)
	if err != nil {
		return plan.Entry{}, err
	}
	head, err := object.Scan(body)
	if err != nil {
		return plan.Entry{}, err
	}
	traits, err := rule.Inspect(ref, head, body)
	if err != nil {
		return plan.Entry{}, err
	}
	if ref.GroupResource() == "services" {
		traits.More = ports(j.doc.Object)
	}
	return plan.Entry{Ref: ref, Version: j.t.Version, Kind: j.t.Kind, Preferred: true, Matched: true, Traits: traits}, nil
}

func ports(o map[string]any) *rule.More {
	kind, _, _ := unstructured.NestedString(o, "spec", "type")
	list, _, _ := unstructured.NestedSlice(o, "spec", "ports")
	if kind != "NodePort" && kind != "LoadBalancer" {
		return nil
	}
	more := &rule.More{}
	for _, p := range list {
		m, _ := p.(map[string]any)
		more.FixedPorts = more.FixedPorts || m["nodePort"] != nil
		more.Allocates = more.Allocates || m["nodePort"] == nil
	}
	return more
}

// body is the manifest of a step in the target's names.
func (r *importing) body(s plan.Step) ([]byte, error) {
	if s.Item < 0 {
		return json.Marshal(map[string]any{"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"name": s.Target.Name}})
	}
	o := r.jobs[s.Item].doc.Object
	if len(r.o.Namespaces) == 0 && !s.Reprovision {
		return json.Marshal(o)
	}
	u := (&unstructured.Unstructured{Object: o}).DeepCopy()
	before, had, _ := unstructured.NestedStringMap(u.Object, "metadata", "labels")
	if _, err := rule.Transform(u, rule.Env{Namespaces: r.o.Namespaces, PreserveNodePorts: true, Reprovision: s.Reprovision}); err != nil {
		return nil, err
	}
	// A manifest gets no labels of a restore.
	labels := u.GetLabels()
	for _, key := range []string{velerov1.LabelBackupName, velerov1.LabelRestoreName} {
		if v, ok := before[key]; ok {
			labels[key] = v
		} else {
			delete(labels, key)
		}
	}
	if u.SetLabels(labels); len(labels) == 0 && !had {
		unstructured.RemoveNestedField(u.Object, "metadata", "labels")
	}
	return json.Marshal(u.Object)
}
