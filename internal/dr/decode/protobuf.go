// SPDX-License-Identifier: Apache-2.0

package decode

import (
	"encoding/json"
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"
	apiextensionsv1beta1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1beta1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// protobufMark is in front of every value in Kubernetes' protobuf; a runtime.Unknown follows.
const protobufMark = "k8s\x00"

// maxNesting bounds how deep messages lie in each other. Only the schemas of custom resources have no bound of their own, and the
// decoder's stack grows with it.
const maxNesting = 400

// message is what every generated type of Kubernetes can do.
type message interface{ Unmarshal([]byte) error }

func (d *Decoder) fromProtobuf(b []byte, revision string) (o Object, reason string) {
	var envelope runtime.Unknown
	if err := envelope.Unmarshal(b); err != nil {
		return o, "the protobuf envelope is damaged"
	}
	if envelope.ContentEncoding != "" || (envelope.ContentType != "" && envelope.ContentType != runtime.ContentTypeProtobuf) {
		return o, fmt.Sprintf("stored as %.40q %.40q, which is not read", envelope.ContentType, envelope.ContentEncoding)
	}
	gvk := schema.FromAPIVersionAndKind(envelope.APIVersion, envelope.Kind)
	obj, err := d.scheme.New(gvk)
	if err != nil {
		return o, fmt.Sprintf("protobuf of %.100s %.100s, a kind that this program does not know", envelope.APIVersion, envelope.Kind)
	}
	m, ok := obj.(message)
	if !ok {
		return o, fmt.Sprintf("%s %s has no protobuf form", envelope.APIVersion, envelope.Kind)
	}
	if deeper(envelope.Raw, maxNesting) {
		return o, fmt.Sprintf("nested more than %d levels deep", maxNesting)
	}
	if err := m.Unmarshal(envelope.Raw); err != nil {
		return o, "the protobuf is damaged"
	}
	if definition, ok := obj.(*apiextensionsv1beta1.CustomResourceDefinition); ok {
		return d.definition(definition, revision)
	}
	addDefaults(obj)
	return encode(obj, gvk, revision)
}

// encode writes an object as an API server does.
func encode(obj runtime.Object, gvk schema.GroupVersionKind, revision string) (o Object, reason string) {
	accessor, err := meta.Accessor(obj)
	if err != nil {
		return o, "not an object with metadata"
	}
	obj.GetObjectKind().SetGroupVersionKind(gvk)
	accessor.SetResourceVersion(revision)
	if o.Body, err = json.Marshal(obj); err != nil {
		return o, "cannot be written as JSON"
	}
	plural, _ := meta.UnsafeGuessKindToResource(gvk)
	o.Type = typeOf(gvk, plural.Resource, accessor.GetNamespace())
	o.Ref = o.Type.Ref(accessor.GetNamespace(), accessor.GetName())
	return o, ""
}

// deeper says whether something that could be a message has more than left levels of what could be messages inside. Text is rarely taken for
// one, and never for many in each other.
func deeper(b []byte, left int) bool {
	for len(b) > 0 {
		number, kind, n := protowire.ConsumeTag(b)
		if n < 0 {
			return false
		}
		b = b[n:]
		if kind != protowire.BytesType {
			if n = protowire.ConsumeFieldValue(number, kind, b); n < 0 {
				return false
			}
			b = b[n:]
			continue
		}
		inner, n := protowire.ConsumeBytes(b)
		if n < 0 {
			return false
		}
		if left == 0 || deeper(inner, left-1) {
			return true
		}
		b = b[n:]
	}
	return false
}
