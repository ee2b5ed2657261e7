// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"math/rand/v2"
	"slices"

	"hozon.dev/hozon/internal/object"
)

// corpus is what the cluster is filled with: the mix of kinds and sizes that large clusters have. The same number of
// objects always gives the same corpus.
type corpus struct {
	namespaces  []string
	definitions []any // of the custom kinds
	waves       [][]item
	made        made
	sources     map[object.Ref][]byte // some objects as the source has them
}

// made is what came of it.
type made struct {
	objects int   // in the namespaces
	others  int   // namespaces and definitions
	bytes   int64 // of the objects as the API server has them
}

// item is one object to be created.
type item struct {
	t        object.Type
	body     map[string]any
	manager  string         // who creates it
	status   map[string]any // set afterwards by its controller; nil: none
	reporter string         // that controller
	owner    *object.Ref    // controller of it
}

// shares of the kinds in hundredths. They follow what large clusters were seen to hold.
var shares = []struct {
	percent int
	make    func(*maker, int)
}{
	{35, (*maker).configMaps},
	{20, (*maker).secrets},
	{33, (*maker).workloads}, // 20 Pods, 8 ReplicaSets, 5 Deployments
	{4, (*maker).accounts},   // ServiceAccounts, Roles, RoleBindings
	{3, (*maker).services},   // Services, EndpointSlices
	{5, (*maker).customs},
}

const (
	namespaceCount = 26
	customKinds    = 30
	customsPerKind = 20
)

// Waves: an object comes after its owner.
const (
	first = iota
	replicaSets
	pods
	waveCount
)

// maker makes the objects of a corpus.
type maker struct {
	*corpus
	r *rand.Rand
	n int // objects made so far, for names and namespaces
}

func newCorpus(n int) *corpus {
	c := &corpus{waves: make([][]item, waveCount), sources: map[object.Ref][]byte{}}
	for i := range namespaceCount {
		c.namespaces = append(c.namespaces, fmt.Sprintf("bench-%02d", i))
	}
	m := &maker{corpus: c, r: rand.New(rand.NewPCG(2026, 11))}
	rest := n
	for i, s := range shares {
		share := n * s.percent / 100
		if i == len(shares)-1 {
			share = rest
		}
		s.make(m, share)
		rest -= share
	}
	return c
}

// choose returns so many namespaces that they hold about n objects; 0: all.
func (c *corpus) choose(n int) []string {
	if n <= 0 || n >= c.made.objects {
		return c.namespaces
	}
	k := (n*len(c.namespaces) + c.made.objects - 1) / c.made.objects
	return c.namespaces[:max(k, 1)]
}

// next is the namespace and the number of the next object.
func (m *maker) next() (string, int) {
	m.n++
	return m.namespaces[m.n%len(m.namespaces)], m.n
}

func (m *maker) add(wave int, i item) { m.waves[wave] = append(m.waves[wave], i) }

// between is a random number in [low, high).
func (m *maker) between(low, high int) int { return low + m.r.IntN(high-low) }

// manager is one of the programs that people manage their objects with.
func (m *maker) manager() string {
	return []string{"kubectl-client-side-apply", "helm", "helm", "argocd-controller", "terraform"}[m.r.IntN(5)]
}

func (m *maker) configMaps(n int) {
	t := object.Type{Version: "v1", Resource: "configmaps", Kind: "ConfigMap"}
	for range n {
		size := m.between(100, 1200)
		switch p := m.r.IntN(100); {
		case p >= 95:
			size = m.between(10_000, 50_000)
		case p >= 70:
			size = m.between(1500, 6500)
		}
		ns, i := m.next()
		data := map[string]any{}
		for part := range 1 + size/4000 {
			data[fmt.Sprintf("config-%d.yaml", part)] = m.prose(min(size, 4000))
		}
		m.add(first, item{t: t, manager: m.manager(), body: m.object(t, ns, fmt.Sprintf("config-%d", i), map[string]any{"data": data})})
	}
}

func (m *maker) secrets(n int) {
	t := object.Type{Version: "v1", Resource: "secrets", Kind: "Secret"}
	for k := range n {
		size, kind, key := m.between(500, 3000), "Opaque", "token"
		switch p := k % 50; { // not drawn: the few big ones decide about the size of the whole
		case p == 49:
			size, kind, key = m.between(100_000, 500_000), "helm.sh/release.v1", "release"
		case p >= 40:
			size = m.between(5000, 30_000)
		}
		ns, i := m.next()
		data := map[string]any{key: m.noise(size * 3 / 4)}
		if kind != "Opaque" { // Helm encodes its compressed releases itself, and the API once more
			data[key] = encode([]byte(m.noise(size * 9 / 16)))
		}
		o := m.object(t, ns, fmt.Sprintf("secret-%d", i), map[string]any{"data": data, "type": kind})
		m.add(first, item{t: t, manager: m.manager(), body: o})
	}
}

