// SPDX-License-Identifier: Apache-2.0

package decode

import (
	"encoding/json"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apiextensionsv1beta1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1beta1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"hozon.dev/hozon/internal/object"
)

// defaulted are the kinds for which API servers add something whenever they read: what they clear on creation after the defaults were set,
// or set on creation after that. Everything else that has a default was stored with it.
var defaulted = map[schema.GroupVersionKind]bool{
	corev1.SchemeGroupVersion.WithKind("PersistentVolume"):      true,
	corev1.SchemeGroupVersion.WithKind("PersistentVolumeClaim"): true,
	batchv1.SchemeGroupVersion.WithKind("Job"):                  true,
}

func addDefaults(obj runtime.Object) {
	switch o := obj.(type) {
	case *corev1.PersistentVolumeClaim:
		if o.Status.Phase == "" {
			o.Status.Phase = corev1.ClaimPending
		}
	case *corev1.PersistentVolume:
		if o.Status.Phase == "" {
			o.Status.Phase = corev1.VolumePending
		}
	case *batchv1.Job:
		if len(o.Labels) == 0 {
			o.Labels = o.Spec.Template.Labels
		}
	}
}

// typed takes an object that is stored as JSON through its type.
func (d *Decoder) typed(body []byte, gvk schema.GroupVersionKind, revision string) (o Object, reason string) {
	obj, err := d.scheme.New(gvk)
	if err == nil {
		err = json.Unmarshal(body, obj)
	}
	if err != nil {
		return o, "the JSON does not fit its kind"
	}
	addDefaults(obj)
	return encode(obj, gvk, revision)
}

// storedDefinition is what API servers store the definitions of custom resources as, to this day; they serve v1 alone.
var storedDefinition = apiextensionsv1beta1.SchemeGroupVersion.WithKind("CustomResourceDefinition")

// fromDefinition takes a definition, which is stored as JSON, and makes it the one that is served.
func (d *Decoder) fromDefinition(body []byte, revision string) (o Object, reason string) {
	var stored apiextensionsv1beta1.CustomResourceDefinition
	if err := json.Unmarshal(body, &stored); err != nil {
		return o, "the JSON does not fit its kind"
	}
	return d.definition(&stored, revision)
}

func (d *Decoder) definition(stored *apiextensionsv1beta1.CustomResourceDefinition, revision string) (o Object, reason string) {
	d.scheme.Default(stored)
	served := apiextensionsv1.SchemeGroupVersion.WithKind(storedDefinition.Kind)
	var obj runtime.Object = stored
	var err error
	for _, gv := range []schema.GroupVersion{apiextensions.SchemeGroupVersion, served.GroupVersion()} {
		if obj, err = d.scheme.UnsafeConvertToVersion(obj, gv); err != nil {
			break
		}
	}
	if err != nil {
		return o, "cannot be converted to " + served.GroupVersion().String()
	}
	return encode(obj, served, revision)
}

func typeOf(gvk schema.GroupVersionKind, resource, namespace string) object.Type {
	return object.Type{Group: gvk.Group, Version: gvk.Version, Kind: gvk.Kind, Resource: resource, Namespaced: namespace != "", Preferred: true}
}
