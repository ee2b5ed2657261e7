// SPDX-License-Identifier: Apache-2.0

package manifest

import (
	"encoding/json"
	"slices"

	utiljson "k8s.io/apimachinery/pkg/util/json"

	"hozon.dev/hozon/internal/fail"
)

// A Schema knows the defaults of one version of a custom kind. nil knows none.
type Schema struct{ root *field }

// field is the part of a schema that tells of defaults.
type field struct {
	Properties map[string]*field
	Items      *field // of a list
	Values     *field `json:"-"` // of a map, decoded from Additional
	Required   []string
	Keys       []string `json:"x-kubernetes-list-map-keys"`
	ListType   string   `json:"x-kubernetes-list-type"`
	MapType    string   `json:"x-kubernetes-map-type"`
	Embedded   bool     `json:"x-kubernetes-embedded-resource"`
	Default    json.RawMessage
	Additional json.RawMessage `json:"additionalProperties"` // a schema, or a boolean

	value any // of Default, without defaults of its own; nil: there is none
}

// ReadSchema reads a CustomResourceDefinition. A version that it does not have, or that has no defaults, gives nil.
func ReadSchema(definition []byte, version string) (*Schema, error) {
	var crd struct {
		Spec struct {
			Versions []struct {
				Name   string
				Schema struct{ OpenAPIV3Schema *field }
			}
		}
	}
	if err := json.Unmarshal(definition, &crd); err != nil {
		return nil, fail.Errorf(fail.Invalid, "read the schema of a definition: %w", err)
	}
	for _, v := range crd.Spec.Versions {
		root := v.Schema.OpenAPIV3Schema
		if v.Name != version || root == nil {
			continue
		}
		for _, key := range []string{"apiVersion", "kind", "metadata", "status"} {
			delete(root.Properties, key)
		}
		found, err := root.prepare()
		if err != nil || !found {
			return nil, err
		}
		return &Schema{root}, nil
	}
	return nil, nil
}

// prepare decodes the defaults and reports whether there are any. What is below an embedded object is that object's business; what server-side
// apply compares and replaces as a whole must stay as it is, or it is a conflict with whoever wrote it.
func (f *field) prepare() (found bool, err error) {
	if f.Embedded || f.MapType == "atomic" {
		f.Properties, f.Additional = nil, nil
	}
	if f.ListType != "map" {
		f.Items = nil
	}
	var any bool
	if len(f.Additional) > 0 && json.Unmarshal(f.Additional, &any) != nil {
		f.Values = new(field)
		if err := json.Unmarshal(f.Additional, f.Values); err != nil {
			return false, fail.Errorf(fail.Invalid, "read the schema of a definition: %w", err)
		}
	}
	for _, below := range f.below() {
		some, err := below.prepare()
		if err != nil {
			return false, err
		}
		found = found || some
	}
	if f.Items != nil {
		f.Items.Required = append(slices.Clone(f.Items.Required), f.Keys...)
	}
	if len(f.Default) == 0 {
		return found, nil
	}
	if err := utiljson.Unmarshal(f.Default, &f.value); err != nil {
		return false, fail.Errorf(fail.Invalid, "read a default of a definition: %w", err)
	}
	f.drop(f.value)
	return true, nil
}

func (f *field) below() []*field {
	var list []*field
	for _, p := range f.Properties {
		list = append(list, p)
	}
	for _, p := range []*field{f.Items, f.Values} {
		if p != nil {
			list = append(list, p)
		}
	}
	return list
}

// Drop leaves out of a custom object what the API server would fill in again. What the schema requires, and what tells the elements of a list
// apart, is left in: tools that do not know defaults ask for it.
func (s *Schema) Drop(o map[string]any) {
	if s != nil {
		s.root.drop(o)
	}
}

// drop goes from the inside out: a default is compared without the defaults in it, as the server fills it in and then fills it up.
func (f *field) drop(v any) {
	switch v := v.(type) {
	case map[string]any:
		for key, value := range v {
			p, named := f.Properties[key]
			if !named {
				p = f.Values
			}
			if p == nil {
				continue
			}
			p.drop(value)
			if named && p.value != nil && equal(value, p.value) && !slices.Contains(f.Required, key) {
				delete(v, key)
			}
		}
	case []any:
		if f.Items == nil {
			return
		}
		for _, e := range v {
			f.Items.drop(e)
		}
	}
}
