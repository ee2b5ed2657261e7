// SPDX-License-Identifier: Apache-2.0

package restore

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"hozon.dev/hozon/internal/archive"
	"hozon.dev/hozon/internal/fail"
	"hozon.dev/hozon/internal/filter"
	"hozon.dev/hozon/internal/object"
	"hozon.dev/hozon/internal/plan"
	"hozon.dev/hozon/internal/plan/rule"
	"hozon.dev/hozon/internal/report"
	"hozon.dev/hozon/internal/store"
)

// findings are items that cannot be restored as they are. Whether they are asked for is known when all types are.
type findings []finding

type finding struct {
	ref object.Ref
	err error
}

// walk reads the archive from beginning to end and hands each object to fn: once in its preferred version, and once in every other
// version that was saved. An archive that is not the one in the manifest is fail.Corrupt.
func (r *run) walk(ctx context.Context, fn func(e archive.Entry) error) error {
	name := r.backup.Name
	file, err := r.Store.Open(ctx, store.Backup, name, store.Archive, 0, -1)
	if err != nil {
		return err
	}
	defer file.Close()
	sum := sha256.New()
	_, err = archive.Read(io.TeeReader(file, sum), archive.ReadOptions{}, func(e archive.Entry) error {
		if err := context.Cause(ctx); err != nil {
			return err
		}
		if e.Preferred && !e.Unversioned {
			return nil // the second copy of the preferred version
		}
		return fn(e)
	})
	if err != nil {
		return fmt.Errorf("backup %s: %w", name, err)
	}
	if r.index == nil {
		return nil
	}
	recorded, ok := r.index.File(store.Archive.Of(name))
	if got := hex.EncodeToString(sum.Sum(nil)); !ok || got != recorded.SHA256 {
		return fail.Errorf(fail.Corrupt, "backup %s: the archive has the SHA-256 %s, its manifest says %q", name, got, recorded.SHA256)
	}
	return nil
}

// survey hands at least the relevant objects to fn: it reads the whole archive or, for a small part of it, by the index.
func (r *run) survey(ctx context.Context, selector *filter.Filter, fn func(archive.Entry) error) error {
	partial, err := r.partial(ctx, selector)
	if err != nil {
		return err
	}
	if !partial {
		return r.walk(ctx, fn)
	}
	r.log.line("info", "reading a part of the archive, by the index")
	return r.pick(ctx, func(e archive.IndexEntry) bool { return relevant(selector, e.Ref) }, fn)
}

// scan is the first pass: it finds out what the backup holds, and that what of the archive is needed is sound.
func (r *run) scan(ctx context.Context) error {
	r.stage("reading", 0)
	// The types are needed for lists of resources only, which are looked at when the types of the backup are known too.
	selector, err := r.newFilter(r.types)
	if err != nil {
		return err
	}
	r.entries = &plan.Entries{}
	r.bodies = map[int][]byte{}
	kept, most, words := 0, maxKept, interner{}
	if r.parts() {
		most = maxKeptIndexed
	}
	err = r.survey(ctx, selector, func(e archive.Entry) error {
		if !relevant(selector, e.Ref) {
			return nil
		}
		if isPod(e.Ref) {
			r.files.see(e.Ref, e.Body)
		}
		entry, err := inspect(e, selector)
		if err != nil {
			r.found = append(r.found, finding{words.ref(e.Ref), err})
			return nil
		}
		if kept += len(e.Body); kept > most {
			r.bodies = nil
		}
		if r.bodies != nil {
			r.bodies[r.entries.Len()] = append([]byte(nil), e.Body...)
		}
		r.entries.Add(entry)
		r.fitHooks(entry, e.Body)
		return nil
	})
	if err != nil {
		return err
	}
	if r.filter, err = r.newFilter(r.allTypes()); err != nil {
		return err
	}
	if err := errors.Join(r.checkNames(), r.checkPolicy(), r.checkClasses(ctx), r.hooks.fit.Err()); err != nil {
		return err
	}
	for _, f := range r.found {
		if !r.filter.Resource(f.ref.Group, f.ref.Resource) {
			continue
		}
		if to, ok := r.restore.Spec.NamespaceMapping[f.ref.Namespace]; ok {
			f.ref.Namespace = to
		}
		r.item(report.Item{Ref: f.ref, Action: report.Failed, Reason: f.err.Error()})
	}
	return nil
}

// checkNames refuses to restore kinds of which neither the target nor the backup knows anything: a name that is mistyped would restore nothing, and
// say that it was well.
func (r *run) checkNames() error {
	unknown := slices.DeleteFunc(r.filter.Unresolved(), func(name string) bool {
		return strings.ContainsAny(name, "*?[{") || !slices.Contains(r.restore.Spec.IncludedResources, name)
	})
	if len(unknown) == 0 {
		return nil
	}
	return fail.Errorf(fail.Invalid, "restore %s: included resources: the cluster serves no %s, and backup %s has none; see `kubectl api-resources`",
		r.restore.Name, strings.Join(unknown, ", "), r.backup.Name)
}

// inspect turns an item into an entry, which is as short-lived. The error is what is wrong with the item.
func inspect(e archive.Entry, selector *filter.Filter) (plan.Entry, error) {
	if e.Err != nil {
		return plan.Entry{}, e.Err
	}
	traits, err := rule.Inspect(e.Ref, e.Head, e.Body)
	if err != nil {
		return plan.Entry{}, fail.As(fail.Corrupt, err)
	}
	head := e.Head
	head.Terminating = false // a reason to skip, not a matter of labels
	_, reason := selector.Object(e.Ref, head)
	out := reason == filter.ReasonSelector || reason == filter.ReasonKind || reason == filter.ReasonName
	return plan.Entry{
		Ref: e.Ref, Version: e.Version, Kind: e.Head.Kind,
		Preferred: e.Preferred, Matched: !out, Traits: traits,
	}, nil
}

// allTypes are the types of the target and, where it lacks them, those of the backup.
func (r *run) allTypes() []object.Type {
	have := map[string]bool{}
	for _, t := range r.types {
		have[t.GroupResource()] = true
	}
	types := r.types[:len(r.types):len(r.types)]
	for e := range r.entries.Kinds() {
		if gr := e.Ref.GroupResource(); !have[gr] {
			have[gr] = true
			types = append(types, object.Type{
				Group: e.Ref.Group, Version: e.Version, Resource: e.Ref.Resource, Kind: e.Kind,
				Singular: strings.ToLower(e.Kind), Namespaced: e.Ref.Namespace != "", Preferred: true,
			})
		}
	}
	return types
}

// interner keeps one copy of each of the few words that most items share.
type interner map[string]string

func (i interner) word(s string) string {
	if kept, ok := i[s]; ok {
		return kept
	}
	s = strings.Clone(s)
	i[s] = s
	return s
}

func (i interner) ref(r object.Ref) object.Ref {
	return object.Ref{
		Group: i.word(r.Group), Resource: i.word(r.Resource), Namespace: i.word(r.Namespace), Name: strings.Clone(r.Name),
	}
}
