// SPDX-License-Identifier: Apache-2.0

package object

const revision = "deployment.kubernetes.io/revision"

var jobUIDs = []string{"controller-uid", "batch.kubernetes.io/controller-uid"}

var workloadRules = []Rule{
	{ID: "deployment-revision", Kinds: "Deployment.apps", Field: "annotation " + revision, Why: "counted by the controller", apply: dropsKeys("metadata.annotations", revision)},
	{ID: "replicaset-revision", Kinds: "ReplicaSet.apps", Field: "annotations deployment.kubernetes.io/revision, revision-history, desired-replicas, max-replicas",
		Why: "set by the Deployment's controller", apply: dropsKeys("metadata.annotations", revision, "deployment.kubernetes.io/revision-history",
			"deployment.kubernetes.io/desired-replicas", "deployment.kubernetes.io/max-replicas")},
	{ID: "daemonset-generation", Kinds: "DaemonSet.apps", Field: "annotation deprecated.daemonset.template.generation", Why: "counted by the API server",
		apply: dropsKeys("metadata.annotations", "deprecated.daemonset.template.generation")},
	{ID: "statefulset-claims", Kinds: "StatefulSet.apps", Field: "spec.volumeClaimTemplates[].status, apiVersion, kind", Why: "filled in by the API server",
		apply: drops("spec.volumeClaimTemplates.*.status", "spec.volumeClaimTemplates.*.apiVersion", "spec.volumeClaimTemplates.*.kind")},
	{ID: "job-selector", Kinds: "Job.batch", Field: "unless spec.manualSelector: labels controller-uid, job-name and batch.kubernetes.io/ of the same names, in the selector, the pod template and the Job",
		Why: "made by the API server, from the UID", apply: each(dropJobLabels)},
	{ID: "job-tracking", Kinds: "Job.batch", Field: "annotation batch.kubernetes.io/job-tracking", Why: "set by older API servers", apply: dropsKeys("metadata.annotations", "batch.kubernetes.io/job-tracking")},
	{ID: "autoscaler", Kinds: "HorizontalPodAutoscaler.autoscaling", Field: "annotations autoscaling.alpha.kubernetes.io/conditions, current-metrics", Why: "status, in autoscaling/v1",
		apply: dropsKeys("metadata.annotations", "autoscaling.alpha.kubernetes.io/conditions", "autoscaling.alpha.kubernetes.io/current-metrics")},
	{ID: "lease", Kinds: "Lease.coordination.k8s.io", Field: "spec.holderIdentity, acquireTime, renewTime, leaseTransitions", Why: "written by the holder all the time",
		apply: drops("spec.holderIdentity", "spec.acquireTime", "spec.renewTime", "spec.leaseTransitions")},
	{ID: "leader", Kinds: "ConfigMap, Endpoints", Field: "annotation control-plane.alpha.kubernetes.io/leader", Why: "written by the leader all the time",
		apply: dropsKeys("metadata.annotations", "control-plane.alpha.kubernetes.io/leader")},
}

func dropJobLabels(o map[string]any) {
	if get(o, "spec.manualSelector") == true {
		return
	}
	for _, path := range []string{"metadata.labels", "spec.selector.matchLabels", "spec.template.metadata.labels"} {
		dropKeys(o, path, jobUIDs...)
		dropKeys(o, path, "job-name", "batch.kubernetes.io/job-name")
	}
}
