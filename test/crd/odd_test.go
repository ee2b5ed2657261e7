// SPDX-License-Identifier: Apache-2.0

package crd

import (
	"encoding/json"
	"strings"
	"testing"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"hozon.dev/hozon/internal/cluster"
)

// vary changes the values of an object that have no parts, by what the schema says of them.
func vary(s *apiextensionsv1.JSONSchemaProps, v any, change func(*apiextensionsv1.JSONSchemaProps, any) any) any {
	switch v := v.(type) {
	case []any:
		for i := range v {
			v[i] = vary(s.Items.Schema, v[i], change)
		}
	case tree:
		for name := range v {
			if p, ok := s.Properties[name]; ok {
				v[name] = vary(&p, v[name], change)
			}
		}
	default:
		return change(s, v)
	}
	return v
}

// dates, numbers and texts put one value in the place of every one of their sort.
func dates(text string) func(*apiextensionsv1.JSONSchemaProps, any) any {
	return func(s *apiextensionsv1.JSONSchemaProps, v any) any {
		if s.Format == "date-time" {
			return text
		}
		return v
	}
}

func numbers(text string) func(*apiextensionsv1.JSONSchemaProps, any) any {
	return func(s *apiextensionsv1.JSONSchemaProps, v any) any {
		if s.Type == "integer" {
			return json.Number(text)
		}
		return v
	}
}

func texts(s *apiextensionsv1.JSONSchemaProps, v any) any {
	if s.Type == "string" && s.Format == "" && len(s.Enum) == 0 {
		return "soon"
	}
	return v
}

func phases(s *apiextensionsv1.JSONSchemaProps, v any) any {
	if len(s.Enum) > 0 {
		return "Nonsense"
	}
	return v
}

// odd are values that nobody but a hand writes, and whether the definitions let them through: true, false, or nil where that differs from kind to kind.
var odd = map[string]struct {
	change func(*apiextensionsv1.JSONSchemaProps, any) any
	passes any
}{
	"small-t":         {dates("2026-11-20t12:36:21Z"), true},
	"small-z":         {dates("2026-11-20T12:36:21z"), true},
	"zone-of-99":      {dates("2026-11-20T12:36:21+00:99"), nil},
	"leap-second":     {dates("2026-11-20T23:59:60Z"), nil},
	"no-zone":         {dates("2026-11-20T12:36:21"), nil},
	"small-fraction":  {dates("2026-11-20t12:36:21.123456789012z"), nil},
	"year-0":          {dates("0000-01-01T00:00:00Z"), nil},
	"below-zero":      {numbers("-7"), nil},
	"largest":         {numbers("9223372036854775807"), nil},
	"too-large":       {numbers("9223372036854775808"), nil},
	"huge":            {numbers("1e30"), nil},
	"whole-but-float": {numbers("7.0"), nil},
	"no-duration":     {texts, true},
	"unknown-phase":   {phases, nil},
}

// TestOdd writes objects of each kind by hand, with values that cannot be. Whatever the API server takes, a list of the kind can be read.
func TestOdd(t *testing.T) {
	c, k := server(t)
	cfg, err := clientcmd.BuildConfigFromFlags("", c.Kubeconfig())
	if err != nil {
		t.Fatal(err)
	}
	types := scheme(t)
	reader, err := client.New(cfg, client.Options{Scheme: types})
	if err != nil {
		t.Fatal(err)
	}
	ns := c.Namespace(t)
	for kind, crd := range kinds(t) {
		s, version := crd.Spec.Versions[0].Schema.OpenAPIV3Schema, crd.Spec.Versions[0].Name
		taken := 0
		for name, v := range odd {
			o := vary(s, any(full(crd)), v.change).(tree)
			o["apiVersion"], o["kind"], o["metadata"] = crd.Spec.Group+"/"+version, kind, tree{"name": name}
			o["nonsense"] = tree{"a": "b"} // unknown fields
			o["spec"].(tree)["nonsense"] = json.Number("-1")
			_, err := k.Create(t.Context(), typeOf(crd), ns, encode(t, o), cluster.WriteOptions{})
			if err == nil {
				taken++
			}
			if passes, ok := v.passes.(bool); ok && passes != (err == nil) {
				t.Errorf("%s %s: %v", kind, name, err)
			}
		}
		list, err := types.New(schema.GroupVersionKind{Group: crd.Spec.Group, Version: version, Kind: kind + "List"})
		if err != nil {
			t.Fatal(err)
		}
		if err := reader.List(t.Context(), list.(client.ObjectList), client.InNamespace(ns)); err != nil {
			t.Errorf("%s cannot be listed: %v", kind, err)
			continue
		}
		items, err := apimeta.ExtractList(list)
		if err != nil || len(items) != taken {
			t.Errorf("%d of %d objects of kind %s are listed: %v", len(items), taken, kind, err)
		}
		for _, item := range items {
			text := string(encode(t, item))
			if strings.Contains(text, "2026-11-20t") || strings.Contains(text, "21z") {
				t.Errorf("%s is read with a date as it was: %s", kind, text)
			}
		}
	}
}
