// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strconv"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/version"

	"hozon.dev/hozon/internal/fail"
	"hozon.dev/hozon/internal/object"
)

// ListOptions say which part of a kind is listed, and as of when.
type ListOptions struct {
	Namespace       string // empty: all, or the type is cluster-scoped
	ResourceVersion string // list exactly this revision; empty: the current one (a consistent read)
	Limit           int    // items in a page; 0: all
	Continue        string // token of the page before; the revision is then the first page's
	LabelSelector   string
	// Metadata asks for items with their metadata only (kind PartialObjectMetadata), which not every server gives.
	Metadata bool
}

func (o ListOptions) query() url.Values {
	q := url.Values{}
	if o.Continue != "" {
		q.Set("continue", o.Continue)
	} else if o.ResourceVersion != "" {
		q.Set("resourceVersion", o.ResourceVersion)
		q.Set("resourceVersionMatch", string(metav1.ResourceVersionMatchExact))
	}
	if o.Limit > 0 {
		q.Set("limit", strconv.Itoa(o.Limit))
	}
	if o.LabelSelector != "" {
		q.Set("labelSelector", o.LabelSelector)
	}
	return q
}

// List returns the body of one page as it comes from the wire. The caller closes it.
func (c *Client) List(ctx context.Context, t object.Type, o ListOptions) (io.ReadCloser, error) {
	k := call{verb: verbList, method: http.MethodGet, t: t, namespace: o.Namespace, query: o.query(), metadata: o.Metadata}
	resp, err := c.send(ctx, k)
	if err != nil {
		return nil, err
	}
	return &listBody{resp.Body, func(err error) error { return c.reachError(ctx, "read the answer", err) }}, nil
}

// listBody gives the errors of reading a body their kind.
type listBody struct {
	io.ReadCloser
	wrap func(error) error
}

func (b *listBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil && err != io.EOF {
		err = b.wrap(err)
	}
	return n, err
}

// Get returns an object.
func (c *Client) Get(ctx context.Context, t object.Type, namespace, name string) ([]byte, error) {
	if name == "" {
		return nil, invalid("get %s: no name", t.GroupResource())
	}
	return c.read(ctx, call{verb: verbGet, method: http.MethodGet, t: t, namespace: namespace, name: name})
}

// WriteOptions are those of Create, Update and Patch.
type WriteOptions struct {
	DryRun       bool
	FieldManager string
	Subresource  string // "status", say; Update and Patch only
	// FieldValidation is what the server does about unknown and duplicate fields: "Ignore", "Warn" (its default) or "Strict".
	FieldValidation string
	// Force takes fields over from other managers; apply patches only.
	Force bool
	// NoRetry returns a 429 at once, for callers that steer by it; see RetryAfter.
	NoRetry bool
	// Metadata asks for an answer with the metadata only (kind PartialObjectMetadata), which not every server gives; Update only.
	Metadata bool
}

func (o WriteOptions) query() url.Values {
	q := url.Values{}
	if o.DryRun {
		q.Set("dryRun", metav1.DryRunAll)
	}
	if o.FieldManager != "" {
		q.Set("fieldManager", o.FieldManager)
	}
	if o.FieldValidation != "" {
		q.Set("fieldValidation", o.FieldValidation)
	}
	if o.Force {
		q.Set("force", "true")
	}
	return q
}

// Create creates the object in body, whose name and namespace, if any, are in body too, and returns it as stored.
func (c *Client) Create(ctx context.Context, t object.Type, namespace string, body []byte, o WriteOptions) ([]byte, error) {
	if o.Subresource != "" {
		return nil, fail.Errorf(fail.Unsupported, "create %s: subresource %s", t.GroupResource(), o.Subresource)
	}
	return c.read(ctx, call{
		verb: verbCreate, method: http.MethodPost, t: t, namespace: namespace,
		query: o.query(), body: body, noRetry: o.NoRetry,
	})
}

// Update replaces an object and returns it as stored.
func (c *Client) Update(ctx context.Context, t object.Type, namespace, name string, body []byte, o WriteOptions) ([]byte, error) {
	return c.read(ctx, call{
		verb: verbUpdate, method: http.MethodPut, t: t, namespace: namespace, name: name, subresource: o.Subresource,
		query: o.query(), body: body, noRetry: o.NoRetry, metadata: o.Metadata,
	})
}

// Patch changes an object and returns it as stored.
func (c *Client) Patch(ctx context.Context, t object.Type, namespace, name string, patch types.PatchType, body []byte, o WriteOptions) ([]byte, error) {
	return c.read(ctx, call{
		verb: verbPatch, method: http.MethodPatch, t: t, namespace: namespace, name: name, subresource: o.Subresource,
		query: o.query(), body: body, contentType: string(patch), noRetry: o.NoRetry,
	})
}

// DeleteOptions bind a deletion to a state of the object. The zero value deletes whatever has the name.
type DeleteOptions struct {
	DryRun          bool
	UID             string                     // only the object with this UID
	ResourceVersion string                     // only in this state
	Propagation     metav1.DeletionPropagation // what happens to dependents; empty: the kind's default
	GracePeriod     *int64                     // seconds
	NoRetry         bool
}

func (o DeleteOptions) body() ([]byte, error) {
	d := metav1.DeleteOptions{
		TypeMeta:           metav1.TypeMeta{APIVersion: "v1", Kind: "DeleteOptions"},
		GracePeriodSeconds: o.GracePeriod,
	}
	if o.DryRun {
		d.DryRun = []string{metav1.DryRunAll}
	}
	if o.Propagation != "" {
		d.PropagationPolicy = &o.Propagation
	}
	if o.UID != "" || o.ResourceVersion != "" {
		d.Preconditions = &metav1.Preconditions{}
		if o.UID != "" {
			uid := types.UID(o.UID)
			d.Preconditions.UID = &uid
		}
		if o.ResourceVersion != "" {
			d.Preconditions.ResourceVersion = &o.ResourceVersion
		}
	}
	return json.Marshal(d)
}

// Delete deletes an object. The object may live on until its finalizers are done.
func (c *Client) Delete(ctx context.Context, t object.Type, namespace, name string, o DeleteOptions) error {
	if name == "" { // the path without a name deletes the whole kind
		return invalid("delete %s: no name", t.GroupResource())
	}
	body, err := o.body()
	if err != nil {
		return invalid("delete %s: %w", t.Ref(namespace, name), err)
	}
	_, err = c.read(ctx, call{
		verb: verbDelete, method: http.MethodDelete, t: t, namespace: namespace, name: name, body: body, noRetry: o.NoRetry,
	})
	return err
}

// Open reads what a subresource of an object gives: the log of a pod, or what answers behind a proxy. The caller closes it.
func (c *Client) Open(ctx context.Context, t object.Type, namespace, name, subresource string, query url.Values) (io.ReadCloser, error) {
	resp, err := c.send(ctx, call{verb: verbGet, method: http.MethodGet, t: t, namespace: namespace, name: name, subresource: subresource, query: query, text: true})
	if err != nil {
		return nil, err
	}
	return resp.Body, nil
}

// Version is the version of the API server.
func (c *Client) Version(ctx context.Context) (version.Info, error) {
	var info version.Info
	body, err := c.read(ctx, call{verb: verbGet, method: http.MethodGet, raw: "/version"})
	if err != nil {
		return info, err
	}
	if err := json.Unmarshal(body, &info); err != nil {
		return info, invalid("read the version: %s is no API server: %w", c.base, err)
	}
	return info, nil
}
