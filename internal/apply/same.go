// SPDX-License-Identifier: Apache-2.0

package apply

import (
	"reflect"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// same reports whether the live object is in the wanted state.
func same(want, live *unstructured.Unstructured) bool {
	return reflect.DeepEqual(want.Object, live.Object)
}

// generated reports whether the target makes the object by itself.
func generated(o *unstructured.Unstructured) bool { return false }
