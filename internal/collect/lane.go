// SPDX-License-Identifier: Apache-2.0

package collect

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"hozon.dev/hozon/internal/cluster"
	"hozon.dev/hozon/internal/fail"
	"hozon.dev/hozon/internal/object"
)

// lane is one listing goroutine.
type lane struct {
	run  *run
	to   Lane
	buf  object.Buffer
	body []byte // of the item at hand, when it had to be completed

	terminating []object.Ref
	items       int
	bytes       int64
}

// kind lists one kind. It returns only what ends the run.
func (l *lane) kind(ctx context.Context, t task) error {
	before, whole, rv := l.items, true, ""
	one, namespaces := t.namespaces != nil, t.namespaces
	if !one {
		namespaces = []string{""}
	}
	var denied []string
	for _, namespace := range namespaces {
		got, err := l.pages(ctx, t, namespace)
		if one && fail.Is(err, fail.Denied) {
			denied = append(denied, namespace)
			continue
		}
		whole = whole && err == nil
		if err := l.settle(ctx, t, namespace, err); err != nil {
			return err
		}
		if t = l.drifted(t, got); !one {
			rv = got
		}
	}
	l.deny(t.t, denied)
	l.run.listed(t, rv, l.items-before, whole)
	return nil
}

// drifted notes a kind whose API answered consistently, but at another revision than it was asked for.
func (l *lane) drifted(t task, rv string) task {
	if t.rv != "" && rv != "" && rv != t.rv && t.own == "" {
		t.own = fmt.Sprintf("its API answered at the resource version %s when asked for %s", rv, t.rv)
	}
	return t
}

// deny makes one problem, or a few, of the namespaces in which a kind may not be listed.
func (l *lane) deny(t object.Type, names []string) {
	const single = 3
	if len(names) > single {
		l.run.note("", fmt.Sprintf("list %s: not allowed in %d namespaces: %s", t.GroupResource(), len(names), strings.Join(names, ", ")))
		return
	}
	for _, name := range names {
		l.run.note(name, fmt.Sprintf("list %s: not allowed in namespace %s", t.GroupResource(), name))
	}
}

// settle decides whether an error of one kind is a problem or the end of the run.
func (l *lane) settle(ctx context.Context, t task, namespace string, err error) error {
	var sink *sinkError
	switch {
	case err == nil:
		return nil
	case context.Cause(ctx) != nil:
		return context.Cause(ctx)
	case errors.As(err, &sink):
		return sink.err
	case t.rv != "" && errors.Is(err, cluster.ErrExpired):
		return fail.Errorf(fail.Transient, "%w: %w", ErrExpired, err)
	case errors.Is(err, errMixed) && l.run.req.Consistency == Require:
		return fmt.Errorf("%w: %w", ErrInconsistent, err)
	}
	if !answered(err) {
		if gone := l.run.gone(ctx); gone != nil {
			return gone
		}
	}
	l.run.problem(namespace, err)
	return nil
}

// answered reports whether err is what a server said, and not the lack of an answer.
func answered(err error) bool {
	var status *apierrors.StatusError
	return err == nil || errors.As(err, &status) || !fail.Is(err, fail.Transient)
}

// sinkError is an error of the Sink, or another one that is not the kind's.
type sinkError struct{ err error }

func (e *sinkError) Error() string { return e.err.Error() }
func (e *sinkError) Unwrap() error { return e.err }

// errMixed is about pages that do not belong to one revision.
var errMixed = fail.Errorf(fail.Transient, "the pages are of different revisions")

// pageTries is how often one page is asked for when its body breaks off.
const pageTries = 3

// pages lists a kind, in one namespace or in all, and returns the revision of the list.
func (l *lane) pages(ctx context.Context, t task, namespace string) (string, error) {
	o := cluster.ListOptions{Namespace: namespace, ResourceVersion: t.rv, Limit: t.limit}
	rv := ""
	for page := 1; ; page++ {
		p, err := l.page(ctx, t, o)
		if err != nil {
			return rv, err
		}
		if page == 1 {
			rv = p.head.ResourceVersion
		}
		if rv != p.head.ResourceVersion {
			return rv, fail.Errorf(fail.Transient, "list %s: %w: %s on page 1, %s on page %d", t.t.GroupResource(), errMixed, rv, p.head.ResourceVersion, page)
		}
		if t.rv != "" && rv != t.rv && l.run.req.Consistency == Require {
			return rv, fail.Errorf(fail.Transient, "list %s: %w: asked for %s, got %s", t.t.GroupResource(), errMixed, t.rv, rv)
		}
		if p.head.Continue == "" {
			return rv, nil
		}
		o.Continue = p.head.Continue
		o.Limit = nextLimit(p.bytes, p.items)
	}
}

