// SPDX-License-Identifier: Apache-2.0

package archive

import (
	"strings"

	"hozon.dev/hozon/internal/fail"
	"hozon.dev/hozon/internal/object"
)

// match compares what a body says about itself with its path, as far as that can be done without
// asking a cluster which kind a resource is, and completes the entry's version.
func match(h object.Head, e *Entry) error {
	group, version, grouped := strings.Cut(h.APIVersion, "/")
	if !grouped {
		group, version = "", h.APIVersion
	}
	for _, f := range [...]struct{ what, got, want string }{
		{"metadata.name", h.Name, e.Ref.Name},
		{"metadata.namespace", h.Namespace, e.Ref.Namespace},
		{"the group of apiVersion", group, e.Ref.Group},
	} {
		if f.got != f.want {
			return fail.Errorf(fail.Corrupt, "%q: %s is %q, which does not match the path", e.Path, f.what, f.got)
		}
	}
	if e.Unversioned && goodVersion(version) {
		e.Version = version
	}
	if !goodVersion(version) || version != e.Version {
		return fail.Errorf(fail.Corrupt, "%q: apiVersion is %q, which does not match the path", e.Path, h.APIVersion)
	}
	if h.Kind == "" {
		return fail.Errorf(fail.Corrupt, "%q: kind is missing", e.Path)
	}
	return nil
}
