// SPDX-License-Identifier: Apache-2.0

package rule

import (
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// Domain is what the API groups of one vendor share: the last two parts of a group, or of a finalizer's name before the slash. "" if it is Kubernetes' own, or none.
func Domain(name string) string {
	name, _, _ = strings.Cut(name, "/")
	parts := strings.Split(name, ".")
	if len(parts) < 2 {
		return ""
	}
	domain := strings.Join(parts[len(parts)-2:], ".")
	if domain == "kubernetes.io" || domain == "k8s.io" {
		return ""
	}
	return domain
}

// finalizers warns of those of which the target does not seem to have the controller. They stay: a controller may serve no API, and what it has to clean up may be there.
func finalizers(o *unstructured.Unstructured, env Env, t *Taken) {
	if env.Domains == nil {
		return
	}
	for _, f := range o.GetFinalizers() {
		if domain := Domain(f); domain != "" && !env.Domains[domain] {
			t.Created = append(t.Created, fmt.Sprintf("its finalizer %s: the target serves no API of %s, so that there may be no controller to take it away, and the object cannot be deleted until somebody does; "+
				"a resource modifier can leave it out", f, domain))
		}
	}
}
