// SPDX-License-Identifier: Apache-2.0

package collect_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"hozon.dev/hozon/internal/cluster"
	"hozon.dev/hozon/internal/cluster/clustertest"
	"hozon.dev/hozon/internal/collect"
	"hozon.dev/hozon/internal/fail"
	"hozon.dev/hozon/internal/object"
)

// recorder notes the lists that are asked for, and can spoil them.
type recorder struct {
	collect.Source
	spoil func(t object.Type, o cluster.ListOptions, body io.ReadCloser, err error) (io.ReadCloser, error)

	mu    sync.Mutex
	lists map[string][]cluster.ListOptions
}

func (r *recorder) List(ctx context.Context, t object.Type, o cluster.ListOptions) (io.ReadCloser, error) {
	r.mu.Lock()
	if r.lists == nil {
		r.lists = map[string][]cluster.ListOptions{}
	}
	r.lists[t.Resource] = append(r.lists[t.Resource], o)
	r.mu.Unlock()
	body, err := r.Source.List(ctx, t, o)
	if r.spoil != nil {
		return r.spoil(t, o, body, err)
	}
	return body, err
}

func (r *recorder) of(resource string) []cluster.ListOptions {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.lists[resource]
}

// A page whose body breaks off is read again, and no item comes twice.
func TestTornPage(t *testing.T) {
	c := open(t, clustertest.Shared(t))
	ns := clustertest.Shared(t).Namespace(t)
	for i := range 5 {
		create(t, c, "v1/configmaps", ns, fmt.Sprintf(`{"metadata":{"name":"c%d"},"data":{"k":"0123456789"}}`, i))
	}
	torn := 0
	source := &recorder{Source: c, spoil: func(typ object.Type, o cluster.ListOptions, body io.ReadCloser, err error) (io.ReadCloser, error) {
		if err != nil || o.ResourceVersion == "" || torn == 2 {
			return body, err
		}
		torn++
		defer body.Close()
		whole, err := io.ReadAll(body)
		return io.NopCloser(strings.NewReader(string(whole[:len(whole)-50-300*torn]))), err
	}}
	m, result := run(t, source, collect.Request{Exact: true, Types: []object.Type{typeNamed(t, typesOf(t, c), "configmaps")}})
	if torn != 2 || len(m.in(ns)) != 5 || len(result.Problems) != 0 {
		t.Errorf("torn %d times, %d items, %v", torn, len(m.in(ns)), result.Problems)
	}
}

// An API that answers at another revision than it was asked for is named, or refused.
func TestDrift(t *testing.T) {
	c := open(t, clustertest.Shared(t))
	ns := clustertest.Shared(t).Namespace(t)
	create(t, c, "v1/configmaps", ns, `{"metadata":{"name":"a"}}`)
	source := &recorder{Source: c}
	source.spoil = func(typ object.Type, o cluster.ListOptions, body io.ReadCloser, err error) (io.ReadCloser, error) {
		if err != nil || o.ResourceVersion == "" {
			return body, err
		}
		body.Close()
		create(t, c, "v1/configmaps", ns, `{"metadata":{"generateName":"x"}}`)
		return c.List(t.Context(), typ, cluster.ListOptions{})
	}
	req := collect.Request{Exact: true, Types: []object.Type{typeNamed(t, typesOf(t, c), "configmaps")}}
	m, result := run(t, source, req)
	if len(result.Own) != 1 || result.Own[0].ResourceVersion == result.ResourceVersion || len(m.in(ns)) != 2 {
		t.Errorf("own %+v, %d items", result.Own, len(m.in(ns)))
	}
	req.Consistency = collect.Require
	if _, err := collect.Run(t.Context(), source, req, new(memory)); !errors.Is(err, collect.ErrInconsistent) {
		t.Errorf("error %v", err)
	}
}

