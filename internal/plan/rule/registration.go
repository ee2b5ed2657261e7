// SPDX-License-Identifier: Apache-2.0

package rule

import (
	"encoding/json"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"hozon.dev/hozon/internal/object"
)

const automanaged = "kube-aggregator.kubernetes.io/automanaged"

func inspectDefinition(_ object.Ref, _ object.Head, body []byte, t *Traits) error {
	var crd struct {
		Spec struct {
			Group string `json:"group"`
			Names struct {
				Plural string `json:"plural"`
			} `json:"names"`
		} `json:"spec"`
	}
	if err := json.Unmarshal(body, &crd); err != nil {
		return err
	}
	t.More = &More{Defines: object.Ref{Group: crd.Spec.Group, Resource: crd.Spec.Names.Plural}.GroupResource()}
	return nil
}

func inspectAPIService(_ object.Ref, head object.Head, _ []byte, t *Traits) error {
	if _, ok := head.Label(automanaged); ok {
		t.Skip = "the API server makes it by itself"
	}
	return nil
}

// transformDefinition writes preserveUnknownFields, which v1 refuses, as what it means in every version's schema, and maps the
// namespace of a conversion webhook.
func transformDefinition(o *unstructured.Unstructured, env Env, _ *Taken) error {
	spec := find(o.Object, "spec")
	if service := find(spec, "conversion", "webhook", "clientConfig", "service"); service != nil {
		mapNamespace(service, env, "namespace")
	}
	if spec["preserveUnknownFields"] != true || o.GroupVersionKind().Version != "v1" {
		return nil
	}
	for _, v := range maps(spec, "versions") {
		if schema := find(v, "schema", "openAPIV3Schema"); schema != nil {
			schema["x-kubernetes-preserve-unknown-fields"] = true
		}
	}
	spec["preserveUnknownFields"] = false
	return nil
}

func transformAPIService(o *unstructured.Unstructured, env Env, _ *Taken) error {
	if service := find(o.Object, "spec", "service"); service != nil {
		mapNamespace(service, env, "namespace")
	}
	return nil
}

// transformWebhooks maps the namespaces of the Services behind the webhooks, and writes side effects that v1 does not
// allow any more as None, as Velero does.
func transformWebhooks(o *unstructured.Unstructured, env Env, _ *Taken) error {
	for _, w := range maps(o.Object, "webhooks") {
		if service := find(w, "clientConfig", "service"); service != nil {
			mapNamespace(service, env, "namespace")
		}
		if s := w["sideEffects"]; s != "None" && s != "NoneOnDryRun" {
			w["sideEffects"] = "None"
		}
	}
	return nil
}
