// SPDX-License-Identifier: Apache-2.0

// Package law holds the laws that hold for every cluster and every request, tried on random ones: what is restored from
// a backup equals what was backed up, and restoring it again changes nothing. A failing seed is printed; HOZON_SEED repeats it.
package law

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
)

// thing is one random object: its manifest and what a request can choose it by.
type thing struct {
	resource  string // "configmaps", "deployments.apps"
	namespace string // "": cluster-scoped
	name      string
	labels    map[string]string
	object    map[string]any
}

func (t thing) id() string { return t.resource + "|" + t.namespace + "|" + t.name }

// world is a random set of namespaces and objects. Its names begin with a prefix of their own, so that several fit into one cluster.
type world struct {
	rng        *rand.Rand
	prefix     string
	namespaces []string
	things     []thing
}

// maker makes the spec part of a random object of one kind.
type maker struct {
	resource, apiVersion, kind string
	body                       func(w *world, name string) map[string]any
}

var makers = []maker{
	{"configmaps", "v1", "ConfigMap", func(w *world, _ string) map[string]any {
		return map[string]any{"data": w.strings(6), "immutable": w.rng.IntN(5) == 0}
	}},
	{"secrets", "v1", "Secret", func(w *world, _ string) map[string]any {
		return map[string]any{"stringData": w.strings(3), "type": "Opaque"}
	}},
	{"serviceaccounts", "v1", "ServiceAccount", func(w *world, _ string) map[string]any {
		return map[string]any{"imagePullSecrets": []any{map[string]any{"name": w.word()}}}
	}},
	{"services", "v1", "Service", func(w *world, _ string) map[string]any {
		spec := map[string]any{"ports": []any{map[string]any{"name": "p", "port": 1 + w.rng.IntN(60000)}}, "selector": w.strings(2)}
		if w.rng.IntN(3) == 0 {
			spec["clusterIP"] = "None"
		}
		return map[string]any{"spec": spec}
	}},
	{"deployments.apps", "apps/v1", "Deployment", func(w *world, name string) map[string]any { return map[string]any{"spec": w.workload(name)} }},
	{"roles.rbac.authorization.k8s.io", "rbac.authorization.k8s.io/v1", "Role", func(w *world, _ string) map[string]any {
		return map[string]any{"rules": []any{map[string]any{"apiGroups": []any{""}, "resources": []any{w.word()}, "verbs": []any{"get"}}}}
	}},
	{"rolebindings.rbac.authorization.k8s.io", "rbac.authorization.k8s.io/v1", "RoleBinding", func(w *world, _ string) map[string]any {
		return map[string]any{
			"roleRef":  map[string]any{"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": w.word()},
			"subjects": []any{map[string]any{"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": w.word()}},
		}
	}},
	{"networkpolicies.networking.k8s.io", "networking.k8s.io/v1", "NetworkPolicy", func(w *world, _ string) map[string]any {
		return map[string]any{"spec": map[string]any{"podSelector": map[string]any{"matchLabels": w.strings(2)}, "policyTypes": []any{"Ingress"}}}
	}},
	{"persistentvolumeclaims", "v1", "PersistentVolumeClaim", func(w *world, _ string) map[string]any {
		return map[string]any{"spec": map[string]any{
			"accessModes": []any{"ReadWriteOnce"}, "storageClassName": w.word(),
			"resources": map[string]any{"requests": map[string]any{"storage": fmt.Sprintf("%dMi", 1+w.rng.IntN(900))}},
		}}
	}},
	{"poddisruptionbudgets.policy", "policy/v1", "PodDisruptionBudget", func(w *world, _ string) map[string]any {
		return map[string]any{"spec": map[string]any{"minAvailable": w.rng.IntN(3), "selector": map[string]any{"matchLabels": w.strings(1)}}}
	}},
	{"cronjobs.batch", "batch/v1", "CronJob", func(w *world, name string) map[string]any {
		pod := w.workload(name)["template"].(map[string]any)["spec"].(map[string]any)
		pod["restartPolicy"] = "Never"
		return map[string]any{"spec": map[string]any{"schedule": "0 1 * * *", "suspend": w.rng.IntN(2) == 0,
			"jobTemplate": map[string]any{"spec": map[string]any{"template": map[string]any{"spec": pod}}}}}
	}},
	{"gadgets.law.example.com", "law.example.com/v1", "Gadget", func(w *world, _ string) map[string]any {
		spec := map[string]any{"size": w.rng.IntN(1 << 40), "ratio": float64(w.rng.IntN(1000)) / 8, "tags": w.strings(3), "nested": w.tree(3)}
		maps.Copy(spec, w.defaulted())
		return map[string]any{"spec": spec}
	}},
}

// clusterMakers are those of cluster-scoped kinds.
var clusterMakers = []maker{
	{"clusterroles.rbac.authorization.k8s.io", "rbac.authorization.k8s.io/v1", "ClusterRole", func(w *world, _ string) map[string]any {
		return map[string]any{"rules": []any{map[string]any{"apiGroups": []any{w.word()}, "resources": []any{w.word()}, "verbs": []any{"list"}}}}
	}},
	{"priorityclasses.scheduling.k8s.io", "scheduling.k8s.io/v1", "PriorityClass", func(w *world, _ string) map[string]any {
		return map[string]any{"value": w.rng.IntN(1_000_000), "description": w.text()}
	}},
	{"storageclasses.storage.k8s.io", "storage.k8s.io/v1", "StorageClass", func(w *world, _ string) map[string]any {
		return map[string]any{"provisioner": w.word() + ".example.com", "parameters": w.strings(2)}
	}},
}

