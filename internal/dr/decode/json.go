// SPDX-License-Identifier: Apache-2.0

package decode

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"hozon.dev/hozon/internal/object"
)

// fromJSON takes custom resources, and everything of API servers that store JSON. The bytes stay as they are for nearly all kinds, but for the
// resourceVersion, which is not stored and is put in front of the metadata.
func (d *Decoder) fromJSON(rest string, body []byte, revision string) (o Object, reason string) {
	head, err := object.Scan(body)
	if err != nil {
		return o, "the JSON is damaged"
	}
	gv, err := schema.ParseGroupVersion(head.APIVersion)
	if err != nil || gv.Version == "" || head.Kind == "" || head.Metadata == nil {
		return o, "JSON without apiVersion, kind or metadata"
	}
	gvk := gv.WithKind(head.Kind)
	if gvk == storedDefinition {
		return d.fromDefinition(body, revision)
	}
	if defaulted[gvk] {
		return d.typed(body, gvk, revision)
	}
	plural, _ := meta.UnsafeGuessKindToResource(gvk)
	resource := plural.Resource
	if parts := strings.SplitN(rest, "/", 3); len(parts) == 3 && parts[0] == gv.Group {
		resource = parts[1]
	}
	o.Type = typeOf(gvk, strings.Clone(resource), head.Namespace)
	o.Ref = o.Type.Ref(strings.Clone(head.Namespace), strings.Clone(head.Name))
	if o.Body, err = withRevision(body, head, revision); err != nil {
		return o, "the JSON's metadata is damaged"
	}
	return o, ""
}

// withRevision puts the resourceVersion into the metadata.
func withRevision(body []byte, head object.Head, revision string) ([]byte, error) {
	body = bytes.TrimRight(body, " \r\n\t")
	if head.ResourceVersion != "" { // kept by an API server that stores it; the key's revision counts
		return rewritten(body, revision)
	}
	at := placeOf(body, head.Metadata)
	field := fmt.Sprintf(`{"resourceVersion":%q`, revision)
	if inner := bytes.TrimLeft(head.Metadata[1:], " \r\n\t"); inner[0] != '}' {
		field += ","
	}
	out := make([]byte, 0, len(body)+len(field))
	out = append(out, body[:at]...)
	out = append(out, field...)
	return append(out, body[at+1:]...), nil
}

// placeOf is where part, which is a piece of body, begins; the same text may be there before.
func placeOf(body, part []byte) int {
	at := 0
	for at += bytes.Index(body[at:], part); &body[at] != &part[0]; {
		at++
		at += bytes.Index(body[at:], part)
	}
	return at
}

// rewritten decodes and encodes the whole object.
func rewritten(body []byte, revision string) ([]byte, error) {
	var o map[string]any
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	if err := d.Decode(&o); err != nil {
		return nil, err
	}
	metadata, ok := o["metadata"].(map[string]any)
	if !ok {
		return nil, fmt.Errorf("no metadata")
	}
	metadata["resourceVersion"] = revision
	return json.Marshal(o)
}
