// SPDX-License-Identifier: Apache-2.0

package order

import (
	"context"
	"encoding/json"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"hozon.dev/hozon/internal/cluster"
	"hozon.dev/hozon/internal/fail"
	"hozon.dev/hozon/internal/object"
	"hozon.dev/hozon/internal/velero"
)

// agentSelector is how the pods of the DaemonSet node-agent are told, Velero's as ours.
const agentSelector = "role=node-agent"

var podType = object.Type{Version: "v1", Resource: "pods", Kind: "Pod", Namespaced: true}

// Agents are the node agents that were there at one moment.
type Agents struct {
	Image  string // of one of them: it is on its node already
	Config string // the ConfigMap that they were given; "": none

	namespace string
	count     int
	ready     map[string]bool   // by node
	idle      map[string]string // pods of agents that are there and do not work, by node
}

// FindAgents looks for the node agents of a server.
func FindAgents(ctx context.Context, server velero.Client) (*Agents, error) {
	a := &Agents{namespace: server.Namespace, ready: map[string]bool{}, idle: map[string]string{}}
	body, err := server.Cluster.List(ctx, podType, cluster.ListOptions{Namespace: server.Namespace, LabelSelector: agentSelector})
	if err != nil {
		return nil, err
	}
	defer body.Close()
	_, err = object.Split(body, nil, func(item []byte) error {
		p, ok, err := agent(item)
		if err != nil {
			return err
		}
		a.count++
		if ok {
			a.ready[p.Spec.NodeName] = true
		} else if p.Spec.NodeName != "" {
			a.idle[p.Spec.NodeName] = p.Name
		}
		if len(p.Spec.Containers) > 0 {
			a.Image, a.Config = p.Spec.Containers[0].Image, configOf(p.Spec.Containers[0].Args)
		}
		return nil
	})
	return a, err
}

// configOf is the ConfigMap that a command line of the agents names.
func configOf(args []string) string {
	const flag = "--node-agent-configmap"
	for i, a := range args {
		if name, ok := strings.CutPrefix(a, flag+"="); ok {
			return name
		}
		if a == flag && i+1 < len(args) {
			return args[i+1]
		}
	}
	return ""
}

// Check says why nothing can be ordered on a node: an agent that is not there is not waited for.
func (a *Agents) Check(node string) error {
	switch {
	case a.ready[node]:
		return nil
	case a.count == 0:
		return fail.Errorf(fail.NotFound, "no node agent runs in namespace %s: install it with `hozon install --use-node-agent`", a.namespace)
	case a.idle[node] != "":
		return fail.Errorf(fail.NotFound, "the node agent on node %s is not ready: if the node is down (`kubectl get node %s`), bring it back and do this again; else `kubectl describe pod -n %s %s` says why",
			node, node, a.namespace, a.idle[node])
	}
	return fail.Errorf(fail.NotFound, "no node agent is on node %s: see `kubectl get pods -n %s -l %s -o wide`; the DaemonSet node-agent may need a toleration for the node",
		node, a.namespace, agentSelector)
}

// Any says why nothing can be ordered on any node.
func (a *Agents) Any() error {
	switch {
	case len(a.ready) > 0:
		return nil
	case a.count > 0:
		return fail.Errorf(fail.NotFound, "no node agent is ready: see `kubectl get pods -n %s -l %s -o wide`", a.namespace, agentSelector)
	}
	return a.Check("")
}

// agent is the pod of an agent, and whether it works.
func agent(body []byte) (corev1.Pod, bool, error) {
	var p corev1.Pod
	if err := json.Unmarshal(body, &p); err != nil {
		return p, false, fail.Errorf(fail.Corrupt, "decode the pod of a node agent: %w", err)
	}
	if p.DeletionTimestamp != nil || p.Status.Phase != corev1.PodRunning {
		return p, false, nil
	}
	for _, c := range p.Status.Conditions {
		if c.Type == corev1.PodReady {
			return p, c.Status == corev1.ConditionTrue, nil
		}
	}
	return p, true, nil
}

// agentChanged takes note of an agent that came or went.
func (r *waiting[T]) agentChanged(e cluster.Event) {
	p, ok, err := agent(e.Object)
	if err != nil || p.Spec.NodeName == "" {
		return
	}
	n := r.node(p.Spec.NodeName)
	switch ok = ok && e.Type != "DELETED"; {
	case ok:
		n.agent = true
	case n.agent:
		n.agent, n.lost = false, r.Now()
		r.Log.Warn("the node agent is not ready any more", "node", p.Spec.NodeName)
	}
}
