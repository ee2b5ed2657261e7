// SPDX-License-Identifier: Apache-2.0

package archive

import (
	"strings"
	"unicode/utf8"

	"hozon.dev/hozon/internal/fail"
	"hozon.dev/hozon/internal/object"
)

const (
	versionFile     = "metadata/version"
	formatVersion   = "1.1.0"
	preferredSuffix = "-preferredversion"
	maxPath         = 4096 // bytes
	maxSegment      = 1024 // bytes; Kubernetes allows 253 for most names
	maxKind         = 256  // bytes; with the others at their longest, and escaped, a line of the index still fits
)

// place is what a path below resources/ says.
type place struct {
	ref         object.Ref
	version     string // empty if unversioned
	unversioned bool
	preferred   bool // by the suffix
}

// appendPath is the path of an item; an empty dir gives the unversioned one.
func appendPath(buf []byte, gr, dir, ns, name string) []byte {
	buf = append(append(buf, "resources/"...), gr...)
	if dir != "" {
		buf = append(append(buf, '/'), dir...)
	}
	if ns == "" {
		buf = append(buf, "/cluster/"...)
	} else {
		buf = append(append(append(buf, "/namespaces/"...), ns...), '/')
	}
	return append(append(buf, name...), ".json"...)
}

// checkPath refuses what could lead out of the archive, on any system.
func checkPath(path string) error {
	switch {
	case path == "":
		return fail.Errorf(fail.Corrupt, "empty path")
	case len(path) > maxPath:
		return fail.Errorf(fail.Corrupt, "path of %d bytes", len(path))
	case path[0] == '/':
		return fail.Errorf(fail.Corrupt, "absolute path")
	case strings.ContainsAny(path, "\\\x00"):
		return fail.Errorf(fail.Corrupt, "path with a backslash or NUL")
	}
	for element := range strings.SplitSeq(path, "/") {
		if element == "" || element == "." || element == ".." {
			return fail.Errorf(fail.Corrupt, "path with the element %q", element)
		}
	}
	return nil
}

// parsePath reads a path that checkPath has let through.
func parsePath(path string) (place, error) {
	bad := fail.Errorf(fail.Corrupt, "not a path of the format")
	rest, ok := strings.CutPrefix(path, "resources/")
	if !ok {
		return place{}, bad
	}
	rest, ok = strings.CutSuffix(rest, ".json")
	if !ok {
		return place{}, bad
	}
	gr, rest, _ := strings.Cut(rest, "/")
	p := place{unversioned: true}
	if dir, tail, _ := strings.Cut(rest, "/"); dir != "cluster" && dir != "namespaces" {
		p.unversioned, rest = false, tail
		p.version, p.preferred = strings.CutSuffix(dir, preferredSuffix)
	}
	scope, rest, _ := strings.Cut(rest, "/")
	switch scope {
	case "cluster":
	case "namespaces":
		p.ref.Namespace, rest, ok = strings.Cut(rest, "/")
		if !ok || checkSegment("namespace", p.ref.Namespace) != nil {
			return place{}, bad
		}
	default:
		return place{}, bad
	}
	p.ref.Name = rest
	p.ref.Group, p.ref.Resource = object.ParseGroupResource(gr)
	if !goodGroupResource(gr) || checkName(rest) != nil || !p.unversioned && !goodVersion(p.version) {
		return place{}, bad
	}
	return p, nil
}

// checkSegment accepts what can be an element of a path, here and in an API server's URL.
func checkSegment(what, s string) error {
	switch {
	case s == "" || s == "." || s == "..":
		return fail.Errorf(fail.Invalid, "%s %q", what, s)
	case len(s) > maxSegment:
		return fail.Errorf(fail.Invalid, "%s of %d bytes; at most %d can be written", what, len(s), maxSegment)
	case strings.ContainsAny(s, "/\\\x00"):
		return fail.Errorf(fail.Invalid, "%s %q with a slash, backslash or NUL", what, s)
	case !utf8.ValidString(s):
		return fail.Errorf(fail.Invalid, "%s %q is not UTF-8", what, s)
	}
	return nil
}

func checkName(s string) error { return checkSegment("name", s) }

func checkKind(k kindKey, gr string) error {
	switch {
	case !goodGroupResource(gr) || strings.Contains(k.resource, "."):
		return fail.Errorf(fail.Invalid, "resource %q", gr)
	case !goodVersion(k.version):
		return fail.Errorf(fail.Invalid, "version %q of %s", k.version, gr)
	case k.kind == "" || len(k.kind) > maxKind || !utf8.ValidString(k.kind):
		return fail.Errorf(fail.Invalid, "kind %q of %s", k.kind, gr)
	}
	return nil
}

func goodGroupResource(s string) bool {
	return len(s) <= maxSegment && plain(s, "-.") && s[0] != '.' && s[len(s)-1] != '.'
}

func goodVersion(s string) bool {
	return len(s) <= 64 && plain(s, "-") && s != "cluster" && s != "namespaces" && !strings.HasSuffix(s, preferredSuffix)
}

// plain: not empty, ASCII letters, digits and the extra ones.
func plain(s, extra string) bool {
	for i := range len(s) {
		c := s[i]
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && (c < 'A' || c > 'Z') && strings.IndexByte(extra, c) < 0 {
			return false
		}
	}
	return s != ""
}
