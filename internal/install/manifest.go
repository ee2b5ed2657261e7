// SPDX-License-Identifier: Apache-2.0

package install

import (
	"encoding/json"
	"fmt"
	"io/fs"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/yaml"

	velerov1 "hozon.dev/hozon/api/velero/v1"
	"hozon.dev/hozon/deploy"
	"hozon.dev/hozon/internal/object"
)

// Manifest is one object of an installation.
type Manifest struct {
	Type            object.Type
	Namespace, Name string
	Body            json.RawMessage
}

func (m Manifest) String() string { return m.Type.Kind + "/" + m.Name }

// The types that an installation has.
var (
	crds          = object.Type{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions", Kind: "CustomResourceDefinition"}
	namespaces    = object.Type{Version: "v1", Resource: "namespaces", Kind: "Namespace"}
	accounts      = object.Type{Version: "v1", Resource: "serviceaccounts", Kind: "ServiceAccount", Namespaced: true}
	secrets       = object.Type{Version: "v1", Resource: "secrets", Kind: "Secret", Namespaced: true}
	clusterRoles  = object.Type{Group: rbacv1.GroupName, Version: "v1", Resource: "clusterroles", Kind: "ClusterRole"}
	clusterBinds  = object.Type{Group: rbacv1.GroupName, Version: "v1", Resource: "clusterrolebindings", Kind: "ClusterRoleBinding"}
	roles         = object.Type{Group: rbacv1.GroupName, Version: "v1", Resource: "roles", Kind: "Role", Namespaced: true}
	binds         = object.Type{Group: rbacv1.GroupName, Version: "v1", Resource: "rolebindings", Kind: "RoleBinding", Namespaced: true}
	locations     = object.Type{Group: velerov1.Group, Version: "v1", Resource: "backupstoragelocations", Kind: "BackupStorageLocation", Namespaced: true}
	snapLocations = object.Type{Group: velerov1.Group, Version: "v1", Resource: "volumesnapshotlocations", Kind: "VolumeSnapshotLocation", Namespaced: true}
	deployments   = object.Type{Group: "apps", Version: "v1", Resource: "deployments", Kind: "Deployment", Namespaced: true}
	cronJobs      = object.Type{Group: "batch", Version: "v1", Resource: "cronjobs", Kind: "CronJob", Namespaced: true}
	daemonSets    = object.Type{Group: "apps", Version: "v1", Resource: "daemonsets", Kind: "DaemonSet", Namespaced: true}
)

// Manifests are the objects of an installation, in the order in which they are made.
func (o Options) Manifests() ([]Manifest, error) {
	if err := o.Check(); err != nil {
		return nil, err
	}
	b := &builder{options: o}
	b.crds()
	if !o.CRDsOnly {
		b.namespace()
		b.account()
		b.rights()
		if o.NodeAgent.Enabled && o.agentAccount() != o.account() {
			b.agentRights()
		}
		b.locations()
		b.add(deployments, Deployment, o.deployment())
		if o.NodeAgent.Enabled {
			b.add(daemonSets, DaemonSet, o.daemonSet())
		}
		if o.ControlPlane.Cluster != "" {
			b.add(cronJobs, CronJob, o.cronJob())
		}
	}
	return b.all, b.err
}

// builder collects manifests, and the first error.
type builder struct {
	options Options
	all     []Manifest
	err     error
}

// add encodes an object without what only a server can know.
func (b *builder) add(t object.Type, name string, item any) {
	m := Manifest{Type: t, Name: name}
	if t.Namespaced {
		m.Namespace = b.options.Namespace
	}
	body, err := encode(t, item)
	if err != nil && b.err == nil {
		b.err = fmt.Errorf("encode %s: %w", m, err)
	}
	m.Body = body
	b.all = append(b.all, m)
}

func encode(t object.Type, item any) (json.RawMessage, error) {
	data, err := json.Marshal(item)
	if err != nil {
		return nil, err
	}
	var fields map[string]any
	if err := json.Unmarshal(data, &fields); err != nil {
		return nil, err
	}
	delete(fields, "status")
	fields["kind"], fields["apiVersion"] = t.Kind, schema.GroupVersion{Group: t.Group, Version: t.Version}.String()
	dropNull(fields)
	return json.Marshal(fields)
}

// dropNull removes what says nothing: creationTimestamp of templates.
func dropNull(fields map[string]any) {
	for key, value := range fields {
		switch v := value.(type) {
		case nil:
			delete(fields, key)
		case map[string]any:
			dropNull(v)
		}
	}
}

func (b *builder) crds() {
	err := fs.WalkDir(deploy.CRDs, "crd", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := deploy.CRDs.ReadFile(path)
		if err != nil {
			return err
		}
		var fields map[string]any
		if err := yaml.Unmarshal(data, &fields); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		name, labels := labelled(fields)
		if name == "" {
			return fmt.Errorf("%s: no name", path)
		}
		labels["component"] = "velero"
		b.add(crds, name, fields)
		return nil
	})
	if err != nil && b.err == nil {
		b.err = fmt.Errorf("read the CRDs of this program: %w", err)
	}
}

