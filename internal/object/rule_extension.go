// SPDX-License-Identifier: Apache-2.0

package object

import "strings"

var extensionRules = []Rule{
	{ID: "crd-defaults", Kinds: "CustomResourceDefinition.apiextensions.k8s.io", Field: "spec.conversion {strategy: None}, spec.names.listKind and singular as derived from kind, spec.preserveUnknownFields false",
		Why: "defaults", apply: each(dropDefinitionDefaults)},
}

func dropDefinitionDefaults(o map[string]any) {
	if c, ok := get(o, "spec.conversion").(map[string]any); ok && len(c) == 1 && c["strategy"] == "None" {
		drop(o, []string{"spec", "conversion"})
	}
	kind := str(o, "spec.names.kind")
	defaults("spec.names.listKind", kind+"List")(o, o)
	defaults("spec.names.singular", strings.ToLower(kind))(o, o)
	defaults("spec.preserveUnknownFields", false)(o, o)
}
