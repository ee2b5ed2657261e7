// SPDX-License-Identifier: Apache-2.0

package hostset

import (
	"bytes"
	"context"
	"maps"
	"slices"
	"strings"

	"hozon.dev/hozon/internal/dr/bundle"
	"hozon.dev/hozon/internal/host"
)

// What became of a path since it was saved.
const (
	Added   = "added"
	Removed = "removed"
	Changed = "changed"
)

// Change is one difference between a machine and its archive.
type Change struct {
	Path  string   `json:"path"`
	What  string   `json:"what"`            // added, removed, changed
	Parts []string `json:"parts,omitempty"` // of a changed one: type, content, target, mode, owner, context, attributes
}

// Difference is what has changed on a machine since.
type Difference struct {
	Host     string   `json:"host"`
	Files    []Change `json:"files"`
	Packages []Change `json:"packages"`
	Same     int      `json:"same"` // files that have not changed
}

// Equal says that nothing has changed.
func (d *Difference) Equal() bool { return len(d.Files)+len(d.Packages) == 0 }

// Diff compares a machine with an archive, which may be another machine's.
func (a *Archive) Diff(ctx context.Context, h *host.Host) (*Difference, error) {
	now, err := look(ctx, h, a.Paths)
	if err != nil {
		return nil, err
	}
	d := &Difference{Host: h.Name(), Files: []Change{}, Packages: []Change{}}
	for _, path := range union(a.Files, now.files) {
		was, before := a.Files[path]
		is, after := now.files[path]
		switch {
		case !before:
			d.Files = append(d.Files, Change{"/" + path, Added, nil})
		case !after:
			d.Files = append(d.Files, Change{"/" + path, Removed, nil})
		default:
			if parts := compare(was, is); len(parts) > 0 {
				d.Files = append(d.Files, Change{"/" + path, Changed, parts})
			} else {
				d.Same++
			}
		}
	}
	d.Packages = packages(a.Packages, now.packages)
	return d, nil
}

func union(a, b map[string]bundle.File) []string {
	all := maps.Clone(a)
	maps.Copy(all, b)
	return slices.Sorted(maps.Keys(all))
}

// compare names the parts in which two files differ. Times do not count.
func compare(was, is bundle.File) []string {
	if was.Type != is.Type || was.Hard != is.Hard {
		return []string{"type"}
	}
	var parts []string
	add := func(differs bool, part string) {
		if differs {
			parts = append(parts, part)
		}
	}
	add(was.SHA256 != is.SHA256, "content")
	add(was.Target != is.Target, "target")
	add(was.Mode != is.Mode && was.Type != "link", "mode")
	add(was.UID != is.UID || was.GID != is.GID, "owner")
	add(was.SELinux != is.SELinux, "context")
	add(!maps.EqualFunc(was.Attributes, is.Attributes, bytes.Equal), "attributes")
	return parts
}

// packages compares lists as rpm or dpkg prints them: a line is a package with its version.
func packages(was, is []string) []Change {
	all := []Change{}
	names := func(lines []string) map[string]string {
		out := map[string]string{}
		for _, l := range lines {
			out[l] = l
		}
		return out
	}
	before, after := names(was), names(is)
	lines := slices.Concat(was, is)
	slices.Sort(lines)
	for _, l := range slices.Compact(lines) {
		text := strings.ReplaceAll(l, "\t", " ")
		if _, ok := before[l]; !ok {
			all = append(all, Change{text, Added, nil})
		} else if _, ok := after[l]; !ok {
			all = append(all, Change{text, Removed, nil})
		}
	}
	return all
}
