// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	utiljson "k8s.io/apimachinery/pkg/util/json"

	"hozon.dev/hozon/internal/cluster"
	"hozon.dev/hozon/internal/cluster/clustertest"
	"hozon.dev/hozon/internal/object"
)

// patience is how long controllers are waited for.
const patience = 20 * time.Second

// Site is a cluster.
type Site struct {
	*clustertest.Cluster
	Client *cluster.Client

	mu    sync.Mutex
	types map[string]object.Type
}

// NewSite starts a control plane with controllers for a test.
func NewSite(t testing.TB) *Site {
	t.Helper()
	c := clustertest.Start(t, clustertest.Options{Controllers: true, UnsafeNoFsync: true})
	client, err := cluster.Open(cluster.Options{Kubeconfig: c.Kubeconfig()})
	if err != nil {
		t.Fatal(err)
	}
	return &Site{Cluster: c, Client: client}
}

// typeOf finds a resource, asking the cluster anew for one that is not known.
func (s *Site) typeOf(ctx context.Context, resource string) (object.Type, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t, ok := s.types[resource]; ok {
		return t, nil
	}
	types, _, err := s.Client.Types(ctx, false)
	if err != nil {
		return object.Type{}, err
	}
	s.types = map[string]object.Type{}
	for _, t := range types {
		s.types[t.GroupResource()] = t
	}
	if t, ok := s.types[resource]; ok {
		return t, nil
	}
	return object.Type{}, fmt.Errorf("the cluster does not serve %s", resource)
}

// run runs kubectl with text as its input.
func (s *Site) run(ctx context.Context, text string, args ...string) (string, error) {
	cmd := s.Kubectl(ctx, args...)
	cmd.Stdin = strings.NewReader(text)
	var out, talk bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &talk
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("kubectl %s: %w: %s", strings.Join(args, " "), err, talk.String())
	}
	return out.String(), nil
}

// Scene is one case in one way.
type Scene struct {
	Way     Way
	Outcome Outcome
	Site    *Site
	Hooks   *Hooks

	ctx   context.Context
	c     *Case
	saved map[string]*unstructured.Unstructured // as the source had them, by "configmaps/a"
	fails []string
}

// Fail says that something does not hold.
func (s *Scene) Fail(format string, args ...any) {
	s.fails = append(s.fails, fmt.Sprintf(format, args...))
}

// base is the case's namespace in the backup.
func (s *Scene) base() string { return "conf-" + strings.ToLower(s.c.ID) }

// NS is the namespace that the case is restored to; a suffix names another one of the case.
func (s *Scene) NS(suffix ...string) string { return s.mapped(s.base() + strings.Join(suffix, "")) }

func (s *Scene) mapped(ns string) string {
	if s.Way == NewNamespace && strings.HasPrefix(ns, "conf-") {
		return ns + "-copy"
	}
	return ns
}

// split is "configmaps/a" or "configmaps/namespace/a" as resource, namespace and name.
func (s *Scene) split(ref string) (resource, ns, name string) {
	parts := strings.SplitN(ref, "/", 3)
	if len(parts) == 3 {
		return parts[0], s.mapped(parts[1]), parts[2]
	}
	return parts[0], s.NS(), parts[1]
}

// Get reads "configmaps/a" of the case's namespace, "configmaps/other-namespace/a", or a cluster-scoped object; nil if it does not exist.
func (s *Scene) Get(ref string) map[string]any {
	resource, ns, name := s.split(ref)
	t, err := s.Site.typeOf(s.ctx, resource)
	if err != nil {
		return nil
	}
	if !t.Namespaced {
		ns = ""
		if resource == "namespaces" {
			name = s.mapped(name)
		}
	}
	body, err := s.Site.Client.Get(s.ctx, t, ns, name)
	if err != nil {
		return nil
	}
	var o map[string]any
	if err := utiljson.Unmarshal(body, &o); err != nil {
		s.Fail("%s: %v", ref, err)
	}
	return o
}

// List reads all objects of a kind in the case's namespace.
func (s *Scene) List(resource string) []map[string]any {
	t, err := s.Site.typeOf(s.ctx, resource)
	if err != nil {
		s.Fail("list %s: %v", resource, err)
		return nil
	}
	page, err := s.Site.Client.List(s.ctx, t, cluster.ListOptions{Namespace: s.NS()})
	if err != nil {
		s.Fail("list %s: %v", resource, err)
		return nil
	}
	defer page.Close()
	var list struct{ Items []map[string]any }
	if err := json.NewDecoder(page).Decode(&list); err != nil {
		s.Fail("list %s: %v", resource, err)
	}
	return list.Items
}

