// SPDX-License-Identifier: Apache-2.0

package install

import (
	"fmt"
	"maps"
	"strconv"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// ControlPlane is what is wanted of backups of the control plane, made by a CronJob on one of its nodes.
type ControlPlane struct {
	Cluster    string // its name in the store; "": there are no such backups
	Schedule   string // of five fields
	Keep       int    // archives that are kept
	Recipients []string
}

// CronJob is its name.
const CronJob = "hozon-control-plane"

// hostRoot is where the node's files are in the job's container.
const hostRoot = "/host"

// cronJob is a job on a control-plane node that sees the node's files and processes, and its network, on which etcd listens.
func (o Options) cronJob() batchv1.CronJob {
	three, one, yes, root := int32(3), int32(1), true, int64(0)
	labels := map[string]string{"component": "velero", "app": CronJob}
	podLabels := maps.Clone(labels)
	return batchv1.CronJob{
		ObjectMeta: o.meta(CronJob),
		Spec: batchv1.CronJobSpec{
			Schedule: o.ControlPlane.Schedule, ConcurrencyPolicy: batchv1.ForbidConcurrent, SuccessfulJobsHistoryLimit: &one, FailedJobsHistoryLimit: &three,
			JobTemplate: batchv1.JobTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec: batchv1.JobSpec{BackoffLimit: &three, Template: corev1.PodTemplateSpec{
					ObjectMeta: metav1.ObjectMeta{Labels: podLabels},
					Spec: corev1.PodSpec{
						ServiceAccountName: o.account(), RestartPolicy: corev1.RestartPolicyNever, PriorityClassName: o.PriorityClass,
						HostNetwork: true, HostPID: true, DNSPolicy: corev1.DNSClusterFirstWithHostNet,
						Affinity: onControlPlane(), Tolerations: []corev1.Toleration{{Operator: corev1.TolerationOpExists}},
						Containers: []corev1.Container{{
							Name: "hozon", Image: o.Image, ImagePullPolicy: pullPolicy(o.Image), Command: []string{"/hozon"}, Args: o.ControlPlane.args(), Env: o.environment(),
							Resources:       o.Server.requirements(),
							SecurityContext: &corev1.SecurityContext{Privileged: &yes, RunAsUser: &root},
							VolumeMounts:    append(o.mounts(), corev1.VolumeMount{Name: "host", MountPath: hostRoot, ReadOnly: true}),
						}},
						Volumes: append(o.volumes(), corev1.Volume{Name: "host", VolumeSource: corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: "/"}}}),
					},
				}},
			},
		},
	}
}

// onControlPlane wants a node of the control plane, by the label of today or that of old.
func onControlPlane() *corev1.Affinity {
	term := func(key string) corev1.NodeSelectorTerm {
		return corev1.NodeSelectorTerm{MatchExpressions: []corev1.NodeSelectorRequirement{{Key: key, Operator: corev1.NodeSelectorOpExists}}}
	}
	return &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{RequiredDuringSchedulingIgnoredDuringExecution: &corev1.NodeSelector{
		NodeSelectorTerms: []corev1.NodeSelectorTerm{term("node-role.kubernetes.io/control-plane"), term("node-role.kubernetes.io/master")},
	}}}
}

func (c ControlPlane) args() []string {
	args := []string{"backup", "cluster", "--cluster=" + c.Cluster, "--backup-location=" + defaultLocation, "--host-root=" + hostRoot, "--keep=" + strconv.Itoa(c.Keep)}
	for _, r := range c.Recipients {
		args = append(args, "--recipient="+r)
	}
	return args
}

// check refuses what cannot be installed.
func (c ControlPlane) check(provider string) error {
	switch {
	case c.Cluster == "":
		return nil
	case provider == "":
		return fmt.Errorf("backups of the control plane need a location: give --provider and --bucket")
	case c.Schedule == "" || c.Keep < 1:
		return fmt.Errorf("backups of the control plane need a schedule, and at least one that is kept")
	}
	return nil
}
