// SPDX-License-Identifier: Apache-2.0

package install

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"hozon.dev/hozon/internal/cluster"
	"hozon.dev/hozon/internal/fail"
	"hozon.dev/hozon/internal/object"
	"hozon.dev/hozon/internal/velero"
)

// Holding is what an installation holds that goes with it. What is in the buckets stays there.
type Holding struct{ Backups, Restores, Schedules, Locations int }

// Holds counts. A cluster without the kinds holds nothing.
func (i *Installer) Holds(ctx context.Context) (h Holding, err error) {
	count := func(n int, e error) int {
		if err == nil && !fail.Is(e, fail.NotFound) {
			err = e
		}
		return n
	}
	c := i.server()
	backups, e := velero.Backups.List(ctx, c, "")
	h.Backups = count(len(backups), e)
	restores, e := velero.Restores.List(ctx, c, "")
	h.Restores = count(len(restores), e)
	schedules, e := velero.Schedules.List(ctx, c, "")
	h.Schedules = count(len(schedules), e)
	storage, e := velero.StorageLocations.List(ctx, c, "")
	h.Locations = count(len(storage), e)
	return h, err
}

// Uninstall removes the server, its namespace with all that is in it, its rights, and the kinds. It goes on where something is gone already,
// so that it can be repeated.
func (i *Installer) Uninstall(ctx context.Context) error {
	o := Options{Namespace: i.Namespace}
	gone := []Manifest{
		{Type: deployments, Namespace: i.Namespace, Name: Deployment},
		{Type: daemonSets, Namespace: i.Namespace, Name: DaemonSet},
		{Type: daemonSets, Namespace: i.Namespace, Name: "node-agent-windows"},
		{Type: clusterBinds, Name: o.bindingName()},
		{Type: clusterBinds, Name: o.bindingName() + "-server"},
		{Type: clusterRoles, Name: o.bindingName() + "-server"},
		{Type: clusterBinds, Name: o.bindingName() + "-node-agent"},
		{Type: clusterRoles, Name: o.bindingName() + "-node-agent"},
	}
	for _, m := range gone {
		if err := i.remove(ctx, m); err != nil {
			return err
		}
	}
	if err := i.free(ctx); err != nil {
		return err
	}
	if err := i.remove(ctx, Manifest{Type: namespaces, Name: i.Namespace}); err != nil {
		return err
	}
	return i.removeCRDs(ctx)
}

func (i *Installer) remove(ctx context.Context, m Manifest) error {
	err := i.Cluster.Delete(ctx, m.Type, m.Namespace, m.Name, cluster.DeleteOptions{Propagation: "Background"})
	if fail.Is(err, fail.NotFound) {
		return nil
	}
	if err == nil {
		i.Say("%s: deleted", m)
	}
	return err
}

// free takes off the finalizers that only the server, which is gone, could: without that the namespace would never go.
func (i *Installer) free(ctx context.Context) error {
	for _, resource := range []object.Type{
		{Group: "velero.io", Version: "v1", Resource: "backups", Namespaced: true},
		{Group: "velero.io", Version: "v1", Resource: "restores", Namespaced: true},
		{Group: "velero.io", Version: "v1", Resource: "podvolumebackups", Namespaced: true},
		{Group: "velero.io", Version: "v1", Resource: "podvolumerestores", Namespaced: true},
		{Group: "velero.io", Version: "v2alpha1", Resource: "datauploads", Namespaced: true},
		{Group: "velero.io", Version: "v2alpha1", Resource: "datadownloads", Namespaced: true},
	} {
		if err := i.freeAll(ctx, resource); err != nil && !fail.Is(err, fail.NotFound) {
			return err
		}
	}
	return nil
}

func (i *Installer) freeAll(ctx context.Context, t object.Type) error {
	body, err := i.Cluster.List(ctx, t, cluster.ListOptions{Namespace: i.Namespace})
	if err != nil {
		return err
	}
	defer body.Close()
	var list struct {
		Items []struct {
			Metadata struct {
				Name       string
				Finalizers []string
			}
		}
	}
	if err := json.NewDecoder(body).Decode(&list); err != nil {
		return fmt.Errorf("list %s: %w", t.Resource, err)
	}
	for _, item := range list.Items {
		if len(item.Metadata.Finalizers) == 0 {
			continue
		}
		_, err := i.Cluster.Patch(ctx, t, i.Namespace, item.Metadata.Name, types.MergePatchType, []byte(`{"metadata":{"finalizers":null}}`), cluster.WriteOptions{FieldManager: fieldManager})
		if err != nil && !fail.Is(err, fail.NotFound) {
			return err
		}
	}
	return nil
}

// removeCRDs removes the kinds, once no other namespace has a server.
func (i *Installer) removeCRDs(ctx context.Context) error {
	all, err := Options{CRDsOnly: true}.Manifests()
	if err != nil {
		return err
	}
	others, err := i.elsewhere(ctx)
	if err != nil {
		return err
	}
	if others != "" {
		i.Say("The kinds of velero.io stay: namespace %s has locations too.", others)
		return nil
	}
	for _, m := range all {
		if err := i.remove(ctx, m); err != nil {
			return err
		}
	}
	return nil
}

// elsewhere is another namespace with an installation.
func (i *Installer) elsewhere(ctx context.Context) (string, error) {
	all, err := velero.StorageLocations.List(ctx, velero.Client{Cluster: i.Cluster}, "")
	if err != nil && !fail.Is(err, fail.NotFound) {
		return "", err
	}
	for _, l := range all {
		if l.Namespace != i.Namespace {
			return l.Namespace, nil
		}
	}
	return "", nil
}

// WaitGone waits until the namespace is gone.
func (i *Installer) WaitGone(ctx context.Context) error {
	for {
		_, err := i.Cluster.Get(ctx, namespaces, "", i.Namespace)
		if fail.Is(err, fail.NotFound) {
			return nil
		}
		if err != nil && !fail.Is(err, fail.Transient) {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for namespace %s to go: %w", i.Namespace, context.Cause(ctx))
		case <-time.After(again):
		}
	}
}
