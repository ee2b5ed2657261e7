// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"hozon.dev/hozon/internal/controller"
	"hozon.dev/hozon/internal/fail"
)

// volumes finds the volumes of this node's pods.
type volumes struct {
	*controller.Site
	node  string
	place Place
}

// pod is the pod of an order, if it is on this node; nil if it is not.
func (v *volumes) pod(ctx context.Context, ref *corev1.ObjectReference) (*corev1.Pod, error) {
	var pod corev1.Pod
	err := v.Client.Get(ctx, client.ObjectKey{Namespace: ref.Namespace, Name: ref.Name}, &pod)
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if ref.UID != "" && ref.UID != pod.UID || pod.Spec.NodeName != v.node {
		return nil, nil
	}
	return &pod, nil
}

// running is pod, when the containers may have volumes; the cache may be behind, so the API server is asked before a no.
func (v *volumes) running(ctx context.Context, ref *corev1.ObjectReference) (*corev1.Pod, error) {
	pod, err := v.pod(ctx, ref)
	if err != nil {
		return nil, err
	}
	if pod == nil {
		var live corev1.Pod
		err := v.Live.Get(ctx, client.ObjectKey{Namespace: ref.Namespace, Name: ref.Name}, &live)
		switch {
		case apierrors.IsNotFound(err):
			return nil, fail.Errorf(fail.NotFound, "the pod does not exist any more")
		case err != nil:
			return nil, fmt.Errorf("get the pod: %w", err)
		case ref.UID != "" && ref.UID != live.UID:
			return nil, fail.Errorf(fail.NotFound, "the pod was replaced by another one of its name")
		case live.Spec.NodeName != v.node:
			return nil, fail.Errorf(fail.Invalid, "the pod is on node %q, this agent on %q", live.Spec.NodeName, v.node)
		}
		pod = &live
	}
	if over(pod) {
		return nil, fail.Errorf(fail.Invalid, "the pod has ended (%s): its volumes are not there any more", pod.Status.Phase)
	}
	return pod, nil
}

// over says that the kubelet takes, or has taken, the volumes of a pod away.
func over(pod *corev1.Pod) bool {
	if pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed {
		return true
	}
	all := slices.Concat(pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses)
	runs := slices.ContainsFunc(all, func(s corev1.ContainerStatus) bool { return s.State.Running != nil })
	return pod.DeletionTimestamp != nil && !runs
}

// open opens a volume of a pod.
func (v *volumes) open(ctx context.Context, pod *corev1.Pod, name string) (*folder, error) {
	i := slices.IndexFunc(pod.Spec.Volumes, func(v corev1.Volume) bool { return v.Name == name })
	if i < 0 {
		return nil, fail.Errorf(fail.NotFound, "the pod has no volume %q", name)
	}
	volume := &pod.Spec.Volumes[i]
	if what := excluded(volume); what != "" {
		return nil, fail.Errorf(fail.Unsupported, "the volume is %s: what it holds is not the pod's own", what)
	}
	claim := ""
	switch {
	case volume.PersistentVolumeClaim != nil:
		claim = volume.PersistentVolumeClaim.ClaimName
	case volume.Ephemeral != nil:
		claim = pod.Name + "-" + volume.Name
	default:
		return v.place.open(inline(pod, volume))
	}
	bound, err := v.bound(ctx, pod, claim)
	if err != nil {
		return nil, err
	}
	return v.place.open(bound)
}

// bound is the spot of a claim of the pod.
func (v *volumes) bound(ctx context.Context, pod *corev1.Pod, name string) (spot, error) {
	var claim corev1.PersistentVolumeClaim
	if err := v.Live.Get(ctx, client.ObjectKey{Namespace: pod.Namespace, Name: name}, &claim); err != nil {
		return spot{}, fmt.Errorf("get the claim %s: %w", name, err)
	}
	if claim.Spec.VolumeName == "" {
		return spot{}, fail.Errorf(fail.Invalid, "the claim %s is not bound", name)
	}
	if mode := claim.Spec.VolumeMode; mode != nil && *mode == corev1.PersistentVolumeBlock {
		return spot{}, fail.Errorf(fail.Unsupported, "the claim %s is a block device: only file systems are saved and restored", name)
	}
	var volume corev1.PersistentVolume
	if err := v.Live.Get(ctx, client.ObjectKey{Name: claim.Spec.VolumeName}, &volume); err != nil {
		return spot{}, fmt.Errorf("get the volume of claim %s: %w", name, err)
	}
	return bound(pod, &volume), nil
}

// ended says that the pod of an order has gone, or its containers have, and the kubelet takes the volumes away.
func (v *volumes) ended(ctx context.Context, o order) (bool, error) {
	pod, err := v.pod(ctx, o.pod())
	return err == nil && (pod == nil || over(pod)), err
}
