// SPDX-License-Identifier: Apache-2.0

// Package modify changes objects on their way to the target as a user has asked for: Velero's resource modifiers.
//
// Its nouns: Rules are what one ConfigMap holds; a rule has conditions and patches of one of three kinds.
//
// Invariants: what is not understood is refused when it is read, with ConfigMap, key and line; conditions look at the object as it was before
// any rule changed it, under its names in the backup; no rule gives an object another identity.
//
// The package does not read the ConfigMap, and does not know Kubernetes' types: the caller brings them for strategic merge patches.
package modify

import (
	"errors"
	"fmt"
	"regexp"
	"sync/atomic"

	jsonpatch "github.com/evanphx/json-patch/v5"
	"github.com/gobwas/glob"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	utiljson "k8s.io/apimachinery/pkg/util/json"
	"k8s.io/apimachinery/pkg/util/strategicpatch"

	"hozon.dev/hozon/internal/object"
)

// Rules are resource modifiers, in the order in which they are applied.
type Rules struct {
	rules []rule
	types func(schema.GroupVersionKind) (any, error)
}

type rule struct {
	line      int
	resource  glob.Glob
	name      *regexp.Regexp // nil: any
	spaces    []glob.Glob    // nil: any
	selector  labels.Selector
	matches   jsonpatch.Patch // tests
	patch     jsonpatch.Patch
	merges    [][]byte
	strategic [][]byte

	tests *tests // of the JSON patch
}

// tests counts the objects that a JSON patch was for, and those for which a test of it failed.
type tests struct{ tried, failed atomic.Int64 }

// Apply changes an object. ref is its name in the backup.
func (r *Rules) Apply(o *unstructured.Unstructured, ref object.Ref) error {
	var hits []*rule
	var body []byte
	for i := range r.rules {
		rule := &r.rules[i]
		if !rule.names(ref) {
			continue
		}
		if body == nil {
			var err error
			if body, err = o.MarshalJSON(); err != nil {
				return err
			}
		}
		if rule.matched(o, body) {
			hits = append(hits, rule)
		}
	}
	if len(hits) == 0 {
		return nil
	}
	for _, rule := range hits {
		var err error
		if body, err = rule.apply(body, o.GroupVersionKind(), r.types); err != nil {
			return fmt.Errorf("resource modifier of line %d: %w", rule.line, err)
		}
	}
	changed := map[string]any{}
	if err := utiljson.Unmarshal(body, &changed); err != nil {
		return fmt.Errorf("read what the resource modifiers made: %w", err)
	}
	return replace(o, changed)
}

// Idle are the rules whose tests failed for every object that they were for, so that they have changed nothing: perhaps they are wrong.
func (r *Rules) Idle() []string {
	var out []string
	for i := range r.rules {
		if rule := &r.rules[i]; rule.tests.failed.Load() > 0 && rule.tests.failed.Load() == rule.tests.tried.Load() {
			out = append(out, fmt.Sprintf("line %d: a test of the JSON patch failed for every object that the rule is for: it has changed nothing", rule.line))
		}
	}
	return out
}

// replace takes over what the rules made of an object, unless that is another one.
func replace(o *unstructured.Unstructured, changed map[string]any) error {
	to := &unstructured.Unstructured{Object: changed}
	if to.GroupVersionKind() != o.GroupVersionKind() || to.GetName() != o.GetName() || to.GetNamespace() != o.GetNamespace() {
		return errors.New("a resource modifier would change apiVersion, kind, name or namespace; namespaces are changed by the restore's namespace mapping")
	}
	o.Object = changed
	return nil
}

// names reports whether the rule's conditions about names hold.
func (r *rule) names(ref object.Ref) bool {
	if !r.resource.Match(ref.GroupResource()) || r.name != nil && !r.name.MatchString(ref.Name) {
		return false
	}
	for _, g := range r.spaces {
		if g.Match(ref.Namespace) {
			return true
		}
	}
	return len(r.spaces) == 0
}

// matched reports whether the rule's conditions about the object hold.
func (r *rule) matched(o *unstructured.Unstructured, body []byte) bool {
	if !r.selector.Matches(labels.Set(o.GetLabels())) {
		return false
	}
	if len(r.matches) == 0 {
		return true
	}
	_, err := r.matches.Apply(body)
	return err == nil
}

func (r *rule) apply(body []byte, gvk schema.GroupVersionKind, types func(schema.GroupVersionKind) (any, error)) ([]byte, error) {
	if len(r.patch) > 0 {
		r.tests.tried.Add(1)
		out, err := r.patch.Apply(body)
		if errors.Is(err, jsonpatch.ErrTestFailed) {
			r.tests.failed.Add(1)
			return body, nil // as Velero: a test is a condition
		}
		return out, err
	}
	var err error
	for _, patch := range r.merges {
		if body, err = jsonpatch.MergePatch(body, patch); err != nil {
			return nil, err
		}
	}
	for _, patch := range r.strategic {
		shape, err := types(gvk)
		if err != nil {
			return nil, fmt.Errorf("strategic merge patches are for built-in kinds: %w", err)
		}
		if body, err = strategicpatch.StrategicMergePatch(body, patch, shape); err != nil {
			return nil, err
		}
	}
	return body, nil
}
