// SPDX-License-Identifier: Apache-2.0

package relate

import (
	"bytes"
	"strings"

	"hozon.dev/hozon/internal/object"
)

// releasePrefix is what the names of Helm's records of releases begin with.
const releasePrefix = "sh.helm.release.v1."

var releaseMark = []byte("meta.helm.sh/release-name")

// release is one of Helm's, in the namespace where its records are.
type release struct{ namespace, name string }

// releases are what a Set knows of Helm: of which releases something was taken, and the records that went by and were not.
type releases struct {
	taken   map[release]struct{}
	records map[release][]object.Ref
}

// isRecord says that an object is one of Helm's records, by its name.
func isRecord(ref object.Ref) bool {
	return ref.Group == "" && (ref.Resource == "secrets" || ref.Resource == "configmaps") && strings.HasPrefix(ref.Name, releasePrefix)
}

// pass takes note of a record.
func (r *releases) pass(ref object.Ref, head object.Head) {
	name, _ := head.Label("name")
	if owner, _ := head.Label("owner"); owner != "helm" || name == "" {
		return
	}
	of := release{strings.Clone(ref.Namespace), strings.Clone(name)}
	own := object.Ref{Resource: strings.Clone(ref.Resource), Namespace: of.namespace, Name: strings.Clone(ref.Name)}
	put(&r.records, of, append(r.records[of], own))
}

// took takes note of the release that an object belongs to.
func (r *releases) took(ref object.Ref, head object.Head) {
	if !bytes.Contains(head.RawAnnotations, releaseMark) {
		return
	}
	name, _ := head.Annotation("meta.helm.sh/release-name")
	namespace, ok := head.Annotation("meta.helm.sh/release-namespace")
	if !ok {
		namespace = ref.Namespace
	}
	of := release{namespace, name}
	if _, known := r.taken[of]; name != "" && !known {
		put(&r.taken, release{strings.Clone(namespace), strings.Clone(name)}, struct{}{})
	}
}

// late are the records of the releases of which something was taken.
func (r *releases) late() []object.Ref {
	var out []object.Ref
	for of := range r.taken {
		out = append(out, r.records[of]...)
		delete(r.records, of)
	}
	return out
}
