// SPDX-License-Identifier: Apache-2.0

package export

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	utiljson "k8s.io/apimachinery/pkg/util/json"

	"hozon.dev/hozon/internal/collect"
	"hozon.dev/hozon/internal/manifest"
	"hozon.dev/hozon/internal/object"
	"hozon.dev/hozon/internal/report"
)

// Manifests is a Source of documents that were read. Objects of kinds that are not cluster-scoped and name no namespace cannot be compared.
type Manifests struct {
	Docs []manifest.Document

	definitions definitionTable
}

// Objects calls fn with the documents that have a namespace.
func (m *Manifests) Objects(_ context.Context, s Scope, fn func(Item) error) (Origin, error) {
	return Origin{}, m.each(func(it Item) error {
		ns := it.Ref.Namespace
		if ns == "" || len(s.Namespaces) > 0 && !slices.Contains(s.Namespaces, ns) {
			return nil
		}
		return fn(it)
	})
}

// Cluster calls fn with the documents that have no namespace, of the given kinds.
func (m *Manifests) Cluster(_ context.Context, groupResources []string, fn func(Item) error) ([]report.Note, error) {
	return nil, m.each(func(it Item) error {
		if it.Ref.Namespace != "" || !slices.Contains(groupResources, it.Ref.GroupResource()) {
			return nil
		}
		return fn(it)
	})
}

// Definition is the one among the documents.
func (m *Manifests) Definition(_ context.Context, t object.Type) ([]byte, error) {
	return m.definitions.get(t, m.each)
}

func (m *Manifests) each(fn func(Item) error) error {
	for _, d := range m.Docs {
		body, err := json.Marshal(d.Object)
		if err != nil {
			return err
		}
		head, err := object.Scan(body)
		if err != nil {
			return err
		}
		gvk := schema.FromAPIVersionAndKind(head.APIVersion, head.Kind)
		gvr, _ := meta.UnsafeGuessKindToResource(gvk)
		t := object.Type{Group: gvk.Group, Version: gvk.Version, Kind: gvk.Kind, Resource: gvr.Resource, Namespaced: head.Namespace != ""}
		if err := fn(Item{Ref: head.Ref(t), Type: t, Head: head, Body: body}); err != nil {
			return err
		}
	}
	return nil
}

// namespaces are those that the documents are in or define.
func (m *Manifests) namespaces() []string {
	found := map[string]bool{}
	for _, d := range m.Docs {
		u := unstructured.Unstructured{Object: d.Object}
		if ns := u.GetNamespace(); ns != "" {
			found[ns] = true
		}
		if u.GetKind() == "Namespace" && u.GetAPIVersion() == "v1" {
			found[u.GetName()] = true
		}
	}
	return slices.Sorted(maps.Keys(found))
}

// Change is an object that two sides do not share.
type Change struct {
	Object string              `json:"object"`
	Kind   string              `json:"change"` // added, removed, changed: from the first side to the second
	Fields []object.Difference `json:"fields,omitempty"`
}

// Difference is what differs between two sides.
type Difference struct {
	Changes  []Change      `json:"changes"`
	Same     int           `json:"same"` // objects
	Problems []report.Note `json:"problems,omitempty"`
	Notes    []string      `json:"notes,omitempty"`
}

// The words of Change.Kind.
const (
	Added   = "added"
	Removed = "removed"
	Changed = "changed"
)

// side is one of two that are compared: cleaned objects as JSON, by what they are called.
type side struct {
	defaults *schemas

	mu      sync.Mutex
	objects map[string][]byte
	left    map[string][]byte // what an export would leave out: it counts only if the other side has it
	kinds   map[string]bool   // group-resources of the cluster-scoped ones
}

// Diff compares two sources, each object as an export would write it. The namespaces are those in scope; none: those of a, if it is
// made of manifests, else all projects.
func Diff(ctx context.Context, a, b Source, s Scope) (Difference, error) {
	if m, ok := a.(*Manifests); ok && len(s.Namespaces) == 0 {
		s.Namespaces = m.namespaces()
	}
	var d Difference
	// What is in use counts: that is more likely on the second side.
	defaults := &schemas{from: []Source{b, a}}
	x, notes, err := look(ctx, a, s, nil, defaults)
	d.Problems = append(d.Problems, notes...)
	if err != nil {
		return d, err
	}
	y, notes, err := look(ctx, b, s, x, defaults)
	d.Problems = append(d.Problems, notes...)
	if err != nil {
		return d, err
	}
	d.Notes = defaults.notes
	for _, name := range keys(x.objects, y.objects) {
		if err := d.compare(name, x, y); err != nil {
			return d, err
		}
	}
	return d, nil
}

