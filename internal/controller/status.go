// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	velerov1 "hozon.dev/hozon/api/velero/v1"
	"hozon.dev/hozon/internal/plugin"
)

// statusLife is how long an answered ServerStatusRequest is kept.
const statusLife = time.Minute

// Statuses answers ServerStatusRequests.
type Statuses struct {
	*Site
	Version string
	Plugins *plugin.Folder
}

// Add hands the controller to a manager.
func (r *Statuses) Add(m manager.Manager) error {
	return build(m, "status").For(&velerov1.ServerStatusRequest{}).Complete(r)
}

// builtIn are the stores that need no plugin, under the names of Velero's plugins for them.
var builtIn = []velerov1.PluginInfo{
	{Name: "hozon.dev/file", Kind: "ObjectStore"},
	{Name: "velero.io/aws", Kind: "ObjectStore"},
	{Name: "velero.io/azure", Kind: "ObjectStore"},
	{Name: "velero.io/gcp", Kind: "ObjectStore"},
}

// plugins are the stores that are built in, and what the plugins can do. One that has the name of a built-in store is there once: it is used by
// locations that ask for it only.
func (r *Statuses) plugins(ctx context.Context) []velerov1.PluginInfo {
	all := slices.Clone(builtIn)
	found, err := r.Plugins.Plugins(ctx)
	if err != nil {
		r.Log.Error("plugins were left out", "error", err)
	}
	for _, p := range found {
		if info := (velerov1.PluginInfo{Name: p.Name, Kind: string(p.Kind)}); !slices.Contains(all, info) {
			all = append(all, info)
		}
	}
	return all
}

// Reconcile answers a request, or removes one that was answered.
func (r *Statuses) Reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	var q velerov1.ServerStatusRequest
	if err := r.Client.Get(ctx, req.NamespacedName, &q); err != nil {
		return reconcile.Result{}, client.IgnoreNotFound(err)
	}
	if q.DeletionTimestamp != nil {
		return reconcile.Result{}, nil
	}
	if q.Status.Phase == velerov1.ServerStatusRequestPhaseProcessed {
		wait := statusLife
		if t := q.Status.ProcessedTimestamp; t != nil {
			wait = t.Add(statusLife).Sub(r.Now())
		}
		if wait > 0 {
			return after(wait), nil
		}
		return stale(r.Client.Delete(ctx, &q))
	}
	before := q.DeepCopy()
	now := metav1.NewTime(r.Now())
	q.Status = velerov1.ServerStatusRequestStatus{
		Phase: velerov1.ServerStatusRequestPhaseProcessed, ProcessedTimestamp: &now, ServerVersion: r.Version, Plugins: r.plugins(ctx),
	}
	if err := r.Client.Patch(ctx, &q, client.MergeFrom(before)); err != nil {
		return stale(err)
	}
	return after(statusLife), nil
}
