// SPDX-License-Identifier: Apache-2.0

package install

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/client-go/util/csaupgrade"

	"hozon.dev/hozon/internal/cluster"
	"hozon.dev/hozon/internal/fail"
	"hozon.dev/hozon/internal/object"
	"hozon.dev/hozon/internal/velero"
)

// fieldManager is what an installation's fields are recorded under.
const fieldManager = "hozon"

// Installer carries an installation into a cluster.
type Installer struct {
	Cluster   *cluster.Client
	Namespace string
	// Say hears a line for each thing that is done.
	Say func(format string, args ...any)
	// KeepPlugins goes on although the Deployment that is replaced has plugins that are not built in; they stay as they are.
	KeepPlugins bool
	// Snapshots keeps the clouds' plugins of the Deployment that is replaced: they take native snapshots.
	Snapshots bool
	// Now replaces a server that is at work at once, instead of waiting for it.
	Now bool
}

func (i *Installer) server() velero.Client {
	return velero.Client{Cluster: i.Cluster, Namespace: i.Namespace}
}

// Apply makes the cluster have what the manifests say, and changes what is there to it. Nothing else is touched.
func (i *Installer) Apply(ctx context.Context, all []Manifest) error {
	before, err := i.deployed(ctx)
	if err != nil {
		return err
	}
	if before != nil {
		if err := i.mayReplace(ctx, before, all); err != nil {
			return err
		}
	}
	secret := ""
	for _, m := range all {
		i.Say("%s: attempting to create resource", m)
		if m.Type.Resource == deployments.Resource {
			if err := i.deploy(ctx, m, before, secret); err != nil {
				return err
			}
			i.Say("%s: created", m)
			continue
		}
		if m.Type.Resource == daemonSets.Resource {
			if err := i.rollOut(ctx, m, secret); err != nil {
				return fmt.Errorf("install %s: %w", m, err)
			}
			i.Say("%s: created", m)
			continue
		}
		stored, err := i.apply(ctx, m)
		if err != nil {
			return fmt.Errorf("install %s: %w", m, err)
		}
		if m.Type.Resource == secrets.Resource {
			secret = resourceVersion(stored)
		}
		i.Say("%s: created", m)
	}
	return nil
}

// established is how long a new kind may take before its first object is accepted.
const established = 30 * time.Second

// apply waits for kinds that were defined just now.
func (i *Installer) apply(ctx context.Context, m Manifest) ([]byte, error) {
	within, cancel := context.WithTimeout(ctx, established)
	defer cancel()
	for {
		stored, err := i.Cluster.Patch(ctx, m.Type, m.Namespace, m.Name, types.ApplyPatchType, m.Body, cluster.WriteOptions{FieldManager: fieldManager, Force: true})
		if err == nil || !fail.Is(err, fail.NotFound) {
			return stored, err
		}
		select {
		case <-within.Done():
			return nil, err
		case <-time.After(again):
		}
	}
}

// again is the time between two looks.
const again = 200 * time.Millisecond

func resourceVersion(body []byte) string {
	head, err := object.Scan(body)
	if err != nil {
		return ""
	}
	return head.ResourceVersion
}

// deployed is the server's Deployment; nil if there is none.
func (i *Installer) deployed(ctx context.Context) (*appsv1.Deployment, error) {
	body, err := i.Cluster.Get(ctx, deployments, i.Namespace, Deployment)
	if fail.Is(err, fail.NotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("look for an installation: %w", err)
	}
	d := &appsv1.Deployment{}
	if err := json.Unmarshal(body, d); err != nil {
		return nil, fmt.Errorf("read Deployment %s/%s: %w", i.Namespace, Deployment, err)
	}
	return d, nil
}

// deploy makes the Deployment, or puts ours in the place of the one that is there: all of its spec, since what another program's had (arguments,
// probes, strategy) must not stay behind. Plugins stay.
func (i *Installer) deploy(ctx context.Context, m Manifest, before *appsv1.Deployment, secret string) error {
	var d appsv1.Deployment
	if err := json.Unmarshal(m.Body, &d); err != nil {
		return fmt.Errorf("read %s: %w", m, err)
	}
	if secret != "" {
		d.Spec.Template.Annotations[secretVersion] = secret
	}
	if before == nil {
		body, err := json.Marshal(d)
		if err == nil {
			body, err = i.Cluster.Create(ctx, m.Type, m.Namespace, body, cluster.WriteOptions{FieldManager: fieldManager})
		}
		return i.handOver(ctx, m, body, err)
	}
	d.ResourceVersion = before.ResourceVersion
	for _, c := range before.Spec.Template.Spec.InitContainers {
		wanted := &d.Spec.Template.Spec.InitContainers
		same := func(o corev1.Container) bool { return o.Name == c.Name }
		if !BuiltIn(c.Image, i.Snapshots) && !slices.ContainsFunc(*wanted, same) {
			*wanted = append(*wanted, c)
		}
	}
	body, err := json.Marshal(d)
	if err == nil {
		body, err = i.Cluster.Update(ctx, m.Type, m.Namespace, m.Name, body, cluster.WriteOptions{FieldManager: fieldManager})
	}
	return i.handOver(ctx, m, body, err)
}

// veleroManager is what `velero install --apply` records its fields under.
const veleroManager = "velero-cli"

// handOver records the Deployment's fields as if that command had applied them: when it is given again, what it does not know, our probes above all, goes. They
// would kill Velero's server, which answers none of them.
func (i *Installer) handOver(ctx context.Context, m Manifest, stored []byte, err error) error {
	for err == nil {
		var d appsv1.Deployment
		if err := json.Unmarshal(stored, &d); err != nil {
			return fmt.Errorf("read %s: %w", m, err)
		}
		patch, err := csaupgrade.UpgradeManagedFieldsPatch(&d, sets.New(fieldManager), veleroManager)
		if err != nil || len(patch) == 0 {
			return err
		}
		_, err = i.Cluster.Patch(ctx, m.Type, m.Namespace, m.Name, types.JSONPatchType, patch, cluster.WriteOptions{})
		if !apierrors.IsConflict(err) {
			return err
		}
		stored, err = i.Cluster.Get(ctx, m.Type, m.Namespace, m.Name) // its controller has written to it
		if err != nil {
			return err
		}
	}
	return err
}

// Wait waits until the server that was installed is ready. The error says what holds it up.
func (i *Installer) Wait(ctx context.Context) error {
	for {
		d, err := i.deployed(ctx)
		if err != nil && !fail.Is(err, fail.Transient) {
			return err
		}
		if d != nil && ready(d) {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for Deployment %s/%s: %w%s", i.Namespace, Deployment, context.Cause(ctx), held(d))
		case <-time.After(again):
		}
	}
}

func ready(d *appsv1.Deployment) bool {
	s := d.Status
	return s.ObservedGeneration >= d.Generation && s.UpdatedReplicas > 0 && s.AvailableReplicas == s.Replicas && s.UpdatedReplicas == s.Replicas
}

func held(d *appsv1.Deployment) string {
	if d == nil {
		return "; it does not exist"
	}
	for _, c := range d.Status.Conditions {
		if c.Status != corev1.ConditionTrue && c.Message != "" {
			return "; " + c.Message
		}
	}
	return fmt.Sprintf("; %d of %d pods are ready: see `kubectl -n %s describe pods -l deploy=velero`", d.Status.ReadyReplicas, d.Status.Replicas, d.Namespace)
}
