// SPDX-License-Identifier: Apache-2.0

package apply

import (
	"context"
	"slices"
	"strings"
	"sync"

	"hozon.dev/hozon/internal/cluster"
	"hozon.dev/hozon/internal/object"
	"hozon.dev/hozon/internal/plan/rule"
)

var injectors = object.Type{Group: "admissionregistration.k8s.io", Version: "v1", Resource: "mutatingwebhookconfigurations", Kind: "MutatingWebhookConfiguration"}

// uninject takes out of a pod what a mesh has put into it, if the target has a mesh that does so again: twice is refused.
func (r *Run) uninject(ctx context.Context, w *work) {
	if w.t.Resource != "pods" || w.t.Group != "" {
		return
	}
	bare := w.obj.DeepCopy()
	if !rule.Uninject(bare) {
		return
	}
	r.mu.Lock()
	if r.injecting == nil {
		r.injecting = sync.OnceValue(func() bool { return r.hasInjector(ctx) })
	}
	ask := r.injecting
	r.mu.Unlock()
	if ask() {
		w.obj = bare
	}
}

// hasInjector looks for the webhooks of a mesh; where they cannot be seen, pods stay as they are.
func (r *Run) hasInjector(ctx context.Context) bool {
	page, err := r.o.Target.List(ctx, injectors, cluster.ListOptions{})
	if err != nil {
		return false
	}
	defer page.Close()
	found := false
	_, _ = object.Split(page, nil, func(item []byte) error {
		head, err := object.Scan(item)
		found = found || err == nil && slices.ContainsFunc(rule.Injectors, func(name string) bool { return strings.Contains(head.Name, name) })
		return nil
	})
	return found
}
