// SPDX-License-Identifier: Apache-2.0

package object

import "strings"

var podRules = []Rule{
	{ID: "pod-node", Kinds: "Pod", Field: "spec.nodeName", Why: "set by the scheduler", apply: drops("spec.nodeName")},
	{ID: "pod-priority", Kinds: "Pod", Field: "spec.priority, spec.preemptionPolicy", Why: "set by admission from the PriorityClass",
		apply: drops("spec.priority", "spec.preemptionPolicy")},
	{ID: "pod-account", Kinds: "Pod", Field: "spec.serviceAccount", Why: "the API server's copy of serviceAccountName", apply: drops("spec.serviceAccount")},
	{ID: "pod-token", Kinds: "Pod", Field: "the volume of the account's token (projected kube-api-access-*, secret <account>-token-*) and its mounts",
		Why: "set by admission, with a random name", apply: each(dropToken)},
	{ID: "pod-tolerations", Kinds: "Pod", Field: "tolerations of node.kubernetes.io/not-ready and unreachable, Exists, NoExecute, for 300 s",
		Why: "set by admission", apply: each(dropTolerations)},
	{ID: "pod-ephemeral", Kinds: "Pod", Field: "spec.ephemeralContainers", Why: "cannot be created, only added to a pod that runs",
		apply: drops("spec.ephemeralContainers")},
	{ID: "pod-job", Kinds: "Pod", Field: "labels controller-uid, batch.kubernetes.io/controller-uid", Why: "the UID of the Job",
		apply: dropsKeys("metadata.labels", jobUIDs...)},
}

func dropToken(o map[string]any) {
	account := str(o, "spec.serviceAccountName")
	if account == "" {
		account = "default"
	}
	tokens := map[string]bool{}
	for _, v := range objects(o, "spec.volumes") {
		name := str(v, "name")
		_, projected := v["projected"]
		_, secret := v["secret"]
		if projected && strings.HasPrefix(name, "kube-api-access-") || secret && strings.HasPrefix(name, account+"-token-") {
			tokens[name] = true
		}
	}
	isToken := func(e any) bool {
		m, _ := e.(map[string]any)
		return tokens[str(m, "name")]
	}
	keep(o, "spec.volumes", func(e any) bool { return !isToken(e) })
	for _, list := range []string{"spec.containers", "spec.initContainers"} {
		for _, c := range objects(o, list) {
			keep(c, "volumeMounts", func(e any) bool { return !isToken(e) })
		}
	}
}

func dropTolerations(o map[string]any) {
	keep(o, "spec.tolerations", func(e any) bool {
		t, _ := e.(map[string]any)
		key := str(t, "key")
		return key != "node.kubernetes.io/not-ready" && key != "node.kubernetes.io/unreachable" ||
			t["operator"] != "Exists" || t["effect"] != "NoExecute" || !equalScalar(t["tolerationSeconds"], int64(300))
	})
}
