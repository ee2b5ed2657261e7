// SPDX-License-Identifier: Apache-2.0

package fill

import (
	"cmp"
	"maps"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	velerov1 "hozon.dev/hozon/api/velero/v1"
	"hozon.dev/hozon/internal/volume/order"
)

// helper is the program that waits, in our image as in Velero's, and restores the folder whose volumes it waits for.
const (
	helper   = "/velero-restore-helper"
	restores = "/restores"
	nobody   = int64(65532)
)

// holdVolume is never filled, so that the helper of a mover waits until the mover is removed.
const holdVolume = "hold"

// mover is a pod that mounts claims and waits. It asks for nothing that the strictest of pod security standards refuses.
func mover(image string, like corev1.PodSpec, wanted []*velerov1.PodVolumeRestore) *corev1.Pod {
	first := wanted[0]
	labels := maps.Clone(first.Labels)
	labels[LabelMover] = "true"
	delete(labels, velerov1.LabelPVCUID)
	pod := &corev1.Pod{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"},
		ObjectMeta: metav1.ObjectMeta{Namespace: first.Spec.Pod.Namespace, Name: order.Name("hozon-mover-"), Labels: labels},
		Spec: corev1.PodSpec{
			NodeSelector: like.NodeSelector, Tolerations: like.Tolerations, SchedulerName: like.SchedulerName, PriorityClassName: like.PriorityClassName,
			RestartPolicy: corev1.RestartPolicyNever, AutomountServiceAccountToken: new(false), EnableServiceLinks: new(false), TerminationGracePeriodSeconds: new(int64(1)),
			SecurityContext: &corev1.PodSecurityContext{
				RunAsNonRoot: new(true), RunAsUser: new(nobody), RunAsGroup: new(nobody), SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
			},
			Containers: []corev1.Container{{
				Name: "mover", Image: image, ImagePullPolicy: corev1.PullIfNotPresent, Command: []string{helper}, Args: []string{cmp.Or(first.Labels[velerov1.LabelRestoreUID], "none")},
				VolumeMounts:    []corev1.VolumeMount{{Name: holdVolume, MountPath: restores + "/" + holdVolume}},
				SecurityContext: unprivileged(), Resources: small(),
			}},
			Volumes: []corev1.Volume{{Name: holdVolume, VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}}},
		},
	}
	if a := like.Affinity; a != nil && a.NodeAffinity != nil { // other pods may not be there yet
		pod.Spec.Affinity = &corev1.Affinity{NodeAffinity: a.NodeAffinity}
	}
	for _, w := range wanted {
		claim := w.Annotations[velerov1.AnnotationPVCName]
		pod.Spec.Volumes = append(pod.Spec.Volumes, corev1.Volume{Name: w.Spec.Volume, VolumeSource: corev1.VolumeSource{
			PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: claim},
		}})
		mounts := &pod.Spec.Containers[0].VolumeMounts
		*mounts = append(*mounts, corev1.VolumeMount{Name: w.Spec.Volume, MountPath: "/volumes/" + w.Spec.Volume})
	}
	return pod
}

func unprivileged() *corev1.SecurityContext {
	return &corev1.SecurityContext{AllowPrivilegeEscalation: new(false), Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}}}
}

// small is what Velero gives its helper.
func small() corev1.ResourceRequirements {
	list := corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("100m"), corev1.ResourceMemory: resource.MustParse("128Mi")}
	return corev1.ResourceRequirements{Requests: list, Limits: maps.Clone(list)}
}

// WaitContainer is the name of the init container that holds a pod until its volumes are filled.
const WaitContainer = "restore-wait"

// wait is that init container, as Velero makes it, for a pod's volumes.
func wait(image, restoreUID string, spec *corev1.PodSpec, volumes []string) corev1.Container {
	c := corev1.Container{
		Name: WaitContainer, Image: image, ImagePullPolicy: corev1.PullIfNotPresent, Command: []string{helper}, Args: []string{restoreUID},
		Env: []corev1.EnvVar{
			{Name: "POD_NAMESPACE", ValueFrom: &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{APIVersion: "v1", FieldPath: "metadata.namespace"}}},
			{Name: "POD_NAME", ValueFrom: &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{APIVersion: "v1", FieldPath: "metadata.name"}}},
		},
		Resources: small(), SecurityContext: waitContext(spec),
		TerminationMessagePath: corev1.TerminationMessagePathDefault, TerminationMessagePolicy: corev1.TerminationMessageReadFile,
	}
	for _, v := range volumes {
		c.VolumeMounts = append(c.VolumeMounts, corev1.VolumeMount{Name: v, MountPath: restores + "/" + v})
	}
	return c
}

// waitContext is who waits: as the pod's first container, else as the pod, else as nobody of note. Who may not look into a volume is told by our agent all the same.
func waitContext(spec *corev1.PodSpec) *corev1.SecurityContext {
	if len(spec.Containers) > 0 && spec.Containers[0].SecurityContext != nil {
		return spec.Containers[0].SecurityContext.DeepCopy()
	}
	c := unprivileged()
	c.SeccompProfile = &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault}
	if p := spec.SecurityContext; p != nil && (p.RunAsUser != nil || p.RunAsGroup != nil) {
		c.RunAsUser, c.RunAsGroup = p.RunAsUser, p.RunAsGroup
		return c
	}
	c.RunAsNonRoot, c.RunAsUser = new(true), new(int64(1000))
	return c
}
