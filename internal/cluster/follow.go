// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"hozon.dev/hozon/internal/fail"
	"hozon.dev/hozon/internal/object"
)

// Bounds of following: how long one watch lasts, and how long a server is left alone that could not be asked.
const (
	followTime  = 5 * time.Minute
	followPause = 500 * time.Millisecond
)

// Follow tells fn of every object of a kind that has the labels, as ADDED, and then of each change, until fn says that it is enough (nil is returned) or ctx
// ends (its cause is). An API server that is away for a while only makes it late: what has gone meanwhile is DELETED, in its last known state, and what is still
// there is ADDED once more. A refusal that does not pass is returned. The objects are fn's to keep.
func (c *Client) Follow(ctx context.Context, t object.Type, namespace, labelSelector string, fn func(Event) (enough bool)) error {
	f := follower{client: c, t: t, namespace: namespace, selector: labelSelector, fn: fn, known: map[string]json.RawMessage{}}
	for {
		revision, err := f.list(ctx)
		if err == nil && !f.enough {
			err = f.watch(ctx, revision)
		}
		switch {
		case f.enough:
			return nil
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case err == nil: // the server has ended the watch, as it does now and then
			continue
		case !fail.Is(err, fail.Transient) && !errors.Is(err, ErrExpired):
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(followPause):
		}
	}
}

// follower is the state of one Follow.
type follower struct {
	client              *Client
	t                   object.Type
	namespace, selector string
	fn                  func(Event) bool
	known               map[string]json.RawMessage // "namespace/name"
	enough              bool
}

func (f *follower) tell(e Event) {
	if !f.enough {
		f.enough = f.fn(e)
	}
}

// list tells of what has gone since it was last looked at, and of what there is.
func (f *follower) list(ctx context.Context) (revision string, err error) {
	body, err := f.client.List(ctx, f.t, ListOptions{Namespace: f.namespace, LabelSelector: f.selector})
	if err != nil {
		return "", err
	}
	defer body.Close()
	before := f.known
	f.known = map[string]json.RawMessage{}
	head, err := object.Split(body, nil, func(item []byte) error {
		h, err := object.Scan(item)
		if err == nil {
			f.known[h.Namespace+"/"+h.Name] = append(json.RawMessage(nil), item...)
		}
		return err
	})
	if err != nil {
		f.known = before
		return "", err
	}
	for id, last := range before {
		if f.known[id] == nil {
			f.tell(Event{Type: "DELETED", Object: last})
		}
	}
	for _, item := range f.known {
		f.tell(Event{Type: "ADDED", Object: item})
	}
	return head.ResourceVersion, nil
}

// watch tells of changes. Its end, for whatever reason, is no error: what there is is listed again.
func (f *follower) watch(ctx context.Context, revision string) error {
	w, err := f.client.Watch(ctx, f.t, f.namespace, revision, WatchOptions{LabelSelector: f.selector, Timeout: followTime})
	if err != nil {
		return err
	}
	defer w.Close()
	for !f.enough {
		e, err := w.Next()
		if err != nil {
			return nil
		}
		h, err := object.Scan(e.Object)
		if err != nil {
			return err
		}
		if id := h.Namespace + "/" + h.Name; e.Type == "DELETED" {
			delete(f.known, id)
		} else {
			f.known[id] = e.Object
		}
		f.tell(e)
	}
	return nil
}
