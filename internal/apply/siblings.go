// SPDX-License-Identifier: Apache-2.0

package apply

import (
	"context"
	"errors"
	"strings"
	"sync"

	"hozon.dev/hozon/internal/cluster"
	"hozon.dev/hozon/internal/object"
)

const (
	manyConflicts = 16       // existing objects of a place, after which all of them are read at once
	maxSiblings   = 16 << 20 // bytes of a list that are kept
)

var errTooMany = errors.New("too many objects to keep")

// siblings are the live objects of a place. The first ones that are in the way are read one by one; where there are many, one
// list answers for the rest.
type siblings struct {
	target    Reader
	t         object.Type
	namespace string

	mu    sync.Mutex
	asked int
	live  map[string][]byte // nil: not listed
}

// place is where objects of one kind lie: a namespace, or the cluster.
type place struct{ groupVersion, resource, namespace string }

func (r *Run) siblings(t object.Type, namespace string) *siblings {
	p := place{t.GroupVersion(), t.Resource, namespace}
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.known[p]
	if s == nil {
		s = &siblings{target: r.o.Target, t: t, namespace: namespace}
		r.known[p] = s
	}
	return s
}

// find looks an object up in the list, if there is one.
func (s *siblings) find(name string) ([]byte, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	body, ok := s.live[name]
	return body, ok
}

// get reads an object.
func (s *siblings) get(ctx context.Context, name string) ([]byte, error) {
	s.mu.Lock()
	if s.asked++; s.asked == manyConflicts {
		s.list(ctx)
	}
	body, ok := s.live[name]
	s.mu.Unlock()
	if ok {
		return body, nil
	}
	return s.target.Get(ctx, s.t, s.namespace, name)
}

// list reads all objects of the place. If that does not work, or there are too many, they go on being read one by one.
func (s *siblings) list(ctx context.Context) {
	stream, err := s.target.List(ctx, s.t, cluster.ListOptions{Namespace: s.namespace})
	if err != nil {
		return
	}
	defer stream.Close()
	live, size := map[string][]byte{}, 0
	_, err = object.Split(stream, nil, func(item []byte) error {
		head, err := object.Scan(item)
		if err != nil {
			return err
		}
		if size += len(item); size > maxSiblings {
			return errTooMany
		}
		live[strings.Clone(head.Name)] = object.Inject(nil, item, head, s.t.GroupVersion(), s.t.Kind)
		return nil
	})
	if err != nil {
		return
	}
	s.live = live
}
