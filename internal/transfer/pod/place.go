// SPDX-License-Identifier: Apache-2.0

// Package pod brings internal/transfer into pods: it finds what a user means by a place, gets a helper into it, and connects.
//
// Its nouns: a Place is what the user wrote, an Opener knows the cluster and how helpers get there, a Session is a helper that
// can be spoken to, more than once. The helper is Hozon itself: as an ephemeral container beside the application's, in whose
// processes' view of the file system it works (this needs nothing in the application's image); copied in, where there is a shell;
// or as a pod of its own around a claim that no pod mounts.
//
// Nothing is left of a copied helper and of a helper pod. An ephemeral container stays listed in its pod, as Kubernetes wants it; its
// process ends when it was not needed for a while.
package pod

import (
	"regexp"
	"strings"

	"hozon.dev/hozon/internal/fail"
)

// A Place is a folder or file in a pod or claim.
type Place struct {
	Namespace string
	Name      string // of a pod or, if there is none, of a claim
	Container string // empty: the pod's default
	Path      string // absolute; of a claim from its root
}

var name = regexp.MustCompile(`^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$`)

// Parse reads NAMESPACE/POD:PATH, NAMESPACE/POD:CONTAINER:PATH or NAMESPACE/CLAIM:PATH.
func Parse(text string) (Place, error) {
	bad := func(why string) (Place, error) {
		return Place{}, fail.Errorf(fail.Invalid, "%q is no place in a cluster: %s; write NAMESPACE/POD:PATH, NAMESPACE/POD:CONTAINER:PATH or NAMESPACE/CLAIM:PATH", text, why)
	}
	who, path, ok := strings.Cut(text, ":")
	if !ok {
		return bad("it has no path")
	}
	var p Place
	if !strings.HasPrefix(path, "/") {
		if p.Container, path, ok = strings.Cut(path, ":"); !ok {
			return bad("the path does not begin with /")
		}
		if !name.MatchString(p.Container) {
			return bad("the container's name cannot be one")
		}
	}
	if p.Namespace, p.Name, ok = strings.Cut(who, "/"); !ok || !name.MatchString(p.Namespace) || !name.MatchString(p.Name) {
		return bad("there is no namespace and name before the path")
	}
	if p.Path = path; !strings.HasPrefix(path, "/") {
		return bad("the path does not begin with /")
	}
	return p, nil
}
