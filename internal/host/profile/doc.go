// SPDX-License-Identifier: Apache-2.0

// Package profile has lists of what is worth saving on a machine: one for each kind of machine that is known, and those that somebody writes.
//
// Its noun: a Profile, a YAML document that names files and folders, how to tell such a machine, and what has to be done after files were brought back.
//
// Invariants: a Profile is only data, nothing of it is ever run; its paths are clean and absolute; the built-in ones are good (a test reads them all).
//
// It reaches no machine: package host does.
package profile

import (
	"embed"
	"path"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"
	"sigs.k8s.io/yaml"

	"hozon.dev/hozon/internal/fail"
)

//go:embed builtin/*.yaml
var builtin embed.FS

// Profile says what to save of a machine of one kind.
type Profile struct {
	Name  string   `json:"name"`
	About string   `json:"about"`
	Looks []string `json:"looks,omitempty"` // it fits a machine on which all of these exist; none: only when it is named
	Files []File   `json:"files"`
	After []string `json:"after,omitempty"` // what a person does after files were brought back, one step each
}

// File is a file, or a folder with all that is below it. One that does not exist is left out.
type File struct {
	Path string `json:"path"`
	What string `json:"what,omitempty"`
}

// Builtin are the profiles that the program comes with, by name.
func Builtin() []Profile {
	entries, err := builtin.ReadDir("builtin")
	var all []Profile
	for _, e := range entries {
		var text []byte
		var p Profile
		if text, err = builtin.ReadFile("builtin/" + e.Name()); err == nil {
			p, err = Parse(text)
		}
		all = append(all, p)
		if err != nil {
			break
		}
	}
	if err != nil {
		panic(err) // they are compiled in
	}
	return all
}

// Parse reads a profile. Fields that it does not know are refused: a misspelt one would leave files out in silence.
func Parse(text []byte) (Profile, error) {
	var p Profile
	if err := yaml.UnmarshalStrict(text, &p); err != nil {
		return p, fail.Errorf(fail.Invalid, "profile: %w", err)
	}
	if msgs := validation.IsDNS1123Subdomain(p.Name); len(msgs) > 0 {
		return p, fail.Errorf(fail.Invalid, "profile: name %q: %s", p.Name, msgs[0])
	}
	if len(p.Files) == 0 {
		return p, fail.Errorf(fail.Invalid, "profile %s: it names no files", p.Name)
	}
	for _, f := range append(p.Paths(), p.Looks...) {
		if !path.IsAbs(f) || path.Clean(f) != f || f == "/" || strings.ContainsAny(f, "\x00\n") {
			return p, fail.Errorf(fail.Invalid, "profile %s: path %q: give a clean absolute path", p.Name, f)
		}
	}
	return p, nil
}

// Paths are the paths of the files.
func (p Profile) Paths() []string {
	var all []string
	for _, f := range p.Files {
		all = append(all, f.Path)
	}
	return all
}

// Named finds profiles by their names, in the order of the names.
func Named(all []Profile, names ...string) ([]Profile, error) {
	var found []Profile
	for _, name := range names {
		i := slices.IndexFunc(all, func(p Profile) bool { return p.Name == name })
		if i < 0 {
			return nil, fail.Errorf(fail.Invalid, "there is no profile %q: `hozon host profiles` lists those that are there", name)
		}
		found = append(found, all[i])
	}
	return found, nil
}

// Marks are all paths whose existence decides which profiles fit.
func Marks(all []Profile) []string {
	var marks []string
	for _, p := range all {
		marks = append(marks, p.Looks...)
	}
	slices.Sort(marks)
	return slices.Compact(marks)
}

// Fitting are the profiles that fit a machine on which these paths exist.
func Fitting(all []Profile, existing []string) []Profile {
	var fit []Profile
	for _, p := range all {
		missing := func(mark string) bool { return !slices.Contains(existing, mark) }
		if len(p.Looks) > 0 && !slices.ContainsFunc(p.Looks, missing) {
			fit = append(fit, p)
		}
	}
	return fit
}

// Outermost sorts paths and leaves out those that lie below another one.
func Outermost(paths []string) []string {
	all := slices.Clone(paths)
	slices.Sort(all)
	all = slices.Compact(all)
	return slices.DeleteFunc(slices.Clone(all), func(f string) bool {
		return slices.ContainsFunc(all, func(outer string) bool { return strings.HasPrefix(f, outer+"/") })
	})
}

// Paths are those of several profiles together.
func Paths(all []Profile) []string {
	var paths []string
	for _, p := range all {
		paths = append(paths, p.Paths()...)
	}
	return Outermost(paths)
}
