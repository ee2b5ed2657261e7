// SPDX-License-Identifier: Apache-2.0

package export

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"k8s.io/apimachinery/pkg/labels"
	utiljson "k8s.io/apimachinery/pkg/util/json"

	"hozon.dev/hozon/internal/collect"
	"hozon.dev/hozon/internal/fail"
	"hozon.dev/hozon/internal/manifest"
	"hozon.dev/hozon/internal/object"
)

// Secrets says what becomes of Secrets.
type Secrets string

const (
	Plain   Secrets = "plain"
	Omit    Secrets = "omit"
	Encrypt Secrets = "encrypt"
)

// Options say what an export is like.
type Options struct {
	Scope
	Selector labels.Selector // nil: everything
	Secrets  Secrets         // "" is Plain
	// Seal encrypts the manifest of a Secret; needed for Encrypt.
	Seal func(o map[string]any) ([]byte, error)
	// WithCluster takes along the cluster-scoped objects that those in the namespaces need.
	WithCluster bool
	Images      manifest.ImageMap
}

// run is the state of one Run.
type run struct {
	o        Options
	to       Sink
	defaults schemas

	mu     sync.Mutex
	result Result
	spaces map[string]bool                // namespaces that have objects
	kinds  map[object.Ref]map[string]bool // definitions → first object of their kind
	put    map[object.Ref]bool            // cluster-scoped objects that were written
}

// Run writes the manifests of a project. An expired revision is met with a second attempt.
func Run(ctx context.Context, from Source, to Sink, o Options) (Result, error) {
	for attempt := 1; ; attempt++ {
		r := &run{o: o, to: to, defaults: schemas{from: []Source{from}}, spaces: map[string]bool{}, kinds: map[object.Ref]map[string]bool{}, put: map[object.Ref]bool{}}
		err := r.run(ctx, from)
		if err == nil {
			r.sort()
			return r.result, nil
		}
		c, live := from.(*Cluster)
		if !errors.Is(err, collect.ErrExpired) || !live || attempt == 3 {
			return r.result, err
		}
		c.Loose = attempt == 2
		if err := to.Reset(); err != nil {
			return r.result, err
		}
	}
}

func (r *run) run(ctx context.Context, from Source) error {
	origin, err := from.Objects(ctx, r.o.Scope, func(it Item) error { return r.object(ctx, it) })
	r.result.Origin = origin
	if err != nil {
		return err
	}
	for _, ref := range origin.Terminating {
		r.left(ref, "it is being deleted")
	}
	for _, ns := range r.o.Namespaces {
		r.spaces[ns] = true
	}
	if err := r.namespaces(ctx, from); err != nil {
		return err
	}
	if r.o.WithCluster {
		if err := r.related(ctx, from); err != nil {
			return err
		}
	}
	r.definitions()
	r.unmet()
	r.result.Notes = append(r.result.Notes, r.defaults.notes...)
	return nil
}

// object takes in one namespaced object.
func (r *run) object(ctx context.Context, it Item) error {
	if len(r.o.Namespaces) == 0 && ofCluster(it.Ref.Namespace) {
		return nil
	}
	if r.o.Selector != nil {
		set, err := it.Head.Labels()
		if err != nil {
			return err
		}
		if !r.o.Selector.Matches(labels.Set(set)) {
			return nil
		}
	}
	reason, err := leave(it)
	if err == nil && reason == "" {
		reason, err = r.write(ctx, it)
	}
	if err != nil {
		return err
	}
	if reason != "" {
		r.left(it.Ref, reason)
	}
	return nil
}

// write cleans an object and puts it; it returns why it does not.
func (r *run) write(ctx context.Context, it Item) (string, error) {
	secret := it.Ref.GroupResource() == "secrets"
	if secret && r.o.Secrets == Omit {
		return "secrets are omitted", nil
	}
	var o map[string]any
	if err := utiljson.Unmarshal(it.Body, &o); err != nil {
		return "", fail.Errorf(fail.Invalid, "decode %s: %w", it.Ref, err)
	}
	notes := manifest.Clean(o)
	r.defaults.drop(ctx, it.Type, o)
	if pristine(it.Ref, o) {
		return "made by a controller of the cluster", nil
	}
	r.o.Images.MapImages(o)
	notes = append(notes, manifest.Notes(o)...)
	data, err := r.encode(o, secret)
	if err != nil {
		return "", fmt.Errorf("encrypt %s: %w", it.Ref, err)
	}
	path := manifest.Path(it.Ref)
	if err := r.to.Put(path, secret, data); err != nil {
		return "", err
	}
	r.wrote(it, path, notes)
	return "", nil
}

func (r *run) encode(o map[string]any, secret bool) ([]byte, error) {
	if secret && r.o.Secrets == Encrypt {
		return r.o.Seal(o)
	}
	return manifest.Encode(nil, o), nil
}

// wrote takes note of an object that was put.
func (r *run) wrote(it Item, path string, notes []manifest.Note) {
	name := it.Ref.String()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.result.Objects++
	if it.Ref.Namespace == "" {
		r.put[clone(it.Ref)] = true
	} else if !r.spaces[it.Ref.Namespace] {
		r.spaces[strings.Clone(it.Ref.Namespace)] = true
	}
	if def := definitionOf(it.Type); def.Name != "" && it.Ref.Namespace != "" {
		if r.kinds[def] == nil {
			r.kinds[def] = map[string]bool{}
		}
		r.kinds[def][name] = true
	}
	for _, n := range notes {
		r.result.Findings = append(r.result.Findings, Finding{Object: name, File: path, Kind: n.Kind, Field: n.Field, Text: n.Text, needs: n.Needs})
	}
}

func (r *run) left(ref object.Ref, reason string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.result.Left = append(r.result.Left, Left{Object: ref.String(), Reason: reason})
}

// sort makes the result a function of the state.
func (r *run) sort() {
	slices.SortFunc(r.result.Findings, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Object, b.Object), cmp.Compare(a.Field, b.Field), cmp.Compare(a.Text, b.Text))
	})
	slices.SortFunc(r.result.Left, func(a, b Left) int { return cmp.Compare(a.Object, b.Object) })
}

// definitions makes one finding of each kind whose definition the other cluster needs.
func (r *run) definitions() {
	for def, objects := range r.kinds {
		one := slices.Min(slices.Collect(maps.Keys(objects)))
		r.result.Findings = append(r.result.Findings, Finding{
			Object: one, File: "", Kind: manifest.ClusterScoped, Field: "kind", needs: def,
			Text: fmt.Sprintf("needs %s (%d objects of that kind)", def, len(objects)),
		})
	}
}

// unmet drops the findings about needed objects that were taken along, and says of the others that they were not.
func (r *run) unmet() {
	r.result.Findings = slices.DeleteFunc(r.result.Findings, func(f Finding) bool { return f.needs.Name != "" && r.put[f.needs] })
	for i := range r.result.Findings {
		f := &r.result.Findings[i]
		switch {
		case f.needs.Name == "":
		case r.o.WithCluster:
			f.Text += ", which was not found"
		default:
			f.Text += ", which is not in this export; take it along with --with-cluster-scoped"
		}
	}
}
