// SPDX-License-Identifier: Apache-2.0

package crd

import (
	"encoding/json"
	"testing"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"

	velerov1 "hozon.dev/hozon/api/velero/v1"
)

// full is an object of a kind in which every field of the schema has a value that is not its zero.
func full(crd apiextensionsv1.CustomResourceDefinition) tree {
	s := crd.Spec.Versions[0].Schema.OpenAPIV3Schema
	o := sample(s).(tree)
	o["apiVersion"], o["kind"] = velerov1.Group+"/"+crd.Spec.Versions[0].Name, crd.Spec.Names.Kind
	o["metadata"] = tree{"name": "full"}
	return o
}

func sample(s *apiextensionsv1.JSONSchemaProps) any {
	switch s.Type {
	case "string":
		return sampleText(s)
	case "integer":
		return json.Number("7")
	case "boolean":
		return true
	case "array":
		return []any{sample(s.Items.Schema)}
	}
	o := tree{}
	for name, p := range s.Properties {
		o[name] = sample(&p)
	}
	if s.AdditionalProperties != nil {
		o["key"] = sample(s.AdditionalProperties.Schema)
	}
	if s.XPreserveUnknownFields != nil && *s.XPreserveUnknownFields {
		o["anything"] = tree{"at": []any{"all"}}
	}
	return o
}

// sampleText is a value that passes for a duration as well as for a name, since the schema does not tell them apart.
func sampleText(s *apiextensionsv1.JSONSchemaProps) string {
	switch {
	case len(s.Enum) > 0:
		var first string
		if err := json.Unmarshal(s.Enum[0].Raw, &first); err != nil {
			panic(err)
		}
		return first
	case s.Format == "date-time":
		return "2026-11-20T12:36:21Z"
	case s.Format == "byte":
		return "LS0tLS1CRUdJTg=="
	}
	return "1h30m0s"
}

func TestSampleIsFull(t *testing.T) {
	for kind, crd := range kinds(t) {
		for where, s := range fields(crd.Spec.Versions[0].Schema.OpenAPIV3Schema, "") {
			if s.Type == "object" && s.Properties == nil && s.AdditionalProperties == nil && s.XPreserveUnknownFields == nil &&
				where != ".metadata" && !(kind == "ServerStatusRequest" && where == ".spec") {
				t.Errorf("%s: %s is an object without fields", kind, where)
			}
		}
	}
}
