// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	velerov1 "hozon.dev/hozon/api/velero/v1"
)

// statusLife is how long an answered ServerStatusRequest is kept.
const statusLife = time.Minute

// Statuses answers ServerStatusRequests.
type Statuses struct {
	*Site
	Version string
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
		Phase: velerov1.ServerStatusRequestPhaseProcessed, ProcessedTimestamp: &now, ServerVersion: r.Version, Plugins: builtIn,
	}
	if err := r.Client.Patch(ctx, &q, client.MergeFrom(before)); err != nil {
		return stale(err)
	}
	return after(statusLife), nil
}
