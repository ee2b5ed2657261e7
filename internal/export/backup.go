// SPDX-License-Identifier: Apache-2.0

package export

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"slices"

	"hozon.dev/hozon/internal/archive"
	"hozon.dev/hozon/internal/fail"
	"hozon.dev/hozon/internal/object"
	"hozon.dev/hozon/internal/report"
	"hozon.dev/hozon/internal/store"
)

// Backup is a Source that reads a backup, without a cluster.
type Backup struct {
	Store *store.Store
	Name  string

	definitions definitionTable
}

// Objects reads the archive once. What is damaged in it is an error; what is wrong with one item is a problem.
func (b *Backup) Objects(ctx context.Context, s Scope, fn func(Item) error) (Origin, error) {
	record, err := b.Store.Backup(ctx, b.Name)
	if err != nil {
		return Origin{}, err
	}
	origin := Origin{Notes: []string{fmt.Sprintf("read from backup %s, which is %s", record.Name, record.Status.Phase)}}
	if m, err := b.Store.Manifest(ctx, b.Name); err == nil {
		origin.ResourceVersion = m.Consistency.ResourceVersion
	}
	seen := map[string]bool{}
	problems, err := b.walk(ctx, func(it Item) error {
		if gr := it.Ref.GroupResource(); gr == namespaceType.Resource {
			seen[it.Ref.Name] = true
		} else if view(gr) {
			return nil
		}
		ns := it.Ref.Namespace
		if ns == "" || len(s.Namespaces) > 0 && !slices.Contains(s.Namespaces, ns) {
			return nil
		}
		seen[ns] = true
		return fn(it)
	})
	origin.Problems = problems
	for _, ns := range s.Namespaces {
		if err == nil && !seen[ns] {
			err = fail.Errorf(fail.NotFound, "backup %s holds no namespace %q", b.Name, ns)
		}
	}
	return origin, err
}

// Cluster reads the archive once more.
func (b *Backup) Cluster(ctx context.Context, groupResources []string, fn func(Item) error) ([]report.Note, error) {
	_, err := b.walk(ctx, func(it Item) error {
		if it.Ref.Namespace != "" || !slices.Contains(groupResources, it.Ref.GroupResource()) {
			return nil
		}
		return fn(it)
	})
	return nil, err
}

// Definition reads the archive once more, for the first one.
func (b *Backup) Definition(ctx context.Context, t object.Type) ([]byte, error) {
	return b.definitions.get(t, func(fn func(Item) error) error {
		_, err := b.walk(ctx, fn)
		return err
	})
}

// walk calls fn with every object once, in its preferred version.
func (b *Backup) walk(ctx context.Context, fn func(Item) error) ([]report.Note, error) {
	file, err := b.Store.Open(ctx, store.Backup, b.Name, store.Archive, 0, -1)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	var problems []report.Note
	sum := sha256.New()
	_, err = archive.Read(io.TeeReader(file, sum), archive.ReadOptions{}, func(e archive.Entry) error {
		if err := context.Cause(ctx); err != nil {
			return err
		}
		if !e.Unversioned {
			return nil // a second copy, or another version
		}
		if e.Err != nil {
			problems = append(problems, report.Note{Namespace: e.Ref.Namespace, Cluster: e.Ref.Namespace == "", Text: e.Err.Error()})
			return nil
		}
		t := object.Type{Group: e.Ref.Group, Version: e.Version, Resource: e.Ref.Resource, Kind: e.Head.Kind, Namespaced: e.Ref.Namespace != "", Preferred: true}
		return fn(Item{Ref: e.Ref, Type: t, Head: e.Head, Body: e.Body})
	})
	if err != nil {
		return problems, fmt.Errorf("backup %s: %w", b.Name, err)
	}
	return problems, b.check(ctx, hex.EncodeToString(sum.Sum(nil)))
}

// check compares what was read with the manifest, if there is one.
func (b *Backup) check(ctx context.Context, got string) error {
	m, err := b.Store.Manifest(ctx, b.Name)
	if fail.Is(err, fail.NotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	if recorded, ok := m.File(store.Archive.Of(b.Name)); !ok || got != recorded.SHA256 {
		return fail.Errorf(fail.Corrupt, "backup %s: the archive has the SHA-256 %s, its manifest says %q", b.Name, got, recorded.SHA256)
	}
	return nil
}