// labelled returns an object's name and its labels, which it has then.
func labelled(fields map[string]any) (string, map[string]any) {
	meta, _ := fields["metadata"].(map[string]any)
	name, _ := meta["name"].(string)
	labels, ok := meta["labels"].(map[string]any)
	if !ok && meta != nil {
		labels = map[string]any{}
		meta["labels"] = labels
	}
	return name, labels
}

func (b *builder) namespace() {
	meta := b.options.meta(b.options.Namespace)
	meta.Namespace = ""
	for _, mode := range []string{"enforce", "audit", "warn"} {
		meta.Labels["pod-security.kubernetes.io/"+mode] = "privileged"
		meta.Labels["pod-security.kubernetes.io/"+mode+"-version"] = "latest"
	}
	b.add(namespaces, b.options.Namespace, corev1.Namespace{ObjectMeta: meta})
}

func (b *builder) account() {
	o := b.options
	if o.Account == "" {
		meta := o.meta(defaultAccount)
		meta.Annotations = o.AccountAnnotations
		b.add(accounts, meta.Name, corev1.ServiceAccount{ObjectMeta: meta})
	}
	if o.Credentials != nil {
		b.add(secrets, Secret, corev1.Secret{
			ObjectMeta: o.meta(Secret), Type: corev1.SecretTypeOpaque, Data: map[string][]byte{secretKey: o.Credentials},
		})
	}
}

func (b *builder) locations() {
	o := b.options
	if o.Provider == "" {
		return
	}
	b.add(locations, defaultLocation, velerov1.BackupStorageLocation{
		ObjectMeta: o.meta(defaultLocation),
		Spec: velerov1.BackupStorageLocationSpec{
			Provider: o.Provider, Config: o.LocationConfig, Default: true,
			ObjectStorage: &velerov1.ObjectStorageLocation{Bucket: o.Bucket, Prefix: o.Prefix, CACert: o.CACert},
		},
	})
	if o.SnapshotLocation {
		b.add(snapLocations, defaultLocation, velerov1.VolumeSnapshotLocation{
			ObjectMeta: o.meta(defaultLocation),
			Spec:       velerov1.VolumeSnapshotLocationSpec{Provider: o.Provider, Config: o.SnapshotConfig},
		})
	}
}

// bindingName is Velero's.
func (o Options) bindingName() string {
	if o.Namespace == "velero" {
		return "velero"
	}
	return "velero-" + o.Namespace
}

func (b *builder) rights() {
	o := b.options
	if o.Account != "" { // whoever brings an account brings its rights
		return
	}
	meta := o.meta(o.bindingName())
	meta.Namespace = ""
	subjects := []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: o.Namespace, Name: defaultAccount}}
	role := rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "cluster-admin"}
	if o.RBAC == Split {
		role.Name = meta.Name + "-server"
		own := meta
		own.Name = role.Name
		b.add(clusterRoles, own.Name, rbacv1.ClusterRole{ObjectMeta: own, Rules: o.serverRules()})
		all := []rbacv1.PolicyRule{{APIGroups: []string{"*"}, Resources: []string{"*"}, Verbs: []string{"*"}}}
		b.add(roles, "velero-server", rbacv1.Role{ObjectMeta: o.meta("velero-server"), Rules: all})
		b.add(binds, "velero-server", rbacv1.RoleBinding{ObjectMeta: o.meta("velero-server"), Subjects: subjects,
			RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: "velero-server"}})
		meta.Name = role.Name
	}
	b.add(clusterBinds, meta.Name, rbacv1.ClusterRoleBinding{ObjectMeta: meta, Subjects: subjects, RoleRef: role})
}

// serverRules are what a server needs outside of its namespace: read and write everything, delete nothing but the pods through which claims were
// filled, where there are node agents to fill them (rules know no labels, so it is pods). To restore roles and bindings takes the verbs escalate and bind: who can restore anything can give itself any right, which no rule can change.
func (o Options) serverRules() []rbacv1.PolicyRule {
	any := []string{"*"}
	rules := []rbacv1.PolicyRule{
		{APIGroups: any, Resources: any, Verbs: []string{"get", "list", "watch", "create", "update", "patch"}},
		{APIGroups: []string{rbacv1.GroupName}, Resources: []string{"roles", "clusterroles"}, Verbs: []string{"bind", "escalate"}},
		{NonResourceURLs: any, Verbs: []string{"get"}},
	}
	if o.NodeAgent.Enabled {
		rules = append(rules, rbacv1.PolicyRule{APIGroups: []string{""}, Resources: []string{"pods"}, Verbs: []string{"delete"}})
	}
	return rules
}

// List is all manifests as one object, as kubectl takes it.
func List(all []Manifest) any {
	items := make([]json.RawMessage, 0, len(all))
	for _, m := range all {
		items = append(items, m.Body)
	}
	return struct {
		metav1.TypeMeta `json:",inline"`
		Items           []json.RawMessage `json:"items"`
	}{metav1.TypeMeta{APIVersion: "v1", Kind: "List"}, items}
}
