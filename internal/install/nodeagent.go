// SPDX-License-Identifier: Apache-2.0

package install

import (
	"maps"
	"path"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	velerov1 "hozon.dev/hozon/api/velero/v1"
)

// DaemonSet is that of the node agents; Velero's name.
const DaemonSet = "node-agent"

// NodeAgent is what is wanted of the process that saves and restores the volumes of each node's pods.
type NodeAgent struct {
	Enabled       bool
	Privileged    bool   // where SELinux keeps even root from other pods' files
	HostRoot      bool   // it sees the node's root, for hostPath volumes
	KubeletRoot   string // the kubelet's folder on the nodes; empty: /var/lib/kubelet
	ConfigMap     string // how many volumes a node works on at a time
	PriorityClass string
	Resources     Resources
}

const (
	hostPods      = "/host_pods"
	kubeletFolder = "/var/lib/kubelet"
)

func (a NodeAgent) kubelet() string {
	if a.KubeletRoot == "" {
		return kubeletFolder
	}
	return a.KubeletRoot
}

func (a NodeAgent) args() []string {
	args := []string{"node-agent", "server"}
	if a.ConfigMap != "" {
		args = append(args, "--node-agent-configmap="+a.ConfigMap)
	}
	if a.HostRoot {
		args = append(args, "--host-root-path="+hostRoot)
	}
	return args
}

// agentAccount is an account of the agents' own, with rights of their own, where rights are split.
func (o Options) agentAccount() string {
	if o.Account == "" && o.RBAC == Split {
		return "velero-node-agent"
	}
	return o.account()
}

// daemonSet is the node agents'. They are root: volumes belong to all sorts of users.
func (o Options) daemonSet() appsv1.DaemonSet {
	root, a := int64(0), o.NodeAgent
	labels := map[string]string{"component": "velero", "name": DaemonSet, "role": DaemonSet}
	podLabels, podAnnotations := maps.Clone(labels), map[string]string{
		"prometheus.io/scrape": "true", "prometheus.io/path": "/metrics", "prometheus.io/port": "8085",
	}
	maps.Copy(podLabels, o.PodLabels)
	maps.Copy(podLabels, labels) // the server finds the agents by them
	maps.Copy(podAnnotations, o.PodAnnotations)
	host := func(path string) corev1.VolumeSource {
		return corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: path}}
	}
	volumes := append(o.agentVolumes(), corev1.Volume{Name: "host-pods", VolumeSource: host(path.Join(a.kubelet(), "pods"))})
	if a.HostRoot {
		volumes = append(volumes, corev1.Volume{Name: "host-root", VolumeSource: host("/")})
	}
	return appsv1.DaemonSet{
		ObjectMeta: o.meta(DaemonSet),
		Spec: appsv1.DaemonSetSpec{
			Selector:       &metav1.LabelSelector{MatchLabels: map[string]string{"name": DaemonSet}},
			UpdateStrategy: appsv1.DaemonSetUpdateStrategy{Type: appsv1.RollingUpdateDaemonSetStrategyType},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: podLabels, Annotations: podAnnotations},
				Spec: corev1.PodSpec{
					ServiceAccountName: o.agentAccount(), PriorityClassName: a.PriorityClass, RestartPolicy: corev1.RestartPolicyAlways,
					NodeSelector:    map[string]string{"kubernetes.io/os": "linux"},
					SecurityContext: &corev1.PodSecurityContext{RunAsUser: &root, SeccompProfile: a.seccomp()},
					Containers:      []corev1.Container{o.agentContainer()},
					Volumes:         volumes,
				},
			},
		},
	}
}

func (a NodeAgent) seccomp() *corev1.SeccompProfile {
	if a.Privileged {
		return nil
	}
	return &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault}
}