func (m *maker) accounts(n int) {
	accounts := object.Type{Version: "v1", Resource: "serviceaccounts", Kind: "ServiceAccount"}
	roles := object.Type{Group: "rbac.authorization.k8s.io", Version: "v1", Resource: "roles", Kind: "Role"}
	bindings := object.Type{Group: "rbac.authorization.k8s.io", Version: "v1", Resource: "rolebindings", Kind: "RoleBinding"}
	for k := range n {
		ns, i := m.next()
		name := fmt.Sprintf("account-%d", i)
		switch k % 4 {
		case 0, 1:
			m.add(first, item{t: accounts, manager: m.manager(), body: m.object(accounts, ns, name, map[string]any{})})
		case 2:
			rule := map[string]any{"apiGroups": []any{"", "apps"}, "resources": []any{"configmaps", "deployments"}, "verbs": []any{"get", "list", "watch"}}
			m.add(first, item{t: roles, manager: m.manager(), body: m.object(roles, ns, name, map[string]any{"rules": []any{rule}})})
		case 3:
			m.add(first, item{t: bindings, manager: m.manager(), body: m.object(bindings, ns, name, map[string]any{
				"roleRef":  map[string]any{"apiGroup": roles.Group, "kind": "Role", "name": "reader"},
				"subjects": []any{map[string]any{"kind": "ServiceAccount", "name": "default", "namespace": ns}},
			})})
		}
	}
}

func (m *maker) services(n int) {
	services := object.Type{Version: "v1", Resource: "services", Kind: "Service"}
	slices_ := object.Type{Group: "discovery.k8s.io", Version: "v1", Resource: "endpointslices", Kind: "EndpointSlice"}
	for k := range n {
		ns, i := m.next()
		name := fmt.Sprintf("service-%d", i)
		if k%2 == 0 {
			m.add(first, item{t: services, manager: m.manager(), body: m.object(services, ns, name, map[string]any{"spec": map[string]any{
				"selector": map[string]any{"app": name},
				"ports":    []any{map[string]any{"name": "http", "port": 80, "targetPort": 8080}, map[string]any{"name": "metrics", "port": 9090}},
			}})})
			continue
		}
		var endpoints []any
		for e := range m.between(1, 6) {
			endpoints = append(endpoints, map[string]any{"addresses": []any{fmt.Sprintf("10.%d.%d.%d", e, m.r.IntN(250), m.between(1, 250))}, "conditions": map[string]any{"ready": true}})
		}
		o := m.object(slices_, ns, name, map[string]any{"addressType": "IPv4", "endpoints": endpoints, "ports": []any{map[string]any{"name": "http", "port": 8080, "protocol": "TCP"}}})
		m.add(first, item{t: slices_, manager: m.manager(), body: o})
	}
}

// kindsFor spreads n custom resources over kinds, 20 of each, 30 kinds at most.
func kindsFor(n int) int { return min(max(n/customsPerKind, 1), customKinds) }

func (m *maker) customs(n int) {
	kinds := kindsFor(n)
	for k := range kinds {
		m.definitions = append(m.definitions, definition(k))
	}
	for range n {
		ns, i := m.next()
		k := i % kinds
		t := object.Type{Group: customGroup, Version: "v1", Resource: fmt.Sprintf("widget%ds", k), Kind: fmt.Sprintf("Widget%d", k)}
		var parts []any
		for p := range m.between(4, 20) {
			parts = append(parts, map[string]any{"name": fmt.Sprint("part-", p), "weight": p, "text": m.prose(200)})
		}
		o := m.object(t, ns, fmt.Sprintf("widget-%d", i), map[string]any{"spec": map[string]any{"parts": parts, "paused": false}})
		m.add(first, item{t: t, manager: m.manager(), body: o})
	}
}

const customGroup = "bench.example.com"

func definition(k int) map[string]any {
	plural, kind := fmt.Sprintf("widget%ds", k), fmt.Sprintf("Widget%d", k)
	open := map[string]any{"type": "object", "x-kubernetes-preserve-unknown-fields": true}
	return map[string]any{
		"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
		"metadata": map[string]any{"name": plural + "." + customGroup},
		"spec": map[string]any{
			"group": customGroup, "scope": "Namespaced",
			"names": map[string]any{"plural": plural, "singular": fmt.Sprint("widget", k), "kind": kind, "listKind": kind + "List"},
			"versions": []any{map[string]any{
				"name": "v1", "served": true, "storage": true,
				"schema": map[string]any{"openAPIV3Schema": map[string]any{"type": "object", "properties": map[string]any{"spec": open, "status": open}}},
			}},
		},
	}
}

// types are those of the corpus.
func (c *corpus) types() []object.Type {
	var types []object.Type
	for _, wave := range c.waves {
		for _, i := range wave {
			if !slices.ContainsFunc(types, func(t object.Type) bool { return t.GroupResource() == i.t.GroupResource() }) {
				types = append(types, i.t)
			}
		}
	}
	return types
}
