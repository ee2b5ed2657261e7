// SPDX-License-Identifier: Apache-2.0

package pod

import (
	"context"
	"fmt"
	"path"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"hozon.dev/hozon/internal/cluster"
	"hozon.dev/hozon/internal/fail"
)

// openClaim works in a pod that mounts the claim, or in one of its own.
func (o *Opener) openClaim(ctx context.Context, p Place, write bool) (*Session, error) {
	all, err := list[corev1.Pod](ctx, o.Client, pods, p.Namespace)
	if err != nil {
		return nil, err
	}
	for _, pod := range all {
		container, mount := mounts(pod, p.Name, write)
		if container == "" || pod.Status.Phase != corev1.PodRunning || pod.DeletionTimestamp != nil {
			continue
		}
		o.Say("Claim %s is mounted by pod %s, container %s, at %s.", p.Name, pod.Name, container, mount)
		return o.openPod(ctx, pod, Place{Namespace: p.Namespace, Name: pod.Name, Container: container, Path: path.Join(mount, p.Path)})
	}
	return o.around(ctx, p)
}

// mounts returns where a pod mounts a whole claim.
func mounts(pod corev1.Pod, claim string, write bool) (container, at string) {
	for _, v := range pod.Spec.Volumes {
		if v.PersistentVolumeClaim == nil || v.PersistentVolumeClaim.ClaimName != claim || write && v.PersistentVolumeClaim.ReadOnly {
			continue
		}
		for _, c := range pod.Spec.Containers {
			for _, m := range c.VolumeMounts {
				if m.Name == v.Name && m.SubPath == "" && m.SubPathExpr == "" && !(write && m.ReadOnly) {
					return c.Name, m.MountPath
				}
			}
		}
	}
	return "", ""
}

const claimMount = "/volume"

// around makes a pod with the claim, which lives as long as the session.
func (o *Opener) around(ctx context.Context, p Place) (*Session, error) {
	if o.Image == "" {
		return nil, fail.Errorf(fail.Invalid, "no pod mounts claim %s/%s, and a pod of our own needs an image with Hozon: name it with --helper-image", p.Namespace, p.Name)
	}
	root, none := int64(0), int64(0)
	pod := &corev1.Pod{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"},
		ObjectMeta: metav1.ObjectMeta{
			Namespace: p.Namespace, Name: newName(), Labels: map[string]string{"velero.io/exclude-from-backup": "true"},
		},
		Spec: corev1.PodSpec{
			RestartPolicy: corev1.RestartPolicyNever, TerminationGracePeriodSeconds: &none,
			SecurityContext: &corev1.PodSecurityContext{RunAsUser: &root},
			Containers: []corev1.Container{{
				Name: "helper", Image: o.Image, ImagePullPolicy: corev1.PullIfNotPresent, Command: []string{Program, "volume", "helper", "wait"},
				VolumeMounts: []corev1.VolumeMount{{Name: "volume", MountPath: claimMount}},
			}},
			Volumes: []corev1.Volume{{Name: "volume", VolumeSource: corev1.VolumeSource{
				PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: p.Name},
			}}},
		},
	}
	if err := create(ctx, o.Client, pods, pod); err != nil {
		return nil, fmt.Errorf("make a pod around claim %s/%s: %w", p.Namespace, p.Name, err)
	}
	o.Say("No pod mounts claim %s: made pod %s for it.", p.Name, pod.Name)
	s := &Session{
		opener: o, namespace: p.Namespace, pod: pod.Name, container: "helper", path: path.Join("/", p.Path),
		command: []string{Program, "volume", "helper", "serve", "--root=" + claimMount},
		end: func(ctx context.Context) error {
			return o.Client.Delete(ctx, pods, p.Namespace, pod.Name, cluster.DeleteOptions{GracePeriod: &none})
		},
	}
	err := poll(ctx, "pod "+pod.Name, func() (bool, error) {
		now, err := get[corev1.Pod](ctx, o.Client, pods, p.Namespace, pod.Name)
		if err != nil {
			return false, err
		}
		return started(now.Status.ContainerStatuses, "helper")
	})
	if err != nil {
		_ = s.Close(context.WithoutCancel(ctx))
		return nil, fmt.Errorf("make a pod around claim %s/%s: %w", p.Namespace, p.Name, err)
	}
	return s, nil
}

// CreateClaim makes a claim of a size, which is a quantity as Kubernetes writes it; an empty class is the cluster's default.
func (o *Opener) CreateClaim(ctx context.Context, namespace, name, size, class string) error {
	quantity, err := resource.ParseQuantity(size)
	if err != nil || quantity.Sign() <= 0 {
		return fail.Errorf(fail.Invalid, "size %q of a claim: write it as 10Gi or 500Mi", size)
	}
	claim := &corev1.PersistentVolumeClaim{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "PersistentVolumeClaim"},
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec: corev1.PersistentVolumeClaimSpec{
			AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
			Resources:   corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: quantity}},
		},
	}
	if class != "" {
		claim.Spec.StorageClassName = &class
	}
	return create(ctx, o.Client, claims, claim)
}
