// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"syscall"
	"time"

	utilnet "k8s.io/apimachinery/pkg/util/net"

	"hozon.dev/hozon/internal/object"
)

// call is one request to the API server.
type call struct {
	verb        string // ours, see count.go
	method      string // HTTP's
	t           object.Type
	namespace   string
	name        string
	subresource string
	query       url.Values
	body        []byte
	contentType string
	noRetry     bool
	metadata    bool   // the answer may be without the rest
	text        bool   // the answer may be of any type
	raw         string // a path that is no object's, in place of t, namespace and name
}

// what names verb and object for errors: "create deployments.apps/ns/name".
func (k call) what() string {
	if k.raw != "" {
		return k.verb + " " + k.raw
	}
	name := k.name
	if name == "" && len(k.body) > 0 {
		name = nameIn(k.body)
	}
	what := k.verb + " " + k.t.GroupResource()
	switch {
	case name != "":
		what = k.verb + " " + k.t.Ref(k.namespace, name).String()
	case k.namespace != "":
		what += " in namespace " + k.namespace
	}
	if k.subresource != "" {
		what += " (" + k.subresource + ")"
	}
	return what
}

// nameIn is metadata.name of an object's JSON. It is asked for only when a call went wrong.
func nameIn(body []byte) string {
	var o struct{ Metadata struct{ Name string } }
	_ = json.Unmarshal(body, &o)
	return o.Metadata.Name
}

func (k call) path() string {
	if k.raw != "" {
		return k.raw
	}
	p := "/api/v1"
	if k.t.Group != "" {
		p = "/apis/" + k.t.Group + "/" + k.t.Version
	} else if k.t.Version != "v1" && k.t.Version != "" {
		p = "/api/" + k.t.Version
	}
	if k.namespace != "" {
		p += "/namespaces/" + url.PathEscape(k.namespace)
	}
	p += "/" + k.t.Resource
	if k.name != "" {
		p += "/" + url.PathEscape(k.name)
	}
	if k.subresource != "" {
		p += "/" + k.subresource
	}
	if len(k.query) > 0 {
		p += "?" + k.query.Encode()
	}
	return p
}

func (c *Client) request(ctx context.Context, k call) (*http.Request, error) {
	var body io.Reader
	if k.body != nil {
		body = bytes.NewReader(k.body)
	}
	req, err := http.NewRequestWithContext(ctx, k.method, c.base+k.path(), body)
	if err != nil {
		return nil, invalid("%s: %w", k.what(), err)
	}
	req.Header = http.Header{"Accept": {"application/json"}, "User-Agent": {c.agent}}
	if k.text {
		req.Header["Accept"] = []string{"*/*"}
		req.Header["Accept-Encoding"] = []string{"identity"} // the bytes are wanted as they lie there
	}
	if k.metadata {
		kind := "PartialObjectMetadata"
		if k.verb == verbList {
			kind += "List"
		}
		req.Header["Accept"] = []string{"application/json;as=" + kind + ";g=meta.k8s.io;v=v1,application/json"}
	}
	if k.body != nil {
		contentType := k.contentType
		if contentType == "" {
			contentType = "application/json"
		}
		req.Header["Content-Type"] = []string{contentType}
	}
	return req, nil
}

// retryPolicy bounds the repetition of one call.
type retryPolicy struct {
	tries   int           // in all
	first   time.Duration // wait before the second try, when the server names none; threefold before each further one
	longest time.Duration // whatever the server asks for
}

var defaultRetry = retryPolicy{tries: 5, first: 50 * time.Millisecond, longest: 10 * time.Second}

// send sends k and returns the response, whose status is a success, with its body open.
func (c *Client) send(ctx context.Context, k call) (*http.Response, error) {
	wait := c.retry.first
	for try := 1; ; try++ {
		resp, err := c.try(ctx, k)
		if err == nil && resp.StatusCode < 300 {
			return resp, nil
		}
		again, pause := try < c.retry.tries, wait
		if err != nil {
			again = again && ctx.Err() == nil && passing(k, err)
			err = c.reachError(ctx, k.what(), err)
		} else {
			asked, ok := repeatable(k, resp)
			again, pause = again && ok, max(asked, wait)
			err = c.statusError(k, resp)
			resp.Body.Close()
		}
		if !again {
			return nil, err
		}
		wait *= 3
		if !sleep(ctx, min(pause, c.retry.longest)) {
			return nil, err
		}
	}
}

func (c *Client) try(ctx context.Context, k call) (*http.Response, error) {
	if c.limit != nil {
		if err := c.limit.Wait(ctx); err != nil {
			return nil, err
		}
	}
	req, err := c.request(ctx, k)
	if err != nil {
		return nil, err
	}
	c.count.add(k.verb)
	return c.http.Do(req)
}

// repeatable reports whether an answer allows the same call again, and the wait that the server asks for. A
// server that names a time has not done anything; without one only reads are safe.
func repeatable(k call, resp *http.Response) (time.Duration, bool) {
	if k.noRetry || resp.StatusCode != http.StatusTooManyRequests && resp.StatusCode < 500 {
		return 0, false
	}
	if seconds, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil && seconds >= 0 {
		return time.Duration(seconds) * time.Second, true
	}
	return 0, k.method == http.MethodGet && resp.StatusCode != http.StatusNotImplemented
}

// passing reports whether a call without an answer may be repeated: a connection that broke, for reads. A refused
// connection is not repeated: where nobody listens, the user wants to know at once.
func passing(k call, err error) bool {
	if k.noRetry || k.method != http.MethodGet || errors.Is(err, syscall.ECONNREFUSED) {
		return false
	}
	return utilnet.IsConnectionReset(err) || utilnet.IsProbableEOF(err) || utilnet.IsHTTP2ConnectionLost(err)
}

// sleep waits for d and reports whether ctx is still good then.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// maxObject bounds the body of a response that is one object, in bytes. etcd's own limit is far below.
const maxObject = 64 << 20

// read sends k and returns the whole body, which is the caller's.
func (c *Client) read(ctx context.Context, k call) ([]byte, error) {
	resp, err := c.send(ctx, k)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := readBody(resp)
	if err != nil {
		return nil, c.reachError(ctx, k.what(), err)
	}
	return body, nil
}

func readBody(resp *http.Response) ([]byte, error) {
	if n := resp.ContentLength; n > maxObject {
		return nil, fmt.Errorf("the answer has %d bytes, more than any object", n)
	} else if n >= 0 {
		body := make([]byte, n)
		_, err := io.ReadFull(resp.Body, body)
		return body, err
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxObject+1))
	if err == nil && len(body) > maxObject {
		return nil, fmt.Errorf("the answer has more than %d bytes, more than any object", maxObject)
	}
	return body, err
}