func keys(a, b map[string][]byte) []string {
	all := maps.Clone(a)
	maps.Copy(all, b)
	return slices.Sorted(maps.Keys(all))
}

func (d *Difference) compare(name string, x, y *side) error {
	a, b := cmp.Or(string(x.objects[name]), string(x.left[name])), cmp.Or(string(y.objects[name]), string(y.left[name]))
	switch {
	case a == "":
		d.Changes = append(d.Changes, Change{Object: name, Kind: Added})
		return nil
	case b == "":
		d.Changes = append(d.Changes, Change{Object: name, Kind: Removed})
		return nil
	}
	u, v := &unstructured.Unstructured{}, &unstructured.Unstructured{}
	if err := errors.Join(utiljson.Unmarshal([]byte(a), &u.Object), utiljson.Unmarshal([]byte(b), &v.Object)); err != nil {
		return err
	}
	fields := object.Differences(u, v, object.SameOptions{Max: 1000})
	if len(fields) == 0 {
		d.Same++
		return nil
	}
	d.Changes = append(d.Changes, Change{Object: name, Kind: Changed, Fields: fields})
	return nil
}

// look reads a side. Of the cluster-scoped objects, only those count that the first side has.
func look(ctx context.Context, from Source, s Scope, first *side, defaults *schemas) (*side, []report.Note, error) {
	x := &side{defaults: defaults, objects: map[string][]byte{}, left: map[string][]byte{}, kinds: map[string]bool{}}
	var origin Origin
	for attempt := 1; ; attempt++ {
		var err error
		origin, err = from.Objects(ctx, s, func(it Item) error {
			if len(s.Namespaces) == 0 && ofCluster(it.Ref.Namespace) {
				return nil
			}
			return x.take(ctx, from, it)
		})
		c, live := from.(*Cluster)
		if live && errors.Is(err, collect.ErrExpired) && attempt < 3 {
			c.Loose = attempt == 2
			clear(x.objects)
			clear(x.left)
			continue
		}
		if err != nil {
			return nil, nil, err
		}
		break
	}
	list := []string{namespaceType.Resource}
	if m, ok := from.(*Manifests); ok {
		list = m.clusterKinds()
	} else if first != nil {
		list = slices.Sorted(maps.Keys(first.kinds))
	}
	notes, err := from.Cluster(ctx, list, func(it Item) error {
		if first != nil && first.objects[nameOf(it)] == nil || first == nil && isNamespace(it.Ref) && len(s.Namespaces) > 0 && !slices.Contains(s.Namespaces, it.Ref.Name) {
			return nil
		}
		x.kinds[it.Ref.GroupResource()] = true
		return x.take(ctx, from, it)
	})
	return x, append(origin.Problems, notes...), err
}

// clusterKinds are the group-resources of the documents without a namespace.
func (m *Manifests) clusterKinds() []string {
	found := map[string]bool{}
	_ = m.each(func(it Item) error {
		if it.Ref.Namespace == "" {
			found[it.Ref.GroupResource()] = true
		}
		return nil
	})
	return slices.Sorted(maps.Keys(found))
}

// nameOf is what an object is called on both sides, also where its resource is not known: "Deployment.apps shop/web".
func nameOf(it Item) string {
	kind := it.Type.Kind
	if it.Ref.Group != "" {
		kind += "." + it.Ref.Group
	}
	return strings.Clone(kind + " " + it.Ref.ID())
}

func (x *side) take(ctx context.Context, from Source, it Item) error {
	reason, err := leave(it)
	if err != nil {
		return err
	}
	if _, written := from.(*Manifests); written {
		reason = ""
	}
	var o map[string]any
	if err := utiljson.Unmarshal(it.Body, &o); err != nil {
		return err
	}
	manifest.Clean(o)
	x.defaults.drop(ctx, it.Type, o)
	if reason == "" && pristine(it.Ref, o) {
		reason = "made by the cluster"
	}
	data, err := json.Marshal(o)
	if err != nil {
		return err
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if reason != "" {
		x.left[nameOf(it)] = data
		return nil
	}
	x.objects[nameOf(it)] = data
	return nil
}
