// SPDX-License-Identifier: Apache-2.0

package object

import "strings"

const tokenType = "kubernetes.io/service-account-token"

var accessRules = []Rule{
	{ID: "token-secret", Kinds: "Secret", Field: "of type " + tokenType + ": data.token, data.ca.crt, annotation kubernetes.io/service-account.uid",
		Why: "issued by the cluster", apply: each(func(o map[string]any) {
			if o["type"] == tokenType {
				dropKeys(o, "data", "token", "ca.crt")
				dropKeys(o, "metadata.annotations", "kubernetes.io/service-account.uid")
			}
		})},
	{ID: "token-use", Kinds: "Secret", Field: "labels kubernetes.io/legacy-token-last-used, legacy-token-invalid-since", Why: "set by controllers",
		apply: dropsKeys("metadata.labels", "kubernetes.io/legacy-token-last-used", "kubernetes.io/legacy-token-invalid-since")},
	{ID: "account-secrets", Kinds: "ServiceAccount", Field: "secrets and imagePullSecrets named <account>-token-* or <account>-dockercfg-*", Why: "made by controllers",
		apply: each(dropAccountSecrets)},
	{ID: "namespace", Kinds: "Namespace", Field: "spec.finalizers, label kubernetes.io/metadata.name", Why: "set by the API server",
		apply: all(drops("spec.finalizers"), dropsKeys("metadata.labels", "kubernetes.io/metadata.name"))},
	{ID: "root-ca", Kinds: "ConfigMap", Field: "kube-root-ca.crt: data, annotation kubernetes.io/description", Why: "the cluster's own certificate",
		apply: each(func(o map[string]any) {
			if str(o, "metadata.name") == "kube-root-ca.crt" {
				delete(o, "data")
				dropKeys(o, "metadata.annotations", "kubernetes.io/description")
			}
		})},
	{ID: "aggregated-role", Kinds: "ClusterRole.rbac.authorization.k8s.io", Field: "rules, if both sides have an aggregationRule", Why: "collected by a controller",
		apply: func(a, b map[string]any) {
			if a["aggregationRule"] != nil && b["aggregationRule"] != nil {
				drops("rules")(a, b)
			}
		}},
}

func dropAccountSecrets(o map[string]any) {
	name := str(o, "metadata.name")
	for _, list := range []string{"secrets", "imagePullSecrets"} {
		keep(o, list, func(e any) bool {
			m, _ := e.(map[string]any)
			secret := str(m, "name")
			return !strings.HasPrefix(secret, name+"-token-") && !strings.HasPrefix(secret, name+"-dockercfg-")
		})
	}
}
