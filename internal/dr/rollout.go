// SPDX-License-Identifier: Apache-2.0

package dr

import (
	"context"
	"fmt"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"hozon.dev/hozon/internal/fail"
)

// conditioned is what objects of several kinds have in common.
type conditioned struct {
	Metadata struct {
		Name       string `json:"name"`
		Generation int64  `json:"generation"`
	} `json:"metadata"`
	Spec struct {
		Replicas *int64 `json:"replicas"`
	} `json:"spec"`
	Status struct {
		Conditions           []metav1.Condition `json:"conditions"`
		ControlPlaneNodePool struct {
			Conditions []metav1.Condition `json:"conditions"`
		} `json:"controlPlaneNodePoolStatus"`
		Observed  int64  `json:"observedGeneration"`
		Updated   int64  `json:"updatedReplicas"`
		Scheduled *int64 `json:"desiredNumberScheduled"`
		Placed    int64  `json:"updatedNumberScheduled"`
	} `json:"status"`
}

type conditionedList struct {
	Items []conditioned `json:"items"`
}

// holds says whether a condition is true.
func (o conditioned) holds(kind string) bool {
	all := append(slices.Clone(o.Status.Conditions), o.Status.ControlPlaneNodePool.Conditions...)
	return slices.ContainsFunc(all, func(c metav1.Condition) bool { return c.Type == kind && c.Status == metav1.ConditionTrue })
}

// rolling says why an object of kube-system is not settled; "" if it is.
func (o conditioned) rolling() string {
	want, has := int64(1), o.Status.Updated
	switch {
	case o.Status.Scheduled != nil:
		want, has = *o.Status.Scheduled, o.Status.Placed
	case o.Spec.Replicas != nil:
		want = *o.Spec.Replicas
	}
	switch {
	case o.Status.Observed < o.Metadata.Generation:
		return o.Metadata.Name + " has a change that its controller has not seen"
	case has < want:
		return fmt.Sprintf("%s has %d of %d in its newest form", o.Metadata.Name, has, want)
	}
	return ""
}

// settled asks whether anything is being changed: what a backup sees in the middle of a change is hard to bring back.
func (c *Checker) settled(ctx context.Context, m *machine, s *server) {
	c.managed(ctx, m.Name(), s)
	var operators conditionedList
	err := s.get(ctx, "/apis/config.openshift.io/v1/clusteroperators", &operators)
	if err == nil {
		c.operators(m.Name(), operators.Items)
		return
	}
	if !fail.Is(err, fail.NotFound) {
		c.add(m.Name(), "nothing reconciling", Warning, "%v", err)
		return
	}
	var why []string
	for _, kind := range []string{"deployments", "daemonsets"} {
		var list conditionedList
		if err := s.get(ctx, "/apis/apps/v1/namespaces/kube-system/"+kind, &list); err != nil {
			c.add(m.Name(), "nothing reconciling", Warning, "%v", err)
			return
		}
		for _, o := range list.Items {
			if r := o.rolling(); r != "" {
				why = append(why, r)
			}
		}
	}
	if len(why) > 0 {
		c.add(m.Name(), "nothing reconciling", Warning, "in kube-system: %s", strings.Join(why[:min(5, len(why))], "; "))
		return
	}
	c.add(m.Name(), "nothing reconciling", OK, "no rollout in kube-system")
}

// operators are OpenShift's.
func (c *Checker) operators(name string, all []conditioned) {
	var busy, ill []string
	for _, o := range all {
		if o.holds("Progressing") {
			busy = append(busy, o.Metadata.Name)
		}
		if o.holds("Degraded") {
			ill = append(ill, o.Metadata.Name)
		}
	}
	switch {
	case len(busy) > 0:
		c.add(name, "nothing reconciling", Failed, "operators are Progressing: %s. Wait until they are not", strings.Join(busy, ", "))
	case len(ill) > 0:
		c.add(name, "nothing reconciling", Warning, "operators are Degraded: %s", strings.Join(ill, ", "))
	default:
		c.add(name, "nothing reconciling", OK, "none of %d operators is Progressing", len(all))
	}
}

// managed looks at a cluster that bmctl manages, where its object is.
func (c *Checker) managed(ctx context.Context, name string, s *server) {
	var list conditionedList
	if err := s.get(ctx, bareClusters, &list); err != nil {
		if !fail.Is(err, fail.NotFound) {
			c.add(name, "Reconciling", Warning, "%v", err)
		}
		return
	}
	for _, o := range list.Items {
		if o.Metadata.Name != c.Cluster {
			continue
		}
		if o.holds("Reconciling") {
			c.add(name, "Reconciling", Failed, "cluster %s is Reconciling. Wait until it is not", c.Cluster)
		} else {
			c.add(name, "Reconciling", OK, "cluster %s is not Reconciling", c.Cluster)
		}
	}
}

// admin asks the cluster that manages this one.
func (c *Checker) admin(ctx context.Context) {
	if c.Admin == nil {
		return
	}
	s, err := newServer(rest.CopyConfig(c.Admin))
	if err == nil {
		err = s.get(ctx, "/version", nil)
	}
	if err != nil {
		c.add("", "admin cluster", Failed, "%v", err)
		return
	}
	c.managed(ctx, "", s)
}