// A kind stored elsewhere is listed on its own and named, or refused.
func TestOutsideOfDomain(t *testing.T) {
	c := open(t, clustertest.Shared(t))
	source := &recorder{Source: c, spoil: func(typ object.Type, o cluster.ListOptions, body io.ReadCloser, err error) (io.ReadCloser, error) {
		if err != nil || typ.Resource != "events" {
			return body, err
		}
		defer body.Close()
		if o.ResourceVersion != "" {
			t.Errorf("events were asked for at %s", o.ResourceVersion)
		}
		return io.NopCloser(strings.NewReader(`{"kind":"EventList","apiVersion":"v1","metadata":{"resourceVersion":"7"},"items":[]}`)), nil
	}}
	req := collect.Request{Exact: true, Types: typesOf(t, c)}
	_, result := run(t, source, req)
	if len(result.Own) != 1 || result.Own[0].Type.GroupResource() != "events" || result.Own[0].ResourceVersion != "7" || !strings.Contains(result.Own[0].Reason, "stored elsewhere") {
		t.Errorf("own: %+v", result.Own)
	}
	req.Consistency = collect.Require
	if _, err := collect.Run(t.Context(), source, req, new(memory)); !errors.Is(err, collect.ErrInconsistent) || !strings.Contains(err.Error(), "events") {
		t.Errorf("error %v", err)
	}
}

// Compaction takes the revision away in the middle of a run; kinds on their own still work. The API server's cache
// is without its history, which lives for 15 seconds longer.
func TestExpired(t *testing.T) {
	own := clustertest.Start(t, clustertest.Options{UnsafeNoFsync: true, APIServerFlags: []string{"--etcd-compaction-interval=500ms", "--feature-gates=ListFromCacheSnapshot=false"}})
	c := open(t, own)
	ns := own.Namespace(t)
	create(t, c, "v1/configmaps", ns, `{"metadata":{"name":"a"}}`)
	types := typesOf(t, c)
	var once sync.Once
	source := &recorder{Source: c, spoil: func(typ object.Type, o cluster.ListOptions, body io.ReadCloser, err error) (io.ReadCloser, error) {
		if o.ResourceVersion == "" {
			return body, err
		}
		once.Do(func() {
			eventually(t, func() error { // the compaction leaves the last revisions alone, so make new ones
				create(t, c, "v1/configmaps", ns, `{"metadata":{"generateName":"x"}}`)
				b, err := c.List(t.Context(), typ, o)
				if err == nil {
					b.Close()
					return errors.New("not compacted yet")
				}
				return nil
			})
		})
		if err == nil {
			body.Close()
		}
		return c.List(t.Context(), typ, o)
	}}
	m := new(memory)
	_, err := collect.Run(t.Context(), source, collect.Request{Types: types, Exact: true}, m)
	if !errors.Is(err, collect.ErrExpired) || !fail.Is(err, fail.Transient) || errors.Is(err, collect.ErrInconsistent) {
		t.Errorf("error %v", err)
	}
	m, result := run(t, source, collect.Request{Types: types})
	m.has(t, "v1 configmaps/"+ns+"/a")
	if result.ResourceVersion != "" || len(result.Own) == 0 || len(result.Problems) > 0 {
		t.Errorf("revision %q, own %v, problems %v", result.ResourceVersion, result.Own, result.Problems)
	}
}

