// SPDX-License-Identifier: Apache-2.0

package filter

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"hozon.dev/hozon/internal/fail"
	"hozon.dev/hozon/internal/object"
)

// Ordered reads spec.orderedResources, "pods": "ns/a,ns/b", and returns the objects of each group-resource that go first, in their order.
// All that is wrong with it is one error, fail.Invalid.
func Ordered(spec map[string]string, types []object.Type) (map[string][]object.Ref, error) {
	var errs []error
	out := map[string][]object.Ref{}
	for _, resource := range slices.Sorted(maps.Keys(spec)) {
		t, ok := resolve(resource, types)
		if !ok {
			errs = append(errs, fmt.Errorf("spec.orderedResources: no API of this cluster serves a resource %q", resource))
			continue
		}
		for name := range strings.SplitSeq(spec[resource], ",") {
			ref, err := orderedRef(t, strings.TrimSpace(name))
			if err == nil && slices.Contains(out[t.GroupResource()], ref) {
				err = fmt.Errorf("%q is there twice", name)
			}
			if err != nil {
				errs = append(errs, fmt.Errorf("spec.orderedResources[%s]: %w", resource, err))
				continue
			}
			out[t.GroupResource()] = append(out[t.GroupResource()], ref)
		}
	}
	return out, fail.As(fail.Invalid, errors.Join(errs...))
}

func orderedRef(t object.Type, name string) (object.Ref, error) {
	namespace, rest, slash := strings.Cut(name, "/")
	switch {
	case t.Namespaced && (!slash || namespace == "" || rest == "" || strings.Contains(rest, "/")):
		return object.Ref{}, fmt.Errorf("%q: expected namespace/name", name)
	case t.Namespaced:
		return t.Ref(namespace, rest), nil
	case slash || name == "":
		return object.Ref{}, fmt.Errorf("%q: expected a name without a namespace", name)
	}
	return t.Ref("", name), nil
}
