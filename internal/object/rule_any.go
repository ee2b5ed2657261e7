// SPDX-License-Identifier: Apache-2.0

package object

import (
	"cmp"
	"encoding/json"
	"slices"
	"strings"
)

// anyRules come last: other rules read what they take away.
var anyRules = []Rule{
	{ID: "owners", Kinds: "any", Field: "metadata.ownerReferences: order, uid, blockOwnerDeletion; owners that are built-in workloads, if one side has none of them",
		Why: "UIDs are new in a restored cluster; children of built-in workloads are restored without owner and adopted", apply: sameOwners},
	{ID: "finalizers", Kinds: "any", Field: "metadata.finalizers: order, and those of the cluster itself (pvc-protection, pv-protection, load-balancer-cleanup, job-tracking, foregroundDeletion, orphan, the external provisioner's and attachers')",
		Why: "set by admission and controllers", apply: each(dropFinalizers)},
	{ID: "server", Kinds: "any", Field: "metadata.uid, resourceVersion, generation, creationTimestamp, deletionTimestamp, deletionGracePeriodSeconds, selfLink, managedFields",
		Why: "set by the API server", apply: drops("metadata.uid", "metadata.resourceVersion", "metadata.generation", "metadata.creationTimestamp",
			"metadata.deletionTimestamp", "metadata.deletionGracePeriodSeconds", "metadata.selfLink", "metadata.managedFields")},
	{ID: "generateName", Kinds: "any", Field: "metadata.generateName", Why: "used once, at creation", apply: drops("metadata.generateName")},
	{ID: "status", Kinds: "any", Field: "status (unless asked for)", Why: "observed, not wanted state", status: true, apply: drops("status")},
	{ID: "restored", Kinds: "any", Field: "labels velero.io/backup-name, velero.io/restore-name", Why: "set by a restore",
		apply: dropsKeys("metadata.labels", "velero.io/backup-name", "velero.io/restore-name")},
	{ID: "empty", Kinds: "any", Field: "labels, annotations, finalizers and ownerReferences that are empty", Why: "the same as none", apply: each(dropEmpty)},
}

var ownFinalizers = []string{"kubernetes.io/pvc-protection", "kubernetes.io/pv-protection", "service.kubernetes.io/load-balancer-cleanup",
	"batch.kubernetes.io/job-tracking", "foregroundDeletion", "orphan", "external-provisioner.volume.kubernetes.io/finalizer"}

func dropFinalizers(o map[string]any) {
	keep(o, "metadata.finalizers", func(e any) bool {
		s, _ := e.(string)
		return !slices.Contains(ownFinalizers, s) && !strings.HasPrefix(s, "external-attacher/")
	})
	if list, ok := get(o, "metadata.finalizers").([]any); ok {
		slices.SortFunc(list, compareJSON)
	}
}

func dropEmpty(o map[string]any) {
	meta, _ := o["metadata"].(map[string]any)
	for _, key := range []string{"labels", "annotations", "finalizers", "ownerReferences"} {
		switch v := meta[key].(type) {
		case map[string]any:
			if len(v) == 0 {
				delete(meta, key)
			}
		case []any:
			if len(v) == 0 {
				delete(meta, key)
			}
		}
	}
}

// builtinOwners are the owners whose controllers adopt children that fit, or make them anew.
var builtinOwners = []string{"Pod.", "Node.", "Service.", "Endpoints.", "ReplicationController.", "Deployment.apps", "ReplicaSet.apps", "StatefulSet.apps",
	"DaemonSet.apps", "Job.batch", "CronJob.batch"}

func builtinOwner(e any) bool {
	o, ok := e.(map[string]any)
	if !ok {
		return false
	}
	group, _, grouped := strings.Cut(str(o, "apiVersion"), "/")
	if !grouped {
		group = ""
	}
	return slices.Contains(builtinOwners, str(o, "kind")+"."+group)
}

func sameOwners(a, b map[string]any) {
	const path = "metadata.ownerReferences"
	has := func(o map[string]any) bool {
		list, _ := get(o, path).([]any)
		return slices.ContainsFunc(list, builtinOwner)
	}
	adoptable := !has(a) || !has(b)
	each(func(o map[string]any) {
		for _, owner := range objects(o, path) {
			delete(owner, "uid")
			delete(owner, "blockOwnerDeletion")
			if owner["controller"] == false {
				delete(owner, "controller")
			}
		}
		if adoptable {
			keep(o, path, func(e any) bool { return !builtinOwner(e) })
		}
		if list, ok := get(o, path).([]any); ok {
			slices.SortFunc(list, compareJSON)
		}
	})(a, b)
}

func compareJSON(a, b any) int {
	x, errX := json.Marshal(a)
	y, errY := json.Marshal(b)
	if errX != nil || errY != nil {
		return 0
	}
	return cmp.Compare(string(x), string(y))
}