// Field digs in an object: Field(o, "metadata", "labels", "a"), Field(o, "spec", "ports", 0).
func Field(o any, keys ...any) any {
	for _, key := range keys {
		switch k := key.(type) {
		case string:
			m, _ := o.(map[string]any)
			o = m[k]
		case int:
			l, _ := o.([]any)
			if k >= len(l) {
				return nil
			}
			o = l[k]
		}
	}
	return o
}

// Is wants a field of an object to have a value.
func (s *Scene) Is(want any, ref string, keys ...any) {
	o := s.Get(ref)
	if o == nil {
		s.Fail("%s does not exist", ref)
		return
	}
	if got := Field(o, keys...); fmt.Sprint(got) != fmt.Sprint(want) {
		s.Fail("%s: %v is %v, want %v", ref, keys, got, want)
	}
}

// Missing wants an object not to exist.
func (s *Scene) Missing(ref string) {
	if s.Get(ref) != nil {
		s.Fail("%s exists", ref)
	}
}

// Until waits for controllers to bring a condition about.
func (s *Scene) Until(what string, ok func() bool) {
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); !ok(); {
		if time.Now().After(deadline) || s.ctx.Err() != nil {
			s.Fail("%s: not in time", what)
			return
		}
		<-tick.C
	}
}

// Differs compares an object with what was saved of it; "" if they count as the same.
func (s *Scene) Differs(ref string) string {
	saved := s.saved[ref]
	if saved == nil {
		return ref + " was not saved"
	}
	live := s.Get(ref)
	if live == nil {
		return ref + " does not exist"
	}
	want := saved
	if s.Way == NewNamespace {
		want = s.translate(saved)
	}
	if same, d := object.Same(want, &unstructured.Unstructured{Object: live}, object.SameOptions{}); !same {
		return fmt.Sprintf("%s: saved against live: %v", ref, d)
	}
	return ""
}

// translate writes the case's namespaces in an object as they are restored.
func (s *Scene) translate(o *unstructured.Unstructured) *unstructured.Unstructured {
	body, _ := json.Marshal(o.Object) // it was made of JSON
	text := string(body)
	for _, ns := range []string{s.base(), s.base() + "-b", s.base() + "-c"} {
		text = strings.ReplaceAll(text, `"`+ns+`"`, `"`+s.mapped(ns)+`"`)
	}
	out := &unstructured.Unstructured{}
	if err := utiljson.Unmarshal([]byte(text), &out.Object); err != nil {
		s.Fail("translate %s: %v", o.GetName(), err)
	}
	return out
}

// Same wants an object to be as it was saved.
func (s *Scene) Same(ref string) {
	if d := s.Differs(ref); d != "" {
		s.Fail("%s", d)
	}
}

// Says wants one error or warning of the restore that holds all parts.
func (s *Scene) Says(parts ...string) {
	if !s.said(parts...) {
		s.Fail("no error or warning says %q", parts)
	}
}

func (s *Scene) said(parts ...string) bool {
	return slices.ContainsFunc(append(slices.Clone(s.Outcome.Errors), s.Outcome.Warnings...), func(text string) bool {
		return !slices.ContainsFunc(parts, func(p string) bool { return !strings.Contains(text, p) })
	})
}

// Run runs kubectl, which has to succeed.
func (s *Scene) Run(text string, args ...string) string {
	out, err := s.Site.run(s.ctx, s.fill(text), args...)
	if err != nil {
		s.Fail("%v", err)
	}
	return out
}

// Apply makes objects as somebody would, in the namespace that the case is restored to.
func (s *Scene) Apply(text string) { s.Run(text, "apply", "-f", "-") }

// Patch changes an object.
func (s *Scene) Patch(ref, patch string) {
	resource, ns, name := s.split(ref)
	s.Run("", "-n", ns, "patch", resource, name, "--type=merge", "-p", patch)
}

// Delete deletes an object and waits until it is gone.
func (s *Scene) Delete(ref string) {
	resource, ns, name := s.split(ref)
	s.Run("", "-n", ns, "delete", resource, name, "--ignore-not-found", "--cascade=foreground", "--timeout=20s")
}

// fill writes the variables of a text.
func (s *Scene) fill(text string) string {
	port := s.Hooks.URL[strings.LastIndexByte(s.Hooks.URL, ':')+1:]
	return strings.NewReplacer("$NS", s.NS(), "$HOOK", s.Hooks.URL, "$CA", s.Hooks.CA, "$PORT", port).Replace(text)
}
