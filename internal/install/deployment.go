// SPDX-License-Identifier: Apache-2.0

package install

import (
	"maps"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// secretVersion is the annotation of the server's pods that makes a new Secret restart them.
const secretVersion = "hozon.dev/secret-version"

// user is who the server runs as: nobody, in the images that have no users.
const user int64 = 65532

const metricsPort = 8085

// deployment is the server's. Volumes and mounts are Velero's, so that plugins that are added to it find their place.
func (o Options) deployment() appsv1.Deployment {
	labels := map[string]string{"component": "velero", "deploy": "velero"}
	podLabels, podAnnotations := maps.Clone(labels), map[string]string{
		"prometheus.io/scrape": "true", "prometheus.io/path": "/metrics", "prometheus.io/port": "8085",
	}
	maps.Copy(podLabels, o.PodLabels)
	maps.Copy(podAnnotations, o.PodAnnotations)
	one, yes, id := int32(1), true, user
	return appsv1.Deployment{
		ObjectMeta: o.meta(Deployment),
		Spec: appsv1.DeploymentSpec{
			Replicas: &one,
			Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"deploy": "velero"}},
			Strategy: appsv1.DeploymentStrategy{Type: appsv1.RecreateDeploymentStrategyType},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: podLabels, Annotations: podAnnotations},
				Spec: corev1.PodSpec{
					ServiceAccountName: o.account(),
					PriorityClassName:  o.PriorityClass,
					RestartPolicy:      corev1.RestartPolicyAlways,
					SecurityContext: &corev1.PodSecurityContext{
						RunAsNonRoot: &yes, RunAsUser: &id, FSGroup: &id,
						SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
					},
					InitContainers: o.plugins(),
					Containers:     []corev1.Container{o.container()},
					Volumes:        o.volumes(),
				},
			},
		},
	}
}

func (o Options) container() corev1.Container {
	yes, no := true, false
	probe := func(path string) *corev1.Probe {
		return &corev1.Probe{
			ProbeHandler:  corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Path: path, Port: intstr.FromString("metrics")}},
			PeriodSeconds: 10, TimeoutSeconds: 5, FailureThreshold: 6,
		}
	}
	return corev1.Container{
		Name: Deployment, Image: o.Image, ImagePullPolicy: pullPolicy(o.Image),
		Command: []string{"/hozon"}, Args: append([]string{"server"}, o.Args...),
		Ports:     []corev1.ContainerPort{{Name: "metrics", ContainerPort: metricsPort}},
		Env:       o.environment(),
		Resources: o.Server.requirements(),
		SecurityContext: &corev1.SecurityContext{
			AllowPrivilegeEscalation: &no, ReadOnlyRootFilesystem: &yes,
			Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
		},
		VolumeMounts:  o.mounts(),
		LivenessProbe: probe("/healthz"), ReadinessProbe: probe("/readyz"),
	}
}

// pullPolicy is Velero's: what has no tag, or latest, may change under its name.
func pullPolicy(image string) corev1.PullPolicy {
	rest := image[strings.LastIndex(image, "/")+1:]
	_, tag, tagged := strings.Cut(rest, ":")
	if strings.Contains(rest, "@") || tagged && tag != "latest" {
		return corev1.PullIfNotPresent
	}
	return corev1.PullAlways
}

func (o Options) environment() []corev1.EnvVar {
	env := []corev1.EnvVar{
		{Name: "VELERO_SCRATCH_DIR", Value: "/scratch"},
		{Name: "VELERO_NAMESPACE", ValueFrom: &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{APIVersion: "v1", FieldPath: "metadata.namespace"}}},
		{Name: "LD_LIBRARY_PATH", Value: "/plugins"},
	}
	if o.Credentials == nil {
		return env
	}
	for _, name := range []string{"GOOGLE_APPLICATION_CREDENTIALS", "AWS_SHARED_CREDENTIALS_FILE", "AZURE_CREDENTIALS_FILE", "ALIBABA_CLOUD_CREDENTIALS_FILE"} {
		env = append(env, corev1.EnvVar{Name: name, Value: "/credentials/" + secretKey})
	}
	return env
}

func (o Options) volumes() []corev1.Volume {
	empty := corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}
	all := []corev1.Volume{{Name: "plugins", VolumeSource: empty}, {Name: "scratch", VolumeSource: empty}, {Name: "tmp", VolumeSource: empty}}
	if o.Credentials != nil {
		all = append(all, corev1.Volume{Name: Secret, VolumeSource: corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: Secret}}})
	}
	return all
}

func (o Options) mounts() []corev1.VolumeMount {
	all := []corev1.VolumeMount{{Name: "plugins", MountPath: "/plugins"}, {Name: "scratch", MountPath: "/scratch"}, {Name: "tmp", MountPath: "/tmp"}}
	if o.Credentials != nil {
		all = append(all, corev1.VolumeMount{Name: Secret, MountPath: "/credentials"})
	}
	return all
}

// requirements: quantities were checked.
func (r Resources) requirements() corev1.ResourceRequirements {
	list := func(cpu, mem string) corev1.ResourceList {
		l := corev1.ResourceList{}
		for name, text := range map[corev1.ResourceName]string{corev1.ResourceCPU: cpu, corev1.ResourceMemory: mem} {
			if q, err := resource.ParseQuantity(text); err == nil && !q.IsZero() {
				l[name] = q
			}
		}
		return l
	}
	return corev1.ResourceRequirements{Requests: list(r.CPURequest, r.MemRequest), Limits: list(r.CPULimit, r.MemLimit)}
}
