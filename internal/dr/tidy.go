// SPDX-License-Identifier: Apache-2.0

package dr

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"hozon.dev/hozon/internal/cluster"
	"hozon.dev/hozon/internal/object"
)

// nodeWait is how long a kubelet has to report to the restored cluster; it does every 10 seconds.
const nodeWait = 40 * time.Second

// maxList bounds the lists that are looked through for things to tidy.
const maxList = 256 << 20

// item is what is looked at of any object here.
type item struct {
	Metadata struct {
		Name            string
		Namespace       string
		UID             string
		ResourceVersion string
	}
	Spec struct {
		RenewTime            *metav1.MicroTime
		LeaseDurationSeconds int
	}
	Status struct {
		Conditions []struct{ Type string }
	}
}

func (i item) id() string { return strings.TrimPrefix(i.Metadata.Namespace+"/"+i.Metadata.Name, "/") }

// expired says whether a lease is nobody's any more.
func (i item) expired(now time.Time) bool {
	return i.Spec.RenewTime == nil || i.Spec.RenewTime.Add(time.Duration(i.Spec.LeaseDurationSeconds)*time.Second).Before(now)
}

// janitor looks after what is stale in a cluster that has gone back in time.
type janitor struct {
	*Restorer
	api *cluster.Client
	out *Outcome
}

var (
	nodes   = object.Type{Version: "v1", Resource: "nodes"}
	leases  = object.Type{Group: "coordination.k8s.io", Version: "v1", Resource: "leases", Namespaced: true}
	signing = object.Type{Group: "certificates.k8s.io", Version: "v1", Resource: "certificatesigningrequests"}
	daemons = object.Type{Group: "apps", Version: "v1", Resource: "daemonsets", Namespaced: true}
	deploys = object.Type{Group: "apps", Version: "v1", Resource: "deployments", Namespaced: true}
)

// tidy removes leases that nobody holds any more, and tells what else there is to look after.
func (r *Restorer) tidy(ctx context.Context, p *Plan, out *Outcome) error {
	for _, h := range p.Hosts {
		if h.Todo != "" && !slices.Contains(out.Todo, h.Todo) {
			out.Todo = append(out.Todo, h.Todo)
		}
	}
	h := p.apiHost()
	who, err := r.identity(h, time.Hour)
	if err != nil {
		out.Todo = append(out.Todo, fmt.Sprintf("look for stale nodes, leases and signing requests: %v", err))
		return nil
	}
	api, err := cluster.New(r.dialConfig(h, who))
	if err != nil {
		return err
	}
	j := &janitor{r, api, out}
	silent, err := j.silentNodes(ctx)
	if err != nil {
		return err
	}
	for _, name := range silent {
		out.Todo = append(out.Todo, fmt.Sprintf("node %s has not reported to the restored cluster: restart its kubelet, or, if it does not exist any more, `kubectl delete node %s`", name, name))
	}
	if err := j.leases(ctx, silent); err != nil {
		return err
	}
	if err := j.requests(ctx); err != nil {
		return err
	}
	return j.caches(ctx)
}

func (j *janitor) list(ctx context.Context, t object.Type, namespace string) ([]item, error) {
	body, err := j.api.List(ctx, t, cluster.ListOptions{Namespace: namespace})
	if err != nil {
		return nil, err
	}
	defer body.Close()
	var all struct{ Items []item }
	err = json.NewDecoder(io.LimitReader(body, maxList)).Decode(&all)
	return all.Items, err
}

// silentNodes are those that do not renew their lease within a while.
func (j *janitor) silentNodes(ctx context.Context) ([]string, error) {
	end := j.Now().Add(nodeWait)
	for {
		known, err := j.list(ctx, nodes, "")
		if err != nil {
			return nil, err
		}
		held, err := j.list(ctx, leases, "kube-node-lease")
		if err != nil {
			return nil, err
		}
		var silent []string
		for _, n := range known {
			i := slices.IndexFunc(held, func(l item) bool { return l.Metadata.Name == n.Metadata.Name })
			if i < 0 || held[i].expired(j.Now()) {
				silent = append(silent, n.Metadata.Name)
			}
		}
		if len(silent) == 0 || !j.Now().Before(end) {
			return silent, nil
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(2 * time.Second): // kubelets renew by the clock
		}
	}
}

// leases removes those that have run out, but for those of nodes that somebody has to look after.
func (j *janitor) leases(ctx context.Context, silent []string) error {
	all, err := j.list(ctx, leases, "")
	if err != nil {
		return err
	}
	for _, l := range all {
		if !l.expired(j.Now()) || l.Metadata.Namespace == "kube-node-lease" && slices.Contains(silent, l.Metadata.Name) {
			continue
		}
		// As it was seen: one that is taken in between stays.
		err := j.api.Delete(ctx, leases, l.Metadata.Namespace, l.Metadata.Name, cluster.DeleteOptions{UID: l.Metadata.UID, ResourceVersion: l.Metadata.ResourceVersion})
		if err == nil {
			j.out.Tidied = append(j.out.Tidied, "removed the stale lease "+l.id())
		}
	}
	return nil
}

func (j *janitor) requests(ctx context.Context) error {
	all, err := j.list(ctx, signing, "")
	if err != nil {
		return err
	}
	for _, r := range all {
		if len(r.Status.Conditions) == 0 {
			j.out.Todo = append(j.out.Todo, fmt.Sprintf("the signing request %s waits: `kubectl certificate approve %[1]s`, if it is wanted", r.Metadata.Name))
		}
	}
	return nil
}

// caches are the programs that keep what they have read of the cluster: networks, storage drivers, operators.
func (j *janitor) caches(ctx context.Context) error {
	var all []string
	for kind, where := range map[string]struct {
		t         object.Type
		namespace string
	}{"daemonset": {daemons, ""}, "deployment": {deploys, "kube-system"}} {
		found, err := j.list(ctx, where.t, where.namespace)
		if err != nil {
			return err
		}
		for _, i := range found {
			all = append(all, fmt.Sprintf("restart, since it may still go by newer data: `kubectl -n %s rollout restart %s/%s`", i.Metadata.Namespace, kind, i.Metadata.Name))
		}
	}
	slices.Sort(all)
	j.out.Todo = append(j.out.Todo, all...)
	return nil
}