// newWorld makes a world of about size objects.
func newWorld(seed uint64, prefix string, size int) *world {
	w := &world{rng: rand.New(rand.NewPCG(seed, 1)), prefix: prefix}
	for i := range 1 + w.rng.IntN(4) {
		w.namespaces = append(w.namespaces, fmt.Sprintf("%s-%c", prefix, 'a'+rune(i)))
	}
	for i := range size {
		list, namespace := makers, w.namespaces[w.rng.IntN(len(w.namespaces))]
		if w.rng.IntN(12) == 0 {
			list, namespace = clusterMakers, ""
		}
		w.add(list[w.rng.IntN(len(list))], namespace, fmt.Sprintf("%s-%s-%d", prefix, w.word(), i))
	}
	return w
}

func (w *world) add(m maker, namespace, name string) {
	t := thing{resource: m.resource, namespace: namespace, name: name, labels: w.labels()}
	meta := map[string]any{"name": name, "labels": anyMap(t.labels)}
	if namespace != "" {
		meta["namespace"] = namespace
	}
	if w.rng.IntN(3) == 0 {
		meta["annotations"] = map[string]any{"note": w.text()}
	}
	t.object = map[string]any{"apiVersion": m.apiVersion, "kind": m.kind, "metadata": meta}
	maps.Copy(t.object, m.body(w, name))
	w.things = append(w.things, t)
}

func (w *world) labels() map[string]string {
	labels := map[string]string{"law": w.prefix}
	for _, key := range []string{"tier", "app"} {
		if w.rng.IntN(2) == 0 {
			labels[key] = w.oneOf("front", "back", "db")
		}
	}
	if w.rng.IntN(15) == 0 {
		labels["velero.io/exclude-from-backup"] = w.oneOf("true", "false")
	}
	return labels
}

func (w *world) oneOf(choices ...string) string { return choices[w.rng.IntN(len(choices))] }

func (w *world) word() string {
	return w.oneOf("alder", "birch", "cedar", "elm", "fir", "hazel", "larch", "maple", "oak", "pine")
}

// text is a string with what JSON, tar and labels of people trip over.
func (w *world) text() string {
	parts := []string{"保存", "a\"b\\c", "<html>&", "line\nfeed", "\u2028", `{"kind":"Trap","metadata":{"name":"no"}}`, "tab\t", "é", "😀", strings.Repeat("x", w.rng.IntN(3000))}
	var b strings.Builder
	for range 1 + w.rng.IntN(4) {
		b.WriteString(parts[w.rng.IntN(len(parts))])
	}
	return b.String()
}

func (w *world) strings(n int) map[string]any {
	m := map[string]any{}
	for range 1 + w.rng.IntN(n) {
		m[w.word()] = w.word()
	}
	if n > 2 && w.rng.IntN(2) == 0 {
		m["text"] = w.text()
	}
	return m
}

func (w *world) tree(depth int) any {
	if depth == 0 {
		return w.text()
	}
	m := map[string]any{}
	for range w.rng.IntN(4) {
		m[w.word()] = w.tree(depth - 1)
	}
	return m
}

func (w *world) workload(name string) map[string]any {
	labels := map[string]any{"run": name}
	return map[string]any{
		"replicas": w.rng.IntN(5), "selector": map[string]any{"matchLabels": labels},
		"template": map[string]any{"metadata": map[string]any{"labels": labels}, "spec": map[string]any{
			"containers": []any{map[string]any{"name": "c", "image": w.word() + ":1", "env": []any{map[string]any{"name": "TEXT", "value": w.text()}}}},
		}},
	}
}

// defaulted are fields that have defaults in the definition of a Gadget: some are there, some of these with the default's value.
func (w *world) defaulted() map[string]any {
	m := map[string]any{}
	if w.rng.IntN(2) == 0 {
		m["mode"] = w.oneOf("auto", "manual")
	}
	if w.rng.IntN(2) == 0 {
		limits := map[string]any{}
		for _, key := range []string{"low", "high"} {
			if w.rng.IntN(2) == 0 {
				limits[key] = []any{1, 9, 5}[w.rng.IntN(3)]
			}
		}
		m["limits"] = limits
	}
	var parts []any
	for range w.rng.IntN(4) {
		part := map[string]any{"head": w.oneOf("hex", "flat")}
		if w.rng.IntN(2) == 0 {
			part["size"] = 8 + w.rng.IntN(2)
		}
		parts = append(parts, part)
	}
	if len(parts) > 0 {
		m["parts"] = parts
	}
	return m
}

func anyMap(m map[string]string) map[string]any {
	out := map[string]any{}
	for _, k := range slices.Sorted(maps.Keys(m)) {
		out[k] = m[k]
	}
	return out
}
