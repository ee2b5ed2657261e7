// SPDX-License-Identifier: Apache-2.0

package manifest

import (
	"fmt"
	"strings"
	"sync"

	utiljson "k8s.io/apimachinery/pkg/util/json"
)

// defaults are the values that the API server fills in where a manifest has none: kind, field, value as JSON. A field with that value is left
// out. Lines are applied from top to bottom; {} leaves out what is empty, which the lines above it may have made so.
//
// Besides kinds there are parts that several kinds have: (pod) is the specification of a pod, wherever it is; (container) is one of its
// containers of any sort; (handler) is a probe or lifecycle hook of a container; (claim) is the specification of a claim.
//
// The source is Kubernetes' pkg/apis/*/v*/defaults.go; what counts is that TestDefaults and TestRoundTrip hold on a real API server.
const defaults = `
(pod)        restartPolicy                                             "Always"
(pod)        dnsPolicy                                                 "ClusterFirst"
(pod)        schedulerName                                             "default-scheduler"
(pod)        terminationGracePeriodSeconds                             30
(pod)        enableServiceLinks                                        true
(pod)        securityContext                                           {}
(pod)        volumes.*.secret.defaultMode                              420
(pod)        volumes.*.configMap.defaultMode                           420
(pod)        volumes.*.projected.defaultMode                           420
(pod)        volumes.*.downwardAPI.defaultMode                         420
(pod)        volumes.*.projected.sources.*.serviceAccountToken.expirationSeconds 3600
(pod)        volumes.*.projected.sources.*.downwardAPI.items.*.fieldRef.apiVersion "v1"
(pod)        volumes.*.downwardAPI.items.*.fieldRef.apiVersion         "v1"
(pod)        volumes.*.hostPath.type                                   ""
(pod)        volumes.*.iscsi.iscsiInterface                            "default"
(pod)        volumes.*.azureDisk.cachingMode                           "ReadWrite"
(pod)        volumes.*.azureDisk.fsType                                "ext4"
(pod)        volumes.*.azureDisk.kind                                  "Shared"
(pod)        volumes.*.azureDisk.readOnly                              false
(pod)        volumes.*.rbd.pool                                        "rbd"
(pod)        volumes.*.rbd.user                                        "admin"
(pod)        volumes.*.rbd.keyring                                     "/etc/ceph/keyring"
(pod)        volumes.*.scaleIO.storageMode                             "ThinProvisioned"
(pod)        volumes.*.scaleIO.fsType                                  "xfs"
(pod)        volumes.*.ephemeral.volumeClaimTemplate.metadata          {}
(pod)        volumes.*.ephemeral.volumeClaimTemplate.spec.volumeMode   "Filesystem"

(container)  terminationMessagePath                                    "/dev/termination-log"
(container)  terminationMessagePolicy                                  "File"
(container)  ports.*.protocol                                          "TCP"
(container)  env.*.valueFrom.fieldRef.apiVersion                       "v1"
(container)  env.*.valueFrom.fileKeyRef.optional                       false
(container)  resources                                                 {}

(handler)    timeoutSeconds                                            1
(handler)    periodSeconds                                             10
(handler)    successThreshold                                          1
(handler)    failureThreshold                                          3
(handler)    httpGet.path                                              "/"
(handler)    httpGet.scheme                                            "HTTP"
(handler)    grpc.service                                              ""

(claim)      volumeMode                                                "Filesystem"

Deployment.apps  spec.replicas                                         1
Deployment.apps  spec.revisionHistoryLimit                             10
Deployment.apps  spec.progressDeadlineSeconds                          600
Deployment.apps  spec.strategy.rollingUpdate.maxSurge                  "25%"
Deployment.apps  spec.strategy.rollingUpdate.maxUnavailable            "25%"
Deployment.apps  spec.strategy.rollingUpdate                           {}
Deployment.apps  spec.strategy.type                                    "RollingUpdate"
Deployment.apps  spec.strategy                                         {}

StatefulSet.apps spec.replicas                                         1
StatefulSet.apps spec.revisionHistoryLimit                             10
StatefulSet.apps spec.podManagementPolicy                              "OrderedReady"
StatefulSet.apps spec.updateStrategy.rollingUpdate.partition           0
StatefulSet.apps spec.updateStrategy.rollingUpdate.maxUnavailable      1
StatefulSet.apps spec.updateStrategy.rollingUpdate                     {}
StatefulSet.apps spec.updateStrategy.type                              "RollingUpdate"
StatefulSet.apps spec.updateStrategy                                   {}
StatefulSet.apps spec.persistentVolumeClaimRetentionPolicy.whenDeleted "Retain"
StatefulSet.apps spec.persistentVolumeClaimRetentionPolicy.whenScaled  "Retain"
StatefulSet.apps spec.persistentVolumeClaimRetentionPolicy             {}

DaemonSet.apps   spec.revisionHistoryLimit                             10
DaemonSet.apps   spec.updateStrategy.rollingUpdate.maxSurge            0
DaemonSet.apps   spec.updateStrategy.rollingUpdate.maxUnavailable      1
DaemonSet.apps   spec.updateStrategy.rollingUpdate                     {}
DaemonSet.apps   spec.updateStrategy.type                              "RollingUpdate"
DaemonSet.apps   spec.updateStrategy                                   {}

ReplicaSet.apps       spec.replicas                                    1
ReplicationController spec.replicas                                    1

Job.batch        spec.completionMode                                   "NonIndexed"
Job.batch        spec.suspend                                          false
Job.batch        spec.manualSelector                                   false
CronJob.batch    spec.concurrencyPolicy                                "Allow"
CronJob.batch    spec.suspend                                          false
CronJob.batch    spec.successfulJobsHistoryLimit                       3
CronJob.batch    spec.failedJobsHistoryLimit                           1
CronJob.batch    spec.jobTemplate.metadata                             {}

HorizontalPodAutoscaler.autoscaling spec.minReplicas                      1
HorizontalPodAutoscaler.autoscaling spec.behavior.scaleUp.selectPolicy    "Max"
HorizontalPodAutoscaler.autoscaling spec.behavior.scaleDown.selectPolicy  "Max"
HorizontalPodAutoscaler.autoscaling spec.behavior.scaleUp.stabilizationWindowSeconds 0
HorizontalPodAutoscaler.autoscaling spec.behavior.scaleUp.policies   [{"type":"Pods","value":4,"periodSeconds":15},{"type":"Percent","value":100,"periodSeconds":15}]
HorizontalPodAutoscaler.autoscaling spec.behavior.scaleDown.policies [{"type":"Percent","value":100,"periodSeconds":15}]
HorizontalPodAutoscaler.autoscaling spec.metrics [{"type":"Resource","resource":{"name":"cpu","target":{"type":"Utilization","averageUtilization":80}}}]

Service          spec.type                                             "ClusterIP"
Service          spec.sessionAffinity                                  "None"
Service          spec.sessionAffinityConfig.clientIP.timeoutSeconds    10800
Service          spec.sessionAffinityConfig.clientIP                   {}
Service          spec.sessionAffinityConfig                            {}
Service          spec.externalTrafficPolicy                            "Cluster"
Service          spec.ports.*.protocol                                 "TCP"

NetworkPolicy.networking.k8s.io spec.ingress.*.ports.*.protocol        "TCP"
NetworkPolicy.networking.k8s.io spec.egress.*.ports.*.protocol         "TCP"
Endpoints        subsets.*.ports.*.protocol                            "TCP"
EndpointSlice.discovery.k8s.io ports.*.protocol                        "TCP"
EndpointSlice.discovery.k8s.io ports.*.name                            ""
EndpointSlice.discovery.k8s.io endpoints.*.conditions                  {}

Secret           type                                                  "Opaque"

PersistentVolume spec.persistentVolumeReclaimPolicy                    "Retain"
PersistentVolume spec.volumeMode                                       "Filesystem"
PersistentVolume spec.hostPath.type                                    ""
StorageClass.storage.k8s.io     reclaimPolicy                          "Delete"
StorageClass.storage.k8s.io     volumeBindingMode                      "Immediate"
PriorityClass.scheduling.k8s.io preemptionPolicy                       "PreemptLowerPriority"
IngressClass.networking.k8s.io  spec.parameters.scope                  "Cluster"

` + openShiftDefaults

// fieldDefault is one line of the table.
type fieldDefault struct {
	path  []string
	value any
}

// defaultsOf are the lines of the table by their kind or part.
var defaultsOf = sync.OnceValue(func() map[string][]fieldDefault {
	table := map[string][]fieldDefault{}
	for line := range strings.Lines(defaults) {
		fields := strings.Fields(line)
		if len(fields) == 0 {
			continue
		}
		d := fieldDefault{path: strings.Split(fields[1], ".")}
		if err := utiljson.Unmarshal([]byte(strings.Join(fields[2:], " ")), &d.value); err != nil {
			panic(fmt.Sprintf("table of defaults: %q: %v", line, err)) // a constant: every test of the package meets it
		}
		table[fields[0]] = append(table[fields[0]], d)
	}
	return table
})

// dropDefaults leaves out of o, an object or part of the given kind, what the table says.
func dropDefaults(kind string, o map[string]any) {
	for _, d := range defaultsOf()[kind] {
		each(o, d.path, func(parent map[string]any, key string) {
			if equal(parent[key], d.value) {
				delete(parent, key)
			}
		})
	}
}
