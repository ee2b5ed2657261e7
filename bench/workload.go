// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"

	"hozon.dev/hozon/internal/object"
)

var (
	deploymentType = object.Type{Group: "apps", Version: "v1", Resource: "deployments", Kind: "Deployment"}
	replicaSetType = object.Type{Group: "apps", Version: "v1", Resource: "replicasets", Kind: "ReplicaSet"}
	podType        = object.Type{Version: "v1", Resource: "pods", Kind: "Pod"}
)

// workloads makes n objects: to 5 Deployments 8 ReplicaSets (3 of them old) and 20 Pods.
func (m *maker) workloads(n int) {
	deployments, sets := n*5/33, n*8/33
	old, podCount := sets-deployments, n-deployments-sets
	for d := range deployments {
		ns, i := m.next()
		name := fmt.Sprintf("app-%d", i)
		replicas := podCount / deployments
		if d < podCount%deployments {
			replicas++
		}
		m.deployment(ns, name, replicas)
		if d < old {
			m.replicaSet(ns, name, "6b8f4c9d7", 0)
		}
		m.replicaSet(ns, name, "7c5d8f6b9", replicas)
		for p := range replicas {
			m.pod(ns, name, "7c5d8f6b9", p)
		}
	}
}

func (m *maker) deployment(ns, name string, replicas int) {
	spec := map[string]any{
		"replicas": replicas, "revisionHistoryLimit": 3,
		"selector": map[string]any{"matchLabels": map[string]any{"app": name}},
		"strategy": map[string]any{"type": "RollingUpdate", "rollingUpdate": map[string]any{"maxSurge": 1, "maxUnavailable": 0}},
		"template": m.template(name, nil),
	}
	status := map[string]any{
		"observedGeneration": 1, "replicas": replicas, "updatedReplicas": replicas, "readyReplicas": replicas, "availableReplicas": replicas,
		"conditions": []any{
			condition("Available", "MinimumReplicasAvailable"), condition("Progressing", "NewReplicaSetAvailable"),
		},
	}
	m.add(first, item{t: deploymentType, manager: m.manager(), status: status, reporter: "kube-controller-manager",
		body: m.object(deploymentType, ns, name, map[string]any{"spec": spec})})
}

func (m *maker) replicaSet(ns, app, hash string, replicas int) {
	labels := map[string]any{"pod-template-hash": hash}
	spec := map[string]any{
		"replicas": replicas,
		"selector": map[string]any{"matchLabels": map[string]any{"app": app, "pod-template-hash": hash}},
		"template": m.template(app, labels),
	}
	status := map[string]any{"observedGeneration": 1, "replicas": replicas, "readyReplicas": replicas, "availableReplicas": replicas, "fullyLabeledReplicas": replicas}
	o := m.object(replicaSetType, ns, app+"-"+hash, map[string]any{"spec": spec})
	meta := o["metadata"].(map[string]any)
	meta["annotations"] = map[string]any{"deployment.kubernetes.io/desired-replicas": fmt.Sprint(replicas), "deployment.kubernetes.io/revision": "2"}
	meta["labels"] = spec["selector"].(map[string]any)["matchLabels"]
	owner := deploymentType.Ref(ns, app)
	m.add(replicaSets, item{t: replicaSetType, manager: "kube-controller-manager", status: status, reporter: "kube-controller-manager", owner: &owner, body: o})
}

func (m *maker) pod(ns, app, hash string, p int) {
	template := m.template(app, map[string]any{"pod-template-hash": hash})
	spec := template["spec"].(map[string]any)
	spec["nodeName"] = fmt.Sprintf("node-%d", m.r.IntN(40))
	o := m.object(podType, ns, fmt.Sprintf("%s-%s-%c%dxk", app, hash, 'b'+rune(p%20), p%10), map[string]any{"spec": spec})
	meta := o["metadata"].(map[string]any)
	meta["labels"] = template["metadata"].(map[string]any)["labels"]
	meta["annotations"] = template["metadata"].(map[string]any)["annotations"]
	meta["generateName"] = app + "-" + hash + "-"
	owner := replicaSetType.Ref(ns, app+"-"+hash)
	m.add(pods, item{t: podType, manager: "kube-controller-manager", status: m.podStatus(app), reporter: "kubelet", owner: &owner, body: o})
}

