// SPDX-License-Identifier: Apache-2.0

package install

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"time"

	appsv1 "k8s.io/api/apps/v1"

	"hozon.dev/hozon/internal/cluster"
	"hozon.dev/hozon/internal/fail"
)

// rollOut makes the DaemonSet of the node agents, or puts ours in the place of the one that is there, Velero's too: all of its spec. Agents restart
// when the Secret has changed; what they are at is begun again by those that come after them.
func (i *Installer) rollOut(ctx context.Context, m Manifest, secret string) error {
	var d appsv1.DaemonSet
	if err := json.Unmarshal(m.Body, &d); err != nil {
		return fmt.Errorf("read %s: %w", m, err)
	}
	if secret != "" {
		d.Spec.Template.Annotations[secretVersion] = secret
	}
	before, err := i.agents(ctx)
	if err != nil {
		return err
	}
	options := cluster.WriteOptions{FieldManager: fieldManager}
	if before == nil {
		body, err := json.Marshal(d)
		if err == nil {
			_, err = i.Cluster.Create(ctx, m.Type, m.Namespace, body, options)
		}
		return err
	}
	if have, want := before.Spec.Selector.MatchLabels, d.Spec.Selector.MatchLabels; !maps.Equal(have, want) {
		return fail.Errorf(fail.Exists, "it was made by another installer (Helm, say): its selector is %v, which cannot be changed to %v; delete it and install again: "+
			"`kubectl -n %s delete daemonset %s`", have, want, i.Namespace, DaemonSet)
	}
	d.ResourceVersion = before.ResourceVersion
	body, err := json.Marshal(d)
	if err != nil {
		return err
	}
	_, err = i.Cluster.Update(ctx, m.Type, m.Namespace, m.Name, body, options)
	return err
}

// agents is the DaemonSet of the node agents; nil if there is none.
func (i *Installer) agents(ctx context.Context) (*appsv1.DaemonSet, error) {
	body, err := i.Cluster.Get(ctx, daemonSets, i.Namespace, DaemonSet)
	if fail.Is(err, fail.NotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("look for node agents: %w", err)
	}
	d := &appsv1.DaemonSet{}
	if err := json.Unmarshal(body, d); err != nil {
		return nil, fmt.Errorf("read DaemonSet %s/%s: %w", i.Namespace, DaemonSet, err)
	}
	return d, nil
}

// HasAgents says whether node agents are there, ours or Velero's.
func (i *Installer) HasAgents(ctx context.Context) (bool, error) {
	d, err := i.agents(ctx)
	return d != nil, err
}

// WaitAgents waits until a node agent is ready on every node that has one.
func (i *Installer) WaitAgents(ctx context.Context) error {
	for {
		d, err := i.agents(ctx)
		if err != nil && !fail.Is(err, fail.Transient) {
			return err
		}
		if d != nil && d.Status.ObservedGeneration >= d.Generation {
			s := d.Status
			if s.UpdatedNumberScheduled == s.DesiredNumberScheduled && s.NumberAvailable == s.DesiredNumberScheduled {
				return nil
			}
		}
		select {
		case <-ctx.Done():
			ready, want := int32(0), int32(0)
			if d != nil {
				ready, want = d.Status.NumberAvailable, d.Status.DesiredNumberScheduled
			}
			return fmt.Errorf("wait for DaemonSet %s/%s: %w; %d of %d pods are ready: see `kubectl -n %s describe pods -l name=%s`",
				i.Namespace, DaemonSet, context.Cause(ctx), ready, want, i.Namespace, DaemonSet)
		case <-time.After(again):
		}
	}
}
