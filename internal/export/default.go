// SPDX-License-Identifier: Apache-2.0

package export

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"sync"

	"hozon.dev/hozon/internal/fail"
	"hozon.dev/hozon/internal/manifest"
	"hozon.dev/hozon/internal/object"
)

// schemas are the defaults of custom kinds, read when the first object of a kind comes. Safe for concurrent use.
type schemas struct {
	from []Source // the first that has a definition counts

	mu    sync.Mutex
	known map[string]*manifest.Schema // by group, version and kind
	notes []string
}

// drop leaves the defaults of its definition out of a custom object. A definition that cannot be read leaves them in, with a note.
func (s *schemas) drop(ctx context.Context, t object.Type, o map[string]any) {
	if !builtinGroups[t.Group] {
		s.of(ctx, t).Drop(o)
	}
}

func (s *schemas) of(ctx context.Context, t object.Type) *manifest.Schema {
	key := t.GroupVersion() + " " + t.Kind
	s.mu.Lock()
	defer s.mu.Unlock()
	found, ok := s.known[key]
	if ok {
		return found
	}
	found, err := s.read(ctx, t)
	if err != nil {
		s.notes = append(s.notes, fmt.Sprintf("the defaults of %s.%s are not known and left in: %v", t.Kind, t.Group, err))
	}
	if s.known == nil {
		s.known = map[string]*manifest.Schema{}
	}
	s.known[key] = found
	return found
}

func (s *schemas) read(ctx context.Context, t object.Type) (*manifest.Schema, error) {
	for _, d := range s.from {
		body, err := d.Definition(ctx, t)
		if fail.Is(err, fail.NotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		return manifest.ReadSchema(body, t.Version)
	}
	return nil, nil // a kind of a server of its own, whose defaults nobody publishes
}

// definitionTable are the definitions of a source that can only be read as a whole, which happens at most once.
type definitionTable struct {
	once  sync.Once
	err   error
	mu    sync.Mutex        // an archive is read by several goroutines
	found map[string][]byte // by group and kind
}

func (d *definitionTable) get(t object.Type, walk func(fn func(Item) error) error) ([]byte, error) {
	d.once.Do(func() { d.err = walk(d.take) })
	if d.err != nil {
		return nil, d.err
	}
	body, ok := d.found[t.Group+" "+t.Kind]
	if !ok {
		return nil, fail.Errorf(fail.NotFound, "there is no definition of %s in %s", t.Kind, t.Group)
	}
	return body, nil
}

func (d *definitionTable) take(it Item) error {
	if it.Ref.GroupResource() != definitions {
		return nil
	}
	var crd struct {
		Spec struct {
			Group string
			Names struct{ Kind string }
		}
	}
	if err := json.Unmarshal(it.Body, &crd); err != nil {
		return fail.Errorf(fail.Invalid, "read %s: %w", it.Ref, err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.found == nil {
		d.found = map[string][]byte{}
	}
	d.found[crd.Spec.Group+" "+crd.Spec.Names.Kind] = bytes.Clone(it.Body)
	return nil
}
