// SPDX-License-Identifier: Apache-2.0

package restore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/types"

	"hozon.dev/hozon/internal/cluster"
	"hozon.dev/hozon/internal/fail"
	"hozon.dev/hozon/internal/object"
	"hozon.dev/hozon/internal/plan"
	"hozon.dev/hozon/internal/report"
	"hozon.dev/hozon/internal/store"
)

// defaultVolumeWait is how long volumes that claims provision anew are waited for: Velero's.
const defaultVolumeWait = 10 * time.Minute

var (
	claimType = object.Type{Version: "v1", Resource: "persistentvolumeclaims", Kind: "PersistentVolumeClaim", Namespaced: true}
	classType = object.Type{Group: "storage.k8s.io", Version: "v1", Resource: "storageclasses", Kind: "StorageClass"}
	podType   = object.Type{Version: "v1", Resource: "pods", Kind: "Pod", Namespaced: true}
)

// anew are the claims of a restore that ask for a new volume: what their old one had beside its bytes, its reclaim policy and labels, is given to the new one.
type anew struct {
	mu     sync.Mutex
	source map[object.Ref]object.Ref // names in the target to those in the backup
	made   []object.Ref
}

// expect takes note of a claim before it is made.
func (a *anew) expect(s plan.Step, source object.Ref) {
	if !s.Reprovision {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.source == nil {
		a.source = map[object.Ref]object.Ref{}
	}
	a.source[words(s.Target)] = words(source)
}

// made takes note of what was made.
func (a *anew) item(i report.Item) {
	if i.Action != report.Created || i.Ref.Resource != claimType.Resource || i.Ref.Group != "" {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if _, ok := a.source[i.Ref]; ok {
		a.made = append(a.made, i.Ref)
	}
}

// giveBack waits for the volumes of the claims that were made, as far as they will get others than the saved ones were, and changes them.
func (r *run) giveBack(ctx context.Context) error {
	if r.o.DryRun || len(r.anew.made) == 0 {
		return nil
	}
	var infos []store.BackedUpVolume
	err := r.Store.ReadJSON(ctx, store.Backup, r.backup.Name, store.VolumeInfo, &infos)
	switch {
	case fail.Is(err, fail.NotFound): // a backup by Velero before 1.13
		return nil
	case fail.Is(err, fail.Corrupt):
		r.report.Warn("", "%v; new volumes keep the reclaim policy of their class", err)
		return nil
	case err != nil:
		return err
	}
	saved := map[string]*store.PVInfo{}
	for _, i := range infos {
		saved[i.PVCNamespace+"/"+i.PVCName] = i.PVInfo
	}
	limit := r.o.VolumeWait
	if limit == 0 {
		limit = defaultVolumeWait
	}
	wait, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	var mu sync.Mutex
	var all errgroup.Group
	all.SetLimit(sidePods)
	for _, claim := range r.anew.made {
		info := saved[r.anew.source[claim].ID()]
		if info == nil || info.ReclaimPolicy == "" {
			continue
		}
		all.Go(func() error {
			if err := r.giveTo(wait, claim, info); err != nil && ctx.Err() == nil {
				mu.Lock()
				defer mu.Unlock()
				if errors.Is(err, errUnused) {
					r.report.Warn(claim.Namespace, "PersistentVolumeClaim %s: %v", claim.Name, err)
					return nil
				}
				r.report.Err(claim.Namespace, "PersistentVolumeClaim %s: its new volume does not get the reclaim policy %s and the labels of the old one: %v", claim.Name, info.ReclaimPolicy, err)
			}
			return nil
		})
	}
	_ = all.Wait() // its functions return none
	return context.Cause(ctx)
}

var errUnused = errors.New("no pod uses it yet, and only then it gets a volume: that will have the reclaim policy of its class, and not")

// giveTo changes the volume of one claim, if it has to be.
func (r *run) giveTo(ctx context.Context, ref object.Ref, info *store.PVInfo) error {
	var claim corev1.PersistentVolumeClaim
	body, err := r.Target.Get(ctx, claimType, ref.Namespace, ref.Name)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(body, &claim); err != nil {
		return fmt.Errorf("read the claim: %w", err)
	}
	if claim.Spec.StorageClassName == nil || *claim.Spec.StorageClassName == "" {
		return nil // nobody makes a volume for it
	}
	class, err := r.class(ctx, *claim.Spec.StorageClassName)
	if err != nil || class == nil || alike(class, info) {
		return err
	}
	if claim.Status.Phase != corev1.ClaimBound {
		if unused, err := r.unused(ctx, class, &claim); err != nil || unused {
			return errors.Join(err, fmt.Errorf("%w %s", errUnused, info.ReclaimPolicy))
		}
		if err := r.bound(ctx, &claim); err != nil {
			return err
		}
	}
	return r.change(ctx, claim.Spec.VolumeName, info)
}

// class reads a StorageClass that makes volumes; nil: there is none.
func (r *run) class(ctx context.Context, name string) (*storagev1.StorageClass, error) {
	body, err := r.Target.Get(ctx, classType, "", name)
	if fail.Is(err, fail.NotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var class storagev1.StorageClass
	if err := json.Unmarshal(body, &class); err != nil {
		return nil, fmt.Errorf("read StorageClass %s: %w", name, err)
	}
	if class.Provisioner == "kubernetes.io/no-provisioner" {
		return nil, nil
	}
	return &class, nil
}

// alike says that volumes of the class are as the old one was.
func alike(class *storagev1.StorageClass, info *store.PVInfo) bool {
	policy := corev1.PersistentVolumeReclaimDelete
	if class.ReclaimPolicy != nil {
		policy = *class.ReclaimPolicy
	}
	return string(policy) == info.ReclaimPolicy && len(lasting(info.Labels)) == 0
}

// lasting are labels but for those that say where a volume is: a new one may be elsewhere.
func lasting(labels map[string]string) map[string]string {
	out := map[string]string{}
	for k, v := range labels {
		if !strings.HasPrefix(k, "topology.") && !strings.HasPrefix(k, "failure-domain.") {
			out[k] = v
		}
	}
	return out
}

// unused says that the claim's volume is made for the first pod that uses it, and there is none.
func (r *run) unused(ctx context.Context, class *storagev1.StorageClass, claim *corev1.PersistentVolumeClaim) (bool, error) {
	if class.VolumeBindingMode == nil || *class.VolumeBindingMode != storagev1.VolumeBindingWaitForFirstConsumer || claim.Annotations["volume.kubernetes.io/selected-node"] != "" {
		return false, nil
	}
	used := false
	err := r.listIn(ctx, podType, claim.Namespace, func(_ object.Head, body []byte) error {
		var pod corev1.Pod
		if err := json.Unmarshal(body, &pod); err != nil {
			return err
		}
		for _, v := range pod.Spec.Volumes {
			used = used || v.PersistentVolumeClaim != nil && v.PersistentVolumeClaim.ClaimName == claim.Name
		}
		return nil
	})
	return !used, err
}

// bound waits until the claim has its volume.
func (r *run) bound(ctx context.Context, claim *corev1.PersistentVolumeClaim) error {
	for ctx.Err() == nil {
		events, err := r.Target.Watch(ctx, claimType, claim.Namespace, claim.ResourceVersion, cluster.WatchOptions{FieldSelector: "metadata.name=" + claim.Name})
		if errors.Is(err, cluster.ErrExpired) {
			claim.ResourceVersion = "" // begins with the claim as it is
			continue
		}
		if err != nil {
			return err
		}
		over, err := follow(events, claim)
		events.Close()
		if over || err != nil {
			return err
		}
	}
	return fmt.Errorf("it was not bound in time (it is %s)", claim.Status.Phase)
}

// follow reads events until the claim is bound or gone, which is over, or the watch ends.
func follow(events *cluster.Watch, claim *corev1.PersistentVolumeClaim) (over bool, err error) {
	for {
		e, err := events.Next()
		if err != nil {
			return false, nil // an end of the watch, for whatever reason
		}
		if e.Type == "DELETED" {
			return true, errors.New("it is gone")
		}
		*claim = corev1.PersistentVolumeClaim{}
		if err := json.Unmarshal(e.Object, claim); err != nil {
			return true, fmt.Errorf("read the claim: %w", err)
		}
		if claim.Status.Phase == corev1.ClaimBound && claim.Spec.VolumeName != "" {
			return true, nil
		}
	}
}

// change gives a volume the reclaim policy and the labels of the old one.
func (r *run) change(ctx context.Context, volume string, info *store.PVInfo) error {
	patch, err := json.Marshal(map[string]any{
		"metadata": map[string]any{"labels": lasting(info.Labels)},
		"spec":     map[string]any{"persistentVolumeReclaimPolicy": info.ReclaimPolicy},
	})
	if err != nil {
		return err
	}
	if _, err := r.Target.Patch(ctx, persistentVolumes, "", volume, types.MergePatchType, patch, cluster.WriteOptions{}); err != nil {
		return fmt.Errorf("change PersistentVolume %s: %w", volume, err)
	}
	r.log.line("info", "volume %s has the reclaim policy %s", volume, info.ReclaimPolicy)
	return nil
}
