// SPDX-License-Identifier: Apache-2.0

package transfer

import (
	"path"
	"strings"

	"hozon.dev/hozon/internal/fail"
)

// Filter says which part of a tree is meant. The zero value means all of it.
//
// A pattern is one of path.Match (* ? [a-z]). With a slash in it it must match the whole path from the root, else the last component.
type Filter struct {
	Include []string // if not empty, only files, links and the like that match one, and the folders on the way
	Exclude []string // not these, and nothing below them
}

// Check refuses patterns that cannot be understood.
func (f Filter) Check() error {
	for _, list := range [][]string{f.Include, f.Exclude} {
		for _, p := range list {
			if _, err := path.Match(p, ""); err != nil || p == "" {
				return fail.Errorf(fail.Invalid, "pattern %q: an unclosed [ or a lone \\ at its end; quote what is meant literally with \\", p)
			}
		}
	}
	return nil
}

// drops reports whether the thing at a path, and all below it, is not meant.
func (f Filter) drops(p string, isFolder bool) bool {
	if matches(f.Exclude, p) {
		return true
	}
	return len(f.Include) > 0 && !isFolder && !f.included(p)
}

// included reports whether a path or a folder above it is included.
func (f Filter) included(p string) bool {
	for ; p != ""; p, _ = split(p) {
		if matches(f.Include, p) {
			return true
		}
	}
	return false
}

func matches(patterns []string, p string) bool {
	_, name := split(p)
	for _, pattern := range patterns {
		subject := name
		if strings.Contains(pattern, "/") {
			pattern, subject = strings.Trim(pattern, "/"), p
		}
		if ok, _ := path.Match(pattern, subject); ok {
			return true
		}
	}
	return false
}