func (m *maker) podStatus(app string) map[string]any {
	ip := fmt.Sprintf("10.244.%d.%d", m.r.IntN(200), m.between(2, 250))
	var containers []any
	for _, name := range []string{app, "proxy"} {
		containers = append(containers, map[string]any{
			"name": name, "ready": true, "started": true, "restartCount": m.r.IntN(3),
			"image": "registry.example.com/" + name + ":1.0", "imageID": "registry.example.com/" + name + "@sha256:" + m.hex(64),
			"containerID": "containerd://" + m.hex(64),
			"state":       map[string]any{"running": map[string]any{"startedAt": "2026-11-01T08:00:00Z"}},
		})
	}
	return map[string]any{
		"phase": "Running", "qosClass": "Burstable", "hostIP": "192.0.2.7", "hostIPs": []any{map[string]any{"ip": "192.0.2.7"}},
		"podIP": ip, "podIPs": []any{map[string]any{"ip": ip}}, "startTime": "2026-11-01T07:59:58Z", "containerStatuses": containers,
		"conditions": []any{
			condition("Initialized", ""), condition("Ready", ""), condition("ContainersReady", ""), condition("PodScheduled", ""),
		},
	}
}

func condition(kind, reason string) map[string]any {
	c := map[string]any{"type": kind, "status": "True", "lastTransitionTime": "2026-11-01T08:00:00Z"}
	if reason != "" {
		c["reason"], c["message"] = reason, "as it should be"
	}
	return c
}

// template is a pod template as charts make them: two containers, probes, limits, volumes.
func (m *maker) template(app string, more map[string]any) map[string]any {
	labels := map[string]any{"app": app}
	for k, v := range more {
		labels[k] = v
	}
	container := func(name string) map[string]any {
		return map[string]any{
			"name": name, "image": "registry.example.com/" + name + ":1.0", "args": []any{"serve", "--listen=:8080", "--log=json"},
			"ports": []any{map[string]any{"name": "http-" + name[:1], "containerPort": 8080 + len(name)}},
			"env": []any{
				map[string]any{"name": "POD_NAME", "valueFrom": map[string]any{"fieldRef": map[string]any{"fieldPath": "metadata.name"}}},
				map[string]any{"name": "LOG_LEVEL", "value": "info"},
				map[string]any{"name": "DATABASE_URL", "valueFrom": map[string]any{"secretKeyRef": map[string]any{"name": "database", "key": "url"}}},
			},
			"resources":       map[string]any{"requests": map[string]any{"cpu": "100m", "memory": "128Mi"}, "limits": map[string]any{"memory": "256Mi"}},
			"readinessProbe":  map[string]any{"httpGet": map[string]any{"path": "/healthz", "port": 8080}, "periodSeconds": 5},
			"securityContext": map[string]any{"allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true},
			"volumeMounts":    []any{map[string]any{"name": "config", "mountPath": "/etc/app"}, map[string]any{"name": "tmp", "mountPath": "/tmp"}},
		}
	}
	return map[string]any{
		"metadata": map[string]any{"labels": labels, "annotations": map[string]any{"prometheus.io/scrape": "true", "checksum/config": strings.Repeat("ab12", 16)}},
		"spec": map[string]any{
			"containers": []any{container(app), container("proxy")},
			"volumes": []any{
				map[string]any{"name": "config", "configMap": map[string]any{"name": "config"}}, map[string]any{"name": "tmp", "emptyDir": map[string]any{}},
			},
			"tolerations": []any{map[string]any{"key": "node.kubernetes.io/unreachable", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 60}},
		},
	}
}

// object adds to fields what every object has.
func (m *maker) object(t object.Type, ns, name string, fields map[string]any) map[string]any {
	fields["apiVersion"], fields["kind"] = t.GroupVersion(), t.Kind
	fields["metadata"] = map[string]any{
		"namespace": ns, "name": name,
		"labels":      map[string]any{"app.kubernetes.io/name": name, "app.kubernetes.io/part-of": ns, "app.kubernetes.io/managed-by": "Helm"},
		"annotations": map[string]any{"meta.helm.sh/release-name": ns, "example.com/revision": m.hex(40)},
	}
	return fields
}

var words = strings.Fields(`timeout retry upstream cache limit region account ledger shard replica buffer window policy burst token
	true false enabled http https example com service port level interval seconds name value path cluster`)

// prose is about so many bytes of text as configuration files have it.
func (m *maker) prose(size int) string {
	var b strings.Builder
	for b.Len() < size {
		fmt.Fprintf(&b, "%s.%s: %s-%d\n", words[m.r.IntN(len(words))], words[m.r.IntN(len(words))], words[m.r.IntN(len(words))], m.r.IntN(10000))
	}
	return b.String()
}

// noise is base64 of so many random bytes.
func (m *maker) noise(size int) string { return encode(m.random(size)) }

func encode(data []byte) string { return base64.StdEncoding.EncodeToString(data) }

func (m *maker) hex(digits int) string { return fmt.Sprintf("%x", m.random((digits+1)/2))[:digits] }

func (m *maker) random(size int) []byte {
	data := make([]byte, size)
	for i := range data {
		data[i] = byte(m.r.Uint32())
	}
	return data
}

func marshal(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil { // maps, lists, texts and numbers always marshal
		panic(err)
	}
	return b
}