// A dead aggregated API and a kind that is not there are problems, and the rest is complete.
func TestKindsThatFail(t *testing.T) {
	c := open(t, clustertest.Shared(t))
	ns := clustertest.Shared(t).Namespace(t)
	create(t, c, "apiregistration.k8s.io/v1/apiservices", "", `{"metadata":{"name":"v1.deadly.example.com"},"spec":{"group":"deadly.example.com","version":"v1",
		"groupPriorityMinimum":100,"versionPriority":1,"insecureSkipTLSVerify":true,"service":{"namespace":"default","name":"dead"}}}`)
	defer c.Delete(context.WithoutCancel(t.Context()), object.Type{Group: "apiregistration.k8s.io", Version: "v1", Resource: "apiservices"}, "", "v1.deadly.example.com", cluster.DeleteOptions{})
	create(t, c, "v1/configmaps", ns, `{"metadata":{"name":"a"}}`)
	verbs := []string{"list", "get", "create", "delete"}
	types := append(typesOf(t, c),
		object.Type{Group: "deadly.example.com", Version: "v1", Resource: "corpses", Kind: "Corpse", Verbs: verbs},
		object.Type{Group: "apps", Version: "v1", Resource: "gone", Kind: "Gone", Namespaced: true, Verbs: verbs},
		object.Type{Group: "authorization.k8s.io", Version: "v1", Resource: "selfsubjectaccessreviews", Kind: "SelfSubjectAccessReview", Verbs: verbs})
	m, result := run(t, c, collect.Request{Types: types, Exact: true})
	m.has(t, "v1 configmaps/"+ns+"/a")
	if len(result.Problems) != 3 {
		t.Fatalf("problems: %v", result.Problems)
	}
	for i, want := range []string{"list corpses.deadly.example.com: ", "list gone.apps: ", "list selfsubjectaccessreviews.authorization.k8s.io: "} {
		if p := result.Problems[i]; !strings.HasPrefix(p.Text, want) || !p.Cluster {
			t.Errorf("problem %q, want %q", p.Text, want)
		}
	}
}

// An API server that dies under a run ends it, soon.
func TestServerGone(t *testing.T) {
	own := clustertest.Start(t, clustertest.Options{UnsafeNoFsync: true})
	c := open(t, own)
	types := typesOf(t, c)
	var once sync.Once
	source := &recorder{Source: c, spoil: func(_ object.Type, o cluster.ListOptions, body io.ReadCloser, err error) (io.ReadCloser, error) {
		if o.ResourceVersion != "" {
			once.Do(own.KillAPIServer)
		}
		return body, err
	}}
	_, err := collect.Run(t.Context(), source, collect.Request{Types: types, Exact: true}, new(memory))
	if err == nil || !fail.Is(err, fail.Transient) || !strings.Contains(err.Error(), "reach the API server") {
		t.Errorf("error %v of kind %v", err, fail.Of(err))
	}
	if _, err := collect.Run(t.Context(), c, collect.Request{Types: types, Exact: true}, new(memory)); err == nil {
		t.Error("a run without a server")
	}
}

func TestCancel(t *testing.T) {
	c := open(t, clustertest.Shared(t))
	types := typesOf(t, c)
	ctx, cancel := context.WithCancelCause(t.Context())
	cause := errors.New("enough")
	var started time.Time
	source := &recorder{Source: c, spoil: func(_ object.Type, o cluster.ListOptions, body io.ReadCloser, err error) (io.ReadCloser, error) {
		if o.ResourceVersion != "" && ctx.Err() == nil {
			started = time.Now()
			cancel(cause)
		}
		return body, err
	}}
	_, err := collect.Run(ctx, source, collect.Request{Types: types, Exact: true, Parallel: 1}, new(memory))
	if !errors.Is(err, cause) || time.Since(started) > time.Second {
		t.Errorf("%v after %v", err, time.Since(started))
	}
}

func TestSinkErrors(t *testing.T) {
	c := open(t, clustertest.Shared(t))
	req := collect.Request{Types: typesOf(t, c), Exact: true}
	full := errors.New("full")
	if _, err := collect.Run(t.Context(), c, req, &memory{err: full}); !errors.Is(err, full) {
		t.Errorf("error %v", err)
	}
	var m memory
	m.err = fail.Errorf(fail.Invalid, "too long a name")
	result, err := collect.Run(t.Context(), c, req, &m)
	if err != nil || result.Items != 0 || len(result.Problems) != len(m.items) || len(m.items) == 0 {
		t.Errorf("%v, %d items, %d problems of %d", err, result.Items, len(result.Problems), len(m.items))
	}
}
