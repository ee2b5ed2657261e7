// SPDX-License-Identifier: Apache-2.0

package restore

import (
	"context"
	"encoding/json"
	"fmt"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/scheme"

	"hozon.dev/hozon/internal/fail"
	"hozon.dev/hozon/internal/object"
	"hozon.dev/hozon/internal/plan/modify"
)

// loadModifiers reads the ConfigMap that the restore names, in the restore's namespace. The beginnings of the texts are Velero's.
func (r *run) loadModifiers(ctx context.Context) error {
	ref := r.restore.Spec.ResourceModifier
	if ref == nil {
		return nil
	}
	if ref.Kind != "ConfigMap" && ref.Kind != "configmap" {
		return fail.Errorf(fail.Invalid, "resource modifiers: %s %s; expected a ConfigMap", ref.Kind, ref.Name)
	}
	data, err := r.configMap(ctx, ref.Name)
	if fail.Is(err, fail.NotFound) {
		return fail.Errorf(fail.Invalid, "failed to get resource modifiers configmap %s/%s: %w", r.restore.Namespace, ref.Name, err)
	}
	if err != nil {
		return err
	}
	r.modifiers, err = modify.Parse(data, func(gvk schema.GroupVersionKind) (any, error) { return scheme.Scheme.New(gvk) })
	if err != nil {
		return fail.Errorf(fail.Invalid, "Error in parsing resource modifiers provided in configmap %s/%s: %w", r.restore.Namespace, ref.Name, err)
	}
	return nil
}

// configMap reads a ConfigMap in the restore's namespace.
func (r *run) configMap(ctx context.Context, name string) (map[string]string, error) {
	maps := object.Type{Version: "v1", Resource: "configmaps", Kind: "ConfigMap", Namespaced: true}
	body, err := r.Target.Get(ctx, maps, r.restore.Namespace, name)
	if err != nil {
		return nil, err
	}
	var cm struct{ Data map[string]string }
	if err := json.Unmarshal(body, &cm); err != nil {
		return nil, fmt.Errorf("read configmap %s/%s: %w", r.restore.Namespace, name, err)
	}
	return cm.Data, nil
}

// idleModifiers tells of rules that could change nothing.
func (r *run) idleModifiers() {
	if r.modifiers == nil {
		return
	}
	for _, text := range r.modifiers.Idle() {
		r.report.Warn("", "resource modifiers, ConfigMap %s/%s, %s", r.restore.Namespace, r.restore.Spec.ResourceModifier.Name, text)
	}
}
