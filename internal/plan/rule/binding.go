// SPDX-License-Identifier: Apache-2.0

package rule

import "k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

// transformBinding maps the namespaces of the subjects. A namespace that is not restored keeps its name, as does one that the mapping leaves out.
func transformBinding(o *unstructured.Unstructured, env Env, _ *Taken) error {
	for _, s := range maps(o.Object, "subjects") {
		mapNamespace(s, env, "namespace")
	}
	return nil
}
