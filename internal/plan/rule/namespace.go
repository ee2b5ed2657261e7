// SPDX-License-Identifier: Apache-2.0

package rule

import "k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

// transformNamespace gives the namespace its new name, in the label that the API server keeps, too.
func transformNamespace(o *unstructured.Unstructured, env Env, _ *Taken) error {
	to := env.Target(o.GetName())
	if to == o.GetName() {
		return nil
	}
	o.SetName(to)
	if labels := find(o.Object, "metadata", "labels"); labels["kubernetes.io/metadata.name"] != nil {
		labels["kubernetes.io/metadata.name"] = to
	}
	return nil
}
