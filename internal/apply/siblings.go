// SPDX-License-Identifier: Apache-2.0

package apply

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"

	"hozon.dev/hozon/internal/cluster"
	"hozon.dev/hozon/internal/fail"
	"hozon.dev/hozon/internal/object"
)

const (
	manyConflicts = 6       // existing objects of a place, after which all of them are read at once
	maxSiblings   = 4 << 20 // bytes of a list that are kept
	maxListed     = 4 << 20 // bytes of all lists that are kept
	maxPlaces     = 1 << 10 // places of which something is known: they come one after the other
)

var errTooMany = errors.New("too many objects to keep")

// siblings are the live objects of a place. The first ones that are in the way are read one by one; where there are many, one
// list answers for the rest.
type siblings struct {
	run       *Run
	t         object.Type
	namespace string

	mu    sync.Mutex
	asked int
	live  atomic.Pointer[map[string][]byte] // nil: not listed, or given up for other lists
}

// lists bounds the memory of all lists together: the objects of a place come one after the other, so the oldest list goes.
type lists struct {
	mu    sync.Mutex
	kept  []*siblings
	sizes []int
	total int
}

func (l *lists) keep(s *siblings, live map[string][]byte, size int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.total+size > maxListed && len(l.kept) > 0 {
		l.kept[0].live.Store(nil)
		l.total -= l.sizes[0]
		l.kept, l.sizes = l.kept[1:], l.sizes[1:]
	}
	s.live.Store(&live)
	l.kept, l.sizes, l.total = append(l.kept, s), append(l.sizes, size), l.total+size
}

// find looks an object up in the list, if there is one.
func (s *siblings) find(name string) ([]byte, bool) {
	live := s.live.Load()
	if live == nil {
		return nil, false
	}
	body, ok := (*live)[name]
	return body, ok
}

// place is where objects of one kind lie: a namespace, or the cluster.
type place struct{ groupVersion, resource, namespace string }

func (r *Run) siblings(t object.Type, namespace string) *siblings {
	p := place{t.GroupVersion(), t.Resource, namespace}
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.known[p]
	if s == nil {
		s = &siblings{run: r, t: t, namespace: namespace}
		r.known[p] = s
		if r.places = append(r.places, p); len(r.places) > maxPlaces {
			delete(r.known, r.places[0])
			r.places = r.places[1:]
		}
	}
	return s
}

// get reads an object.
func (s *siblings) get(ctx context.Context, name string) ([]byte, error) {
	s.mu.Lock()
	if s.asked++; s.asked == manyConflicts {
		s.list(ctx)
	}
	body, ok := s.find(name)
	s.mu.Unlock()
	if ok {
		return body, nil
	}
	start := s.run.o.Now()
	body, err := s.run.o.Target.Get(ctx, s.t, s.namespace, name)
	if err == nil || fail.Is(err, fail.NotFound) {
		s.run.limit.answered(callKind{"get", s.t.GroupResource()}, s.run.o.Now().Sub(start))
	}
	return body, err
}

// look reads an object for one who does not know whether it is there: the first to ask lists the place, which answers for the others, too.
func (s *siblings) look(ctx context.Context, name string) ([]byte, error) {
	s.mu.Lock()
	if s.asked < manyConflicts {
		s.asked = manyConflicts
		s.list(ctx)
	}
	live := s.live.Load()
	s.mu.Unlock()
	if live == nil {
		return s.get(ctx, name)
	}
	if body, ok := (*live)[name]; ok {
		return body, nil
	}
	return nil, fail.Errorf(fail.NotFound, "%s does not exist", s.t.Ref(s.namespace, name))
}

// list reads all objects of the place. If that does not work, or there are too many, they go on being read one by one.
func (s *siblings) list(ctx context.Context) {
	stream, err := s.run.o.Target.List(ctx, s.t, cluster.ListOptions{Namespace: s.namespace})
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
	s.run.lists.keep(s, live, size)
}
