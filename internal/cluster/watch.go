// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"hozon.dev/hozon/internal/fail"
	"hozon.dev/hozon/internal/object"
)

// WatchOptions say what is watched.
type WatchOptions struct {
	LabelSelector string
	FieldSelector string
	Bookmarks     bool          // also events of type BOOKMARK, which tell how far the watch has come
	Timeout       time.Duration // the server ends the watch after about this time; 0: when it likes
}

// Event is one change. Type is ADDED, MODIFIED, DELETED or BOOKMARK.
type Event struct {
	Type   string          `json:"type"`
	Object json.RawMessage `json:"object"`
}

// Watch is a stream of changes. It is not safe for concurrent use, but for Close.
type Watch struct {
	body io.ReadCloser
	dec  *json.Decoder
	call call
	wrap func(error) error
}

// Watch watches a kind from the given resource version on (exclusive), in one namespace or, if namespace is empty, in all.
func (c *Client) Watch(ctx context.Context, t object.Type, namespace, resourceVersion string, o WatchOptions) (*Watch, error) {
	q := url.Values{"watch": {"true"}}
	for key, value := range map[string]string{
		"resourceVersion": resourceVersion, "labelSelector": o.LabelSelector, "fieldSelector": o.FieldSelector,
	} {
		if value != "" {
			q.Set(key, value)
		}
	}
	if o.Bookmarks {
		q.Set("allowWatchBookmarks", "true")
	}
	if o.Timeout > 0 {
		q.Set("timeoutSeconds", strconv.Itoa(int(o.Timeout/time.Second)))
	}
	k := call{verb: verbWatch, method: http.MethodGet, t: t, namespace: namespace, query: q}
	resp, err := c.send(ctx, k)
	if err != nil {
		return nil, err
	}
	wrap := func(err error) error { return c.reachError(ctx, k.what(), err) }
	return &Watch{body: resp.Body, dec: json.NewDecoder(resp.Body), call: k, wrap: wrap}, nil
}

// Next waits for the next event. It returns io.EOF when the server has ended the watch, and ErrExpired when the
// resource version is too old to watch from: list again then.
func (w *Watch) Next() (Event, error) {
	var e Event
	if err := w.dec.Decode(&e); err == io.EOF {
		return Event{}, io.EOF
	} else if err != nil {
		return Event{}, w.wrap(err)
	}
	if e.Type != "ERROR" {
		return e, nil
	}
	var status metav1.Status
	if err := json.Unmarshal(e.Object, &status); err != nil {
		return Event{}, w.wrap(err)
	}
	kind, expired := kindOf(status)
	out := &callError{text: w.call.what() + ": " + status.Message, causes: []error{&apierrors.StatusError{ErrStatus: status}}}
	if expired {
		out.causes = append(out.causes, ErrExpired)
	}
	return Event{}, fail.As(kind, out)
}

// Close ends the watch. A Next that waits returns.
func (w *Watch) Close() error { return w.body.Close() }
