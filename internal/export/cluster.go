// SPDX-License-Identifier: Apache-2.0

package export

import (
	"context"
	"fmt"
	"io"
	"slices"

	velerov1 "hozon.dev/hozon/api/velero/v1"
	"hozon.dev/hozon/internal/cluster"
	"hozon.dev/hozon/internal/collect"
	"hozon.dev/hozon/internal/fail"
	"hozon.dev/hozon/internal/filter"
	"hozon.dev/hozon/internal/object"
	"hozon.dev/hozon/internal/report"
)

// Client is the part of *cluster.Client that a Cluster reads with.
type Client interface {
	Types(ctx context.Context, allVersions bool) ([]object.Type, []cluster.Problem, error)
	List(ctx context.Context, t object.Type, o cluster.ListOptions) (io.ReadCloser, error)
	Get(ctx context.Context, t object.Type, namespace, name string) ([]byte, error)
}

// Cluster is a Source that reads an API server at one resourceVersion.
type Cluster struct {
	Client Client
	// Loose reads each kind at a revision of its own: for a server that has expired the common one twice.
	Loose bool

	types   []object.Type
	version string
	known   []string // namespaces, where they cannot be listed
}

var namespaceType = object.Type{Version: "v1", Resource: "namespaces", Kind: "Namespace", Preferred: true}

// Objects reads every kind that can be listed. It refuses namespaces that do not exist or are being deleted.
func (c *Cluster) Objects(ctx context.Context, s Scope, fn func(Item) error) (Origin, error) {
	types, problems, err := c.Client.Types(ctx, false)
	if err != nil {
		return Origin{}, err
	}
	c.types, c.known = types, s.Namespaces
	for _, name := range s.Namespaces {
		if err := c.checkNamespace(ctx, name); err != nil {
			return Origin{}, err
		}
	}
	var namespaced []object.Type
	for _, t := range types {
		if t.Namespaced && !view(t.GroupResource()) {
			namespaced = append(namespaced, t)
		}
	}
	included := s.Namespaces
	if len(included) == 0 {
		included = []string{"*"}
	}
	f, err := filter.ForRestore(velerov1.RestoreSpec{BackupName: "cluster", IncludedNamespaces: included}, namespaced)
	if err != nil {
		return Origin{}, err
	}
	found, err := collect.Run(ctx, c.Client, collect.Request{Types: namespaced, Filter: f, Exact: !c.Loose}, sink{fn})
	if err != nil {
		return Origin{}, err
	}
	c.version = found.ResourceVersion
	origin := Origin{ResourceVersion: found.ResourceVersion, Problems: found.Problems, Terminating: found.Terminating}
	for _, p := range problems {
		origin.Problems = append(origin.Problems, report.Note{Cluster: true, Text: p.Err.Error()})
	}
	for _, own := range found.Own {
		origin.Notes = append(origin.Notes, fmt.Sprintf("%s was read at a resource version of its own: %s", own.Type.GroupResource(), own.Reason))
	}
	return origin, nil
}

// checkNamespace refuses a namespace that is not there to stay. Who may not read it goes on without.
func (c *Cluster) checkNamespace(ctx context.Context, name string) error {
	body, err := c.Client.Get(ctx, namespaceType, "", name)
	switch {
	case fail.Is(err, fail.NotFound):
		return fail.Errorf(fail.NotFound, "namespace %q does not exist", name)
	case fail.Is(err, fail.Denied):
		return nil
	case err != nil:
		return err
	}
	head, err := object.Scan(body)
	if err == nil && head.Terminating {
		err = fail.Errorf(fail.Busy, "namespace %q is being deleted: what is still in it is not the project", name)
	}
	return err
}

var definitionType = object.Type{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions", Kind: "CustomResourceDefinition", Preferred: true}

// Definition reads one as it is now.
func (c *Cluster) Definition(ctx context.Context, t object.Type) ([]byte, error) {
	if c.types == nil {
		types, _, err := c.Client.Types(ctx, false)
		if err != nil {
			return nil, err
		}
		c.types = types
	}
	i := slices.IndexFunc(c.types, func(s object.Type) bool { return s.Group == t.Group && s.Kind == t.Kind })
	if i < 0 {
		return nil, fail.Errorf(fail.NotFound, "the cluster does not serve %s in %s", t.Kind, t.Group)
	}
	return c.Client.Get(ctx, definitionType, "", c.types[i].GroupResource())
}

// sink hands the items of all lanes to one function.
type sink struct{ fn func(Item) error }

func (s sink) Lane() collect.Lane { return s }
func (s sink) Add(it Item) error  { return s.fn(it) }
func (s sink) Close() error       { return nil }

// Cluster lists whole kinds at the revision of Objects; an expired revision, or a kind outside of it, is read as it is now.
func (c *Cluster) Cluster(ctx context.Context, groupResources []string, fn func(Item) error) ([]report.Note, error) {
	var problems []report.Note
	for _, gr := range groupResources {
		i := slices.IndexFunc(c.types, func(t object.Type) bool { return t.GroupResource() == gr })
		if i < 0 {
			continue
		}
		err := c.list(ctx, c.types[i], fn)
		if fail.Is(err, fail.Denied) && gr == namespaceType.Resource {
			err = c.namespaces(ctx, fn)
		}
		if ctx.Err() != nil {
			return problems, context.Cause(ctx)
		}
		if err != nil {
			problems = append(problems, report.Note{Cluster: true, Text: err.Error()})
		}
	}
	return problems, nil
}

func (c *Cluster) list(ctx context.Context, t object.Type, fn func(Item) error) error {
	o := cluster.ListOptions{Limit: 500, ResourceVersion: c.version}
	for {
		page, err := c.Client.List(ctx, t, o)
		if err != nil && o.ResourceVersion != "" && o.Continue == "" && !fail.Is(err, fail.Denied) {
			o.ResourceVersion = ""
			continue
		}
		if err != nil {
			return err
		}
		head, err := object.Split(page, nil, func(item []byte) error { return whole(t, item, fn) })
		page.Close()
		if err != nil {
			return fmt.Errorf("list %s: %w", t.GroupResource(), err)
		}
		if o.Continue = head.Continue; o.Continue == "" {
			return nil
		}
	}
}

// whole completes an element of a list.
func whole(t object.Type, item []byte, fn func(Item) error) error {
	head, err := object.Scan(item)
	if err != nil {
		return err
	}
	return fn(Item{Ref: head.Ref(t), Type: t, Head: head, Body: object.Inject(nil, item, head, t.GroupVersion(), t.Kind)})
}

// namespaces reads those that are asked for one by one; who may not even do that gets none.
func (c *Cluster) namespaces(ctx context.Context, fn func(Item) error) error {
	for _, name := range c.known {
		body, err := c.Client.Get(ctx, namespaceType, "", name)
		if err != nil {
			return err
		}
		if err := whole(namespaceType, body, fn); err != nil {
			return err
		}
	}
	return nil
}
