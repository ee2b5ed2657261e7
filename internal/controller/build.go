// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"cmp"
	"maps"
	"slices"

	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/manager"
)

// build begins a controller with one worker: its reconciliations never run side by side.
func build(m manager.Manager, name string) *builder.Builder {
	return builder.ControllerManagedBy(m).Named(name).WithOptions(controller.Options{MaxConcurrentReconciles: 1})
}

func sortedKeys[K cmp.Ordered, V any](m map[K]V) []K { return slices.Sorted(maps.Keys(m)) }
