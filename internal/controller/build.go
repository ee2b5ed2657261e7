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
func build(m manager.Manager, name string) *builder.Builder { return several(m, name, 1) }

// lookers is the number of workers of controllers that wait for stores: one that hangs must not hold up the others.
const lookers = 4

// several begins a controller with some workers, none of which looks at the same object as another.
func several(m manager.Manager, name string, workers int) *builder.Builder {
	return builder.ControllerManagedBy(m).Named(name).WithOptions(controller.Options{MaxConcurrentReconciles: workers})
}

func sortedKeys[K cmp.Ordered, V any](m map[K]V) []K { return slices.Sorted(maps.Keys(m)) }
