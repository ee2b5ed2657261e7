// SPDX-License-Identifier: Apache-2.0

package save

import (
	"context"
	"encoding/json"

	corev1 "k8s.io/api/core/v1"

	"hozon.dev/hozon/internal/cluster"
	"hozon.dev/hozon/internal/fail"
	"hozon.dev/hozon/internal/object"
)

// agentSelector is how the pods of the DaemonSet node-agent are told, Velero's as ours.
const agentSelector = "role=node-agent"

var podType = object.Type{Version: "v1", Resource: "pods", Kind: "Pod", Namespaced: true}

// ready is the node of an agent's pod, and whether it works there.
func ready(body []byte) (string, bool, error) {
	var p corev1.Pod
	if err := json.Unmarshal(body, &p); err != nil {
		return "", false, fail.Errorf(fail.Corrupt, "decode the pod of a node agent: %w", err)
	}
	if p.DeletionTimestamp != nil || p.Status.Phase != corev1.PodRunning {
		return p.Spec.NodeName, false, nil
	}
	for _, c := range p.Status.Conditions {
		if c.Type == corev1.PodReady {
			return p.Spec.NodeName, c.Status == corev1.ConditionTrue, nil
		}
	}
	return p.Spec.NodeName, true, nil
}

// checkAgents ends the tasks on nodes whose agents do not work: they are not waited for.
func (r *saving) checkAgents(ctx context.Context) {
	body, err := r.Server.Cluster.List(ctx, podType, cluster.ListOptions{Namespace: r.Server.Namespace, LabelSelector: agentSelector})
	count := 0
	if err == nil {
		_, err = object.Split(body, nil, func(item []byte) error {
			count++
			name, ok, err := ready(item)
			if ok {
				r.node(name).agent = true
			}
			return err
		})
		body.Close()
	}
	for _, t := range r.open() {
		name := t.backup.Spec.Node
		switch {
		case err != nil:
			r.finish(t, err)
		case r.node(name).agent:
		case count == 0:
			r.finish(t, fail.Errorf(fail.NotFound, "no node agent runs in namespace %s: install it with `hozon install --use-node-agent`", r.Server.Namespace))
		default:
			r.finish(t, fail.Errorf(fail.NotFound, "the node agent on node %s is not ready: see `kubectl get pods -n %s -l %s -o wide`; the DaemonSet node-agent may need a toleration for the node",
				name, r.Server.Namespace, agentSelector))
		}
	}
}

func (r *saving) node(name string) *node {
	if r.nodes[name] == nil {
		r.nodes[name] = &node{moved: r.Now()}
	}
	return r.nodes[name]
}

// agentChanged takes note of an agent that came or went.
func (r *saving) agentChanged(e cluster.Event) {
	name, ok, err := ready(e.Object)
	if err != nil || name == "" {
		return
	}
	n := r.node(name)
	switch ok = ok && e.Type != "DELETED"; {
	case ok:
		n.agent = true
	case n.agent:
		n.agent, n.lost = false, r.Now()
		r.Log.Warn("the node agent is not ready any more", "node", name)
	}
}
