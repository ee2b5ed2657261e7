// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"text/template"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"hozon.dev/hozon/internal/object"
)

//go:embed sample/*.yaml
var sampleFiles embed.FS

// teams is how many namespaces are made of sample/team.yaml.
const teams = 6

// mark is the label of the sample's namespaces and cluster-scoped objects.
const mark = "demo=hozon"

// clusterKinds are the cluster-scoped kinds of the sample, but for the namespaces.
const clusterKinds = "crd,storageclass,priorityclass,ingressclass,clusterrole,clusterrolebinding,pv"

// namespaces are those of the sample.
func namespaces() []string {
	names := []string{"shop", "payments", "monitoring"}
	for i := range teams {
		names = append(names, fmt.Sprint("team-", i))
	}
	return names
}

// isSample reports whether an object of the cluster belongs to the sample.
func isSample(ref object.Ref, s state) bool {
	if ref.Namespace != "" {
		return slices.Contains(namespaces(), ref.Namespace)
	}
	key, value, _ := strings.Cut(mark, "=")
	v, _ := s.head.Label(key)
	return v == value
}

// sample makes the objects, the same ones at every call, in an order in which they can be created. An ownerReference
// has no uid yet.
func sample() ([]*unstructured.Unstructured, error) {
	templates, err := template.New("").Funcs(functions).Option("missingkey=error").ParseFS(sampleFiles, "sample/*.yaml")
	if err != nil {
		return nil, err
	}
	var all []*unstructured.Unstructured
	render := func(name string, data any) error {
		var text bytes.Buffer
		if err := templates.ExecuteTemplate(&text, name, data); err != nil {
			return err
		}
		objects, err := decode(text.String())
		if err != nil {
			return fmt.Errorf("sample %s: %w", name, err)
		}
		all = append(all, objects...)
		return nil
	}
	for _, name := range []string{"cluster.yaml", "shop.yaml", "payments.yaml", "monitoring.yaml"} {
		if err := render(name, nil); err != nil {
			return nil, err
		}
	}
	for i := range teams {
		if err := render("team.yaml", i); err != nil {
			return nil, err
		}
	}
	return all, nil
}

func decode(text string) ([]*unstructured.Unstructured, error) {
	var all []*unstructured.Unstructured
	for _, doc := range strings.Split(text, "\n---\n") {
		body, err := yaml.YAMLToJSON([]byte(doc))
		if err != nil {
			return nil, fmt.Errorf("%w in\n%s", err, doc)
		}
		o := &unstructured.Unstructured{}
		if err := o.UnmarshalJSON(body); err != nil {
			return nil, fmt.Errorf("%w in\n%s", err, doc)
		}
		all = append(all, o)
	}
	return all, nil
}

var functions = template.FuncMap{
	"split": strings.Fields,
	"count": count,
	"quote": func(s string) (string, error) { b, err := json.Marshal(s); return string(b), err },
	"indent": func(n int, s string) string {
		pad := strings.Repeat(" ", n)
		return pad + strings.ReplaceAll(s, "\n", "\n"+pad)
	},
	"base64":    func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) },
	"hex":       func(s string) string { return fmt.Sprintf("%x", sha256.Sum256([]byte(s))) },
	"noise":     noise,
	"lines":     lines,
	"dashboard": dashboard,
}

// count is 0 to n-1.
func count(n int) []int {
	all := make([]int, n)
	for i := range all {
		all[i] = i
	}
	return all
}

// random is a source that depends on seed alone.
func random(seed string) *rand.Rand { return rand.New(rand.NewChaCha8(sha256.Sum256([]byte(seed)))) }

// noise is base64 of so many KiB that no compressor makes smaller.
func noise(seed string, kib int) string {
	source := rand.NewChaCha8(sha256.Sum256([]byte(seed)))
	data := make([]byte, kib<<10)
	_, _ = source.Read(data) // never fails
	return base64.StdEncoding.EncodeToString(data)
}

// lines are n lines of text as configuration has it.
func lines(seed string, n int) string {
	r := random(seed)
	words := strings.Fields("timeout retry upstream cache limit region account ledger shard replica buffer window policy burst token")
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "%s.%s.%d=%d", words[r.IntN(len(words))], words[r.IntN(len(words))], i, r.IntN(100000))
		if i < n-1 {
			b.WriteByte('\n')
		}
	}
	return b.String()
}

// dashboard is JSON as Grafana exports it, with some panels.
func dashboard(n int) (string, error) {
	r := random(fmt.Sprint("dashboard", n))
	var panels []any
	for i := range 4 + n {
		panels = append(panels, map[string]any{
			"id": i, "type": "timeseries", "title": fmt.Sprintf("Latency of shard %d", r.IntN(64)),
			"gridPos":     map[string]any{"h": 8, "w": 12, "x": 12 * (i % 2), "y": 8 * (i / 2)},
			"fieldConfig": map[string]any{"defaults": map[string]any{"unit": "s", "thresholds": map[string]any{"mode": "absolute"}}},
			"targets":     []any{map[string]any{"refId": "A", "expr": fmt.Sprintf("histogram_quantile(0.%d, sum by (le) (rate(request_seconds_bucket[5m])))", 50+r.IntN(50))}},
		})
	}
	text, err := json.MarshalIndent(map[string]any{"title": fmt.Sprint("Service ", n), "schemaVersion": 39, "panels": panels}, "", "  ")
	return string(text), err
}