// security is what root may do with files, and nothing else; or everything.
func (a NodeAgent) security() *corev1.SecurityContext {
	yes, no := true, false
	if a.Privileged {
		return &corev1.SecurityContext{Privileged: &yes}
	}
	return &corev1.SecurityContext{
		AllowPrivilegeEscalation: &no, ReadOnlyRootFilesystem: &yes,
		Capabilities: &corev1.Capabilities{
			Drop: []corev1.Capability{"ALL"}, Add: []corev1.Capability{"CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "MKNOD", "SETFCAP"},
		},
	}
}

func (o Options) agentContainer() corev1.Container {
	a, propagation := o.NodeAgent, corev1.MountPropagationHostToContainer
	probe := func(path string) *corev1.Probe {
		return &corev1.Probe{
			ProbeHandler:  corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Path: path, Port: intstr.FromString("metrics")}},
			PeriodSeconds: 10, TimeoutSeconds: 5, FailureThreshold: 6,
		}
	}
	mounts := append(o.agentMounts(), corev1.VolumeMount{Name: "host-pods", MountPath: hostPods, MountPropagation: &propagation})
	if a.HostRoot {
		mounts = append(mounts, corev1.VolumeMount{Name: "host-root", MountPath: hostRoot, MountPropagation: &propagation})
	}
	node := corev1.EnvVar{Name: "NODE_NAME", ValueFrom: &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{APIVersion: "v1", FieldPath: "spec.nodeName"}}}
	return corev1.Container{
		Name: DaemonSet, Image: o.Image, ImagePullPolicy: pullPolicy(o.Image), Command: []string{"/hozon"}, Args: a.args(),
		Ports: []corev1.ContainerPort{{Name: "metrics", ContainerPort: metricsPort}},
		Env:   append([]corev1.EnvVar{node}, o.environment()...), Resources: a.Resources.requirements(), SecurityContext: a.security(), VolumeMounts: mounts,
		LivenessProbe: probe("/healthz"), ReadinessProbe: probe("/readyz"),
	}
}

// agentVolumes are the server's without the plugins, which agents have no use for.
func (o Options) agentVolumes() []corev1.Volume { return o.volumes()[1:] }

func (o Options) agentMounts() []corev1.VolumeMount { return o.mounts()[1:] }

// agentRights are those of the agents' own account.
func (b *builder) agentRights() {
	o := b.options
	account := o.agentAccount()
	meta := o.meta(account)
	meta.Annotations = o.AccountAnnotations
	b.add(accounts, account, corev1.ServiceAccount{ObjectMeta: meta})
	wide := o.meta(o.bindingName() + "-node-agent")
	wide.Namespace = ""
	subjects := []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: o.Namespace, Name: account}}
	b.add(clusterRoles, wide.Name, rbacv1.ClusterRole{ObjectMeta: wide, Rules: []rbacv1.PolicyRule{
		{APIGroups: []string{""}, Resources: []string{"pods"}, Verbs: []string{"get", "list", "watch"}},
		{APIGroups: []string{""}, Resources: []string{"nodes", "persistentvolumeclaims", "persistentvolumes"}, Verbs: []string{"get"}},
	}})
	b.add(clusterBinds, wide.Name, rbacv1.ClusterRoleBinding{ObjectMeta: wide, Subjects: subjects,
		RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: wide.Name}})
	b.add(roles, account, rbacv1.Role{ObjectMeta: o.meta(account), Rules: []rbacv1.PolicyRule{
		{APIGroups: []string{velerov1.Group}, Resources: []string{"podvolumebackups", "podvolumerestores"}, Verbs: []string{"get", "list", "watch", "update", "patch"}},
		{APIGroups: []string{velerov1.Group}, Resources: []string{"backuprepositories", "backups", "backupstoragelocations", "restores"}, Verbs: []string{"get"}},
		{APIGroups: []string{""}, Resources: []string{"configmaps", "secrets"}, Verbs: []string{"get"}},
	}})
	b.add(binds, account, rbacv1.RoleBinding{ObjectMeta: o.meta(account), Subjects: subjects,
		RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: account}})
}
