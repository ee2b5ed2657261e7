// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"errors"
	"maps"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	velerov1 "hozon.dev/hozon/api/velero/v1"
	"hozon.dev/hozon/internal/store"
)

// ControlPlanes looks from time to time at the archives of control planes in every location, for the metrics. Others make them: a CronJob, or people.
type ControlPlanes struct {
	*Site
	Stores *Stores
	Period time.Duration // between two looks; 0: one only

	mu   sync.Mutex
	seen map[types.NamespacedName]shelves
}

// shelves are the archives of a location by their cluster.
type shelves struct {
	at time.Time // of the look
	of map[string]store.Archives
}

// Add hands the controller to a manager.
func (r *ControlPlanes) Add(m manager.Manager) error {
	return several(m, "control-plane", lookers).For(&velerov1.BackupStorageLocation{}).Complete(r)
}

// Reconcile looks at a location if its time has come. What was known of one that cannot be reached stays: it only grows older.
func (r *ControlPlanes) Reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	var l velerov1.BackupStorageLocation
	err := r.Client.Get(ctx, req.NamespacedName, &l)
	if err != nil || l.DeletionTimestamp != nil {
		r.mu.Lock()
		delete(r.seen, req.NamespacedName)
		r.mu.Unlock()
		return reconcile.Result{}, client.IgnoreNotFound(err)
	}
	r.mu.Lock()
	last, ok := r.seen[req.NamespacedName]
	r.mu.Unlock()
	if wait := last.at.Add(r.Period).Sub(r.Now()); ok && (wait > 0 || r.Period <= 0) {
		if r.Period <= 0 {
			return reconcile.Result{}, nil
		}
		return after(wait), nil
	}
	looking, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	now, err := r.look(looking, &l, last.of)
	if ctx.Err() != nil {
		return reconcile.Result{}, nil
	}
	if err != nil {
		r.Log.Warn("archives of control planes are looked at later", "location", l.Name, "error", err)
		return after(max(r.Period, soon)), nil
	}
	r.mu.Lock()
	if r.seen == nil {
		r.seen = map[types.NamespacedName]shelves{}
	}
	r.seen[req.NamespacedName] = shelves{r.Now(), now}
	r.mu.Unlock()
	if r.Period <= 0 {
		return reconcile.Result{}, nil
	}
	return after(r.Period), nil
}

func (r *ControlPlanes) look(ctx context.Context, l *velerov1.BackupStorageLocation, before map[string]store.Archives) (map[string]store.Archives, error) {
	st, err := r.Stores.of(ctx, l)
	if err != nil {
		return nil, err
	}
	names, err := st.Shelves(ctx, store.Clusters)
	if err != nil {
		return nil, err
	}
	now := map[string]store.Archives{}
	var failed []error
	for _, name := range names {
		shelf, err := st.Shelf(store.Clusters, name)
		if err == nil {
			now[name], err = shelf.Archives(ctx, before[name])
		}
		if err != nil { // somebody else's folder, or a record that cannot be read: the others count all the same
			failed = append(failed, err)
			delete(now, name)
		}
	}
	if len(failed) > 0 && len(now) == 0 {
		return nil, errors.Join(failed...)
	}
	for _, err := range failed {
		r.Log.Warn("an archive of a control plane is not counted", "location", l.Name, "error", err)
	}
	return now, nil
}

// all are the archives by location and cluster.
func (r *ControlPlanes) all() map[types.NamespacedName]shelves {
	r.mu.Lock()
	defer r.mu.Unlock()
	return maps.Clone(r.seen)
}

// controlPlanes are the gauges about archives of control planes.
func (g *gatherer) controlPlanes() {
	if g.ControlPlanes == nil {
		return
	}
	for location, s := range g.ControlPlanes.all() {
		for cluster, a := range s.of {
			send := func(name, help string, value float64) {
				desc := prometheus.NewDesc("hozon_control_plane_backup_"+name, help, []string{"backup_location_name", "control_plane"}, nil)
				g.out <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, value, location.Name, cluster)
			}
			send("total", "Archives of a control plane that exist", float64(a.Kept))
			send("failures", "Runs since the last archive that could not make one", float64(a.Failed))
			if a.Kept == 0 {
				continue
			}
			send("last_successful_timestamp", "When the last archive was made", float64(a.Last.Created.Unix()))
			send("last_age_seconds", "How old the last archive is", g.Now().Sub(a.Last.Created).Seconds())
			send("size_bytes", "Size of the last archive", float64(a.Last.Size))
			send("sealed", "Whether the last archive is sealed", one(a.Last.Sealed))
		}
	}
}