// page is what was read of one page.
type page struct {
	head  object.ListHead
	bytes int64
	items int
}

// page lists one page. When the body breaks off, the page is asked for again and what the lane has already is
// passed over: the same page of the same revision has the same items in the same order.
func (l *lane) page(ctx context.Context, t task, o cluster.ListOptions) (page, error) {
	var p page
	fixed := o.ResourceVersion != "" || o.Continue != ""
	for try := 1; ; try++ {
		seen := p.items
		err := l.read(ctx, t, o, seen, &p)
		again := try < pageTries && ctx.Err() == nil && !answered(err) && (fixed || p.items == 0)
		if err == nil || !again {
			return p, err
		}
	}
}

// read reads one page, but for the first skip items.
func (l *lane) read(ctx context.Context, t task, o cluster.ListOptions, skip int, p *page) error {
	body, err := l.run.source.List(ctx, t.t, o)
	if err != nil {
		return err
	}
	defer body.Close()
	counted := &countingReader{r: body}
	at := 0
	p.head, err = object.Split(counted, &l.buf, func(raw []byte) error {
		if at++; at <= skip {
			return nil
		}
		p.items++
		return l.item(t, raw)
	})
	p.bytes = counted.n
	var sink *sinkError
	if err != nil && !errors.As(err, &sink) {
		return fmt.Errorf("list %s: %w", t.t.GroupResource(), err)
	}
	return err
}

// item takes one item of a list.
func (l *lane) item(of task, raw []byte) error {
	t := of.t
	head, err := object.Scan(raw)
	if err != nil {
		l.run.problem("", fmt.Errorf("list %s: an item: %w", t.GroupResource(), err))
		return nil
	}
	if head.Name == "" || t.Namespaced != (head.Namespace != "") {
		l.run.note("", fmt.Sprintf("list %s: an item has the name %q and the namespace %q", t.GroupResource(), head.Name, head.Namespace))
		return nil
	}
	if isDefinition(t) && t.Preferred {
		if what := l.run.missed(head, raw); what != "" {
			l.run.note("", what)
		}
	}
	it := Item{Ref: t.Ref(head.Namespace, head.Name), Type: t, Head: head, Body: raw}
	it.Head.Terminating = false // whether it would be taken if it were not being deleted
	takes, err := l.run.takes(it, of)
	if err != nil {
		l.run.problem(head.Namespace, fmt.Errorf("%s: %w", it.Ref, err))
	}
	if !takes {
		return nil
	}
	if it.Head.Terminating = head.Terminating; head.Terminating {
		l.terminating = append(l.terminating, it.Ref)
		return nil
	}
	return l.add(it, raw)
}

// add gives an item that is taken to the sink.
func (l *lane) add(it Item, raw []byte) error {
	if it.Head.APIVersion == "" || it.Head.Kind == "" {
		l.body = object.Inject(l.body[:0], raw, it.Head, it.Type.GroupVersion(), it.Type.Kind)
		it.Body = l.body
	}
	err := l.to.Add(it)
	if fail.Is(err, fail.Invalid) {
		l.run.problem(it.Ref.Namespace, fmt.Errorf("%s: %w", it.Ref, err))
		return nil
	}
	if err != nil {
		return &sinkError{err}
	}
	l.items++
	l.bytes += int64(len(it.Body))
	if l.run.needs != nil {
		if err := l.run.needs.add(it); err != nil {
			l.run.problem(it.Ref.Namespace, fmt.Errorf("%s: %w", it.Ref, err))
		}
	}
	return nil
}

// countingReader counts what was read.
type countingReader struct {
	r io.Reader
	n int64
}

func (c *countingReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}

func gvr(t object.Type) schema.GroupVersionResource {
	return schema.GroupVersionResource{Group: t.Group, Version: t.Version, Resource: t.Resource}
}
