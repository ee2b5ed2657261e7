// SPDX-License-Identifier: Apache-2.0

package collect

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"golang.org/x/sync/errgroup"

	"hozon.dev/hozon/internal/cluster"
	"hozon.dev/hozon/internal/fail"
	"hozon.dev/hozon/internal/object"
)

// probeParallel is how many probes are under way at once. One may wait in the API server for 0.1 s, until
// the kind's cache has caught up, so that many have to be under way; but all at once are a burst that others feel.
const probeParallel = 16

// probeBuffers is how many answers are read at once. They are small, and buffers are not.
const probeBuffers = 4

func buffers() chan *object.Buffer {
	c := make(chan *object.Buffer, probeBuffers)
	for range probeBuffers {
		c <- new(object.Buffer)
	}
	return c
}

var namespaces = object.Type{Version: "v1", Resource: "namespaces", Kind: "Namespace"}

// probed is what a list of one item says about a kind.
type probed struct {
	t      object.Type
	rv     string
	size   int64 // items, as far as the server says; at least those that were seen
	first  int   // bytes of the first item
	whole  bool  // the list was complete
	denied bool  // the kind can only be listed by namespace
	err    error // it cannot be listed at all
}

// probe lists one item of a kind, in one namespace or in all. Without a resourceVersion the answer is a consistent
// read: its revision is not older than the request.
func (r *run) probe(ctx context.Context, t object.Type, namespace string) (probed, error) {
	p := probed{t: t}
	body, err := r.source.List(ctx, t, cluster.ListOptions{Namespace: namespace, Limit: 1})
	if err != nil {
		return p, err
	}
	defer body.Close()
	buf := <-r.buffers
	defer func() { r.buffers <- buf }()
	head, err := object.Split(body, buf, func(item []byte) error {
		p.size++
		p.first = max(p.first, len(item))
		return nil
	})
	if err != nil {
		return p, fmt.Errorf("list %s: %w", t.GroupResource(), err)
	}
	p.rv = head.ResourceVersion
	p.whole = head.Continue == ""
	if head.Remaining != nil {
		p.size += *head.Remaining
	}
	return p, nil
}

// probeKind probes a kind where it can be listed: in all namespaces, or in the first one that allows it.
func (r *run) probeKind(ctx context.Context, t object.Type) (probed, error) {
	p, err := r.probe(ctx, t, "")
	if !t.Namespaced || !fail.Is(err, fail.Denied) {
		return p, err
	}
	all := err
	for _, namespace := range r.known() {
		p, err := r.probe(ctx, t, namespace)
		if err == nil {
			p.denied, p.whole = true, false
			return p, nil
		}
		if !fail.Is(err, fail.Denied) {
			return p, err
		}
	}
	return p, all
}

// probes probes all kinds. What goes wrong with one is kept in it.
func (r *run) probes(ctx context.Context, types []object.Type) ([]probed, error) {
	out := make([]probed, len(types))
	var g errgroup.Group
	g.SetLimit(probeParallel)
	for i, t := range types {
		g.Go(func() error {
			p, err := r.probeKind(ctx, t)
			p.t, p.err = t, err
			out[i] = p
			return nil
		})
	}
	_ = g.Wait() // no function returns an error
	return out, context.Cause(ctx)
}

// anchor is the kind whose revisions are the run's: namespaces, or what a user with fewer rights may list.
type anchor struct {
	t         object.Type
	namespace string
}

// findAnchor finds the anchor and its revision.
func (r *run) findAnchor(ctx context.Context, types []object.Type) (anchor, string, error) {
	first := anchor{t: namespaces}
	rv, err := r.revision(ctx, first)
	if err == nil || !fail.Is(err, fail.Denied) {
		return first, rv, err
	}
	denied := err
	for _, namespace := range r.known() {
		for _, t := range types {
			if t.Group != "" || !t.Namespaced || t.Resource == "events" {
				continue
			}
			a := anchor{t, namespace}
			rv, err := r.revision(ctx, a)
			if err == nil || !fail.Is(err, fail.Denied) {
				return a, rv, err
			}
		}
	}
	return first, "", denied
}

func (r *run) revision(ctx context.Context, a anchor) (string, error) {
	p, err := r.probe(ctx, a.t, a.namespace)
	if err != nil {
		return "", err
	}
	if _, err := strconv.ParseUint(p.rv, 10, 64); err != nil {
		return "", fail.Errorf(fail.Unsupported, "list %s: the resource version %q is no number", a.t.GroupResource(), p.rv)
	}
	return p.rv, nil
}

// outside says why a kind with the revision rv does not belong to the domain that had the revisions from and to before and after; "" if it does.
func outside(rv, from, to string) string {
	if rv == "" {
		return "its API has no resource versions"
	}
	k, err := strconv.ParseUint(rv, 10, 64)
	if err != nil {
		return fmt.Sprintf("its resource version %q is no number", rv)
	}
	low, err := strconv.ParseUint(from, 10, 64)
	high, err2 := strconv.ParseUint(to, 10, 64)
	if err := errors.Join(err, err2); err != nil {
		return err.Error()
	}
	if k < low || k > high {
		return fmt.Sprintf("it is stored elsewhere: its resource version was %d when the cluster's was %d to %d", k, low, high)
	}
	return ""
}
