// SPDX-License-Identifier: Apache-2.0

package rule_test

import (
	"path"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	utiljson "k8s.io/apimachinery/pkg/util/json"
	"sigs.k8s.io/yaml"

	"hozon.dev/hozon/internal/object"
	"hozon.dev/hozon/internal/plan/rule"
)

func decode(t *testing.T, text string) map[string]any {
	t.Helper()
	body, err := yaml.YAMLToJSON([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	var o map[string]any
	if err := utiljson.Unmarshal(body, &o); err != nil {
		t.Fatal(err)
	}
	return o
}

// labels are on everything that is restored.
const labels = `{velero.io/backup-name: b, velero.io/restore-name: r}`

func TestTransform(t *testing.T) {
	mapped := rule.Env{Namespaces: map[string]string{"shop": "copy"}}
	cases := []struct {
		name     string
		env      rule.Env
		in, out  string
		warnings int
	}{
		{
			name: "metadata",
			in: `{apiVersion: v1, kind: ConfigMap, metadata: {name: a, namespace: shop, uid: u, resourceVersion: "1", generation: 2, selfLink: /x, generateName: a-,
				creationTimestamp: t, deletionTimestamp: t, deletionGracePeriodSeconds: 3, ownerReferences: [{kind: X, uid: o}], managedFields: [{manager: m}],
				labels: {app: x}, annotations: {k: v}, finalizers: [example.com/f, orphan, foregroundDeletion]}, status: {ok: true}}`,
			out: `{apiVersion: v1, kind: ConfigMap, metadata: {name: a, namespace: shop, annotations: {k: v}, finalizers: [example.com/f],
				labels: {app: x, velero.io/backup-name: b, velero.io/restore-name: r}}}`,
		},
		{
			name: "namespace", env: mapped,
			in:  `{apiVersion: v1, kind: Namespace, metadata: {name: shop, labels: {kubernetes.io/metadata.name: shop, a: b}}, spec: {finalizers: [kubernetes]}, status: {phase: Active}}`,
			out: `{apiVersion: v1, kind: Namespace, metadata: {name: copy, labels: {kubernetes.io/metadata.name: copy, a: b}}, spec: {finalizers: [kubernetes]}}`,
		},
		{
			name: "pod", warnings: 1,
			in: `{apiVersion: v1, kind: Pod, metadata: {name: p, namespace: shop}, spec: {nodeName: n, priority: 7, priorityClassName: high, serviceAccountName: runner, ephemeralContainers: [{name: debug}],
				volumes: [{name: data}, {name: runner-token-x7k2m}], containers: [{name: c, volumeMounts: [{name: runner-token-x7k2m}, {name: data}]}], initContainers: [{name: i, volumeMounts: [{name: runner-token-x7k2m}]}]}}`,
			out: `{apiVersion: v1, kind: Pod, metadata: {name: p, namespace: shop, labels: ` + labels + `}, spec: {priorityClassName: high, serviceAccountName: runner,
				volumes: [{name: data}], containers: [{name: c, volumeMounts: [{name: data}]}], initContainers: [{name: i, volumeMounts: []}]}}`,
		},
		{
			name: "job",
			in: `{apiVersion: batch/v1, kind: Job, metadata: {name: j, namespace: shop}, spec: {selector: {matchLabels: {batch.kubernetes.io/controller-uid: u}},
				template: {metadata: {labels: {controller-uid: u, batch.kubernetes.io/controller-uid: u, job-name: j}}}}}`,
			out: `{apiVersion: batch/v1, kind: Job, metadata: {name: j, namespace: shop, labels: ` + labels + `}, spec: {template: {metadata: {labels: {job-name: j}}}}}`,
		},
		{
			name: "job with a selector of the user",
			in:   `{apiVersion: batch/v1, kind: Job, metadata: {name: j, namespace: shop}, spec: {manualSelector: true, selector: {matchLabels: {controller-uid: mine}}}}`,
			out:  `{apiVersion: batch/v1, kind: Job, metadata: {name: j, namespace: shop, labels: ` + labels + `}, spec: {manualSelector: true, selector: {matchLabels: {controller-uid: mine}}}}`,
		},
		{
			name: "service with allocated numbers",
			in:   `{apiVersion: v1, kind: Service, metadata: {name: s, namespace: shop}, spec: {type: LoadBalancer, clusterIP: 10.0.0.1, clusterIPs: [10.0.0.1], healthCheckNodePort: 30007, ports: [{port: 80, nodePort: 30001}]}}`,
			out:  `{apiVersion: v1, kind: Service, metadata: {name: s, namespace: shop, labels: ` + labels + `}, spec: {type: LoadBalancer, ports: [{port: 80}]}}`,
		},
		{
			name: "headless service",
			in:   `{apiVersion: v1, kind: Service, metadata: {name: s, namespace: shop}, spec: {clusterIP: None, clusterIPs: [None]}}`,
			out:  `{apiVersion: v1, kind: Service, metadata: {name: s, namespace: shop, labels: ` + labels + `}, spec: {clusterIP: None, clusterIPs: [None]}}`,
		},
		{
			name: "service whose ports a user chose, by managedFields",
			in: `{apiVersion: v1, kind: Service, metadata: {name: s, namespace: shop, managedFields: [{fieldsV1: {f:spec: {f:healthCheckNodePort: {}, f:ports: {'k:{"port":80,"protocol":"TCP"}': {f:nodePort: {}}, 'k:{"port":53,"protocol":"UDP"}': {f:port: {}}}}}}]},
				spec: {type: LoadBalancer, healthCheckNodePort: 30007, ports: [{port: 80, protocol: TCP, nodePort: 30001}, {port: 53, protocol: UDP, nodePort: 30002}]}}`,
			out: `{apiVersion: v1, kind: Service, metadata: {name: s, namespace: shop, labels: ` + labels + `}, spec: {type: LoadBalancer, healthCheckNodePort: 30007, ports: [{port: 80, protocol: TCP, nodePort: 30001}, {port: 53, protocol: UDP}]}}`,
		},
		{
			name: "service whose ports a user chose, by what was applied",
			in: `{apiVersion: v1, kind: Service, metadata: {name: s, namespace: shop, annotations: {kubectl.kubernetes.io/last-applied-configuration: '{"spec":{"ports":[{"port":80,"nodePort":30001}]}}'}},
				spec: {type: NodePort, ports: [{port: 80, nodePort: 30001}]}}`,
			out: `{apiVersion: v1, kind: Service, metadata: {name: s, namespace: shop, labels: ` + labels + `, annotations: {kubectl.kubernetes.io/last-applied-configuration: '{"spec":{"ports":[{"port":80,"nodePort":30001}]}}'}},
				spec: {type: NodePort, ports: [{port: 80, nodePort: 30001}]}}`,
		},
		{
			name: "service, ports preserved on request", env: rule.Env{PreserveNodePorts: true},
			in:  `{apiVersion: v1, kind: Service, metadata: {name: s, namespace: shop}, spec: {type: NodePort, clusterIP: 10.0.0.1, ports: [{port: 80, nodePort: 30001}]}}`,
			out: `{apiVersion: v1, kind: Service, metadata: {name: s, namespace: shop, labels: ` + labels + `}, spec: {type: NodePort, ports: [{port: 80, nodePort: 30001}]}}`,
		},
		{
			name: "token secret", env: mapped,
			in:  `{apiVersion: v1, kind: Secret, type: kubernetes.io/service-account-token, metadata: {name: t, namespace: shop, annotations: {kubernetes.io/service-account.name: a, kubernetes.io/service-account.uid: u}}, data: {token: eA==, ca.crt: eA==, namespace: c2hvcA==, extra: eA==}}`,
			out: `{apiVersion: v1, kind: Secret, type: kubernetes.io/service-account-token, metadata: {name: t, namespace: copy, labels: ` + labels + `, annotations: {kubernetes.io/service-account.name: a}}, data: {namespace: Y29weQ==, extra: eA==}}`,
		},
		{
			name: "service account",
			in:   `{apiVersion: v1, kind: ServiceAccount, metadata: {name: a, namespace: shop}, secrets: [{name: a-token-x7k2m}, {name: mine}], imagePullSecrets: [{name: pull}]}`,
			out:  `{apiVersion: v1, kind: ServiceAccount, metadata: {name: a, namespace: shop, labels: ` + labels + `}, secrets: [{name: mine}], imagePullSecrets: [{name: pull}]}`,
		},
		{
			name: "volume", env: mapped,
			in:  `{apiVersion: v1, kind: PersistentVolume, metadata: {name: v, annotations: {pv.kubernetes.io/bound-by-controller: "yes", pv.kubernetes.io/provisioned-by: x}}, spec: {claimRef: {namespace: shop, name: c, uid: u, resourceVersion: "1"}}}`,
			out: `{apiVersion: v1, kind: PersistentVolume, metadata: {name: v, labels: ` + labels + `}, spec: {claimRef: {namespace: copy, name: c}}}`,
		},
		{
			name: "claim",
			in:   `{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {name: c, namespace: shop, annotations: {pv.kubernetes.io/bind-completed: "yes", volume.kubernetes.io/selected-node: n, mine: x}}, spec: {volumeName: v}}`,
			out:  `{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {name: c, namespace: shop, labels: ` + labels + `, annotations: {mine: x}}, spec: {volumeName: v}}`,
		},
		{
			name: "claim of a new volume", env: rule.Env{Reprovision: true},
			in:  `{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {name: c, namespace: shop}, spec: {volumeName: v, storageClassName: fast}}`,
			out: `{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {name: c, namespace: shop, labels: ` + labels + `}, spec: {storageClassName: fast}}`,
		},
		{
			name: "cluster role binding", env: mapped,
			in:  `{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRoleBinding, metadata: {name: x}, subjects: [{kind: ServiceAccount, namespace: shop, name: a}, {kind: ServiceAccount, namespace: other, name: a}, {kind: User, name: shop}]}`,
			out: `{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRoleBinding, metadata: {name: x, labels: ` + labels + `}, subjects: [{kind: ServiceAccount, namespace: copy, name: a}, {kind: ServiceAccount, namespace: other, name: a}, {kind: User, name: shop}]}`,
		},
		{
			name: "definition", env: mapped,
			in: `{apiVersion: apiextensions.k8s.io/v1, kind: CustomResourceDefinition, metadata: {name: x}, spec: {preserveUnknownFields: true, conversion: {webhook: {clientConfig: {service: {namespace: shop, name: s}}}}, versions: [{name: v1, schema: {openAPIV3Schema: {type: object}}}]}, status: {storedVersions: [v1]}}`,
			out: `{apiVersion: apiextensions.k8s.io/v1, kind: CustomResourceDefinition, metadata: {name: x, labels: ` + labels + `}, spec: {preserveUnknownFields: false, conversion: {webhook: {clientConfig: {service: {namespace: copy, name: s}}}},
				versions: [{name: v1, schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}}]}}`,
		},
		{
			name: "webhooks", env: mapped,
			in:  `{apiVersion: admissionregistration.k8s.io/v1, kind: MutatingWebhookConfiguration, metadata: {name: x}, webhooks: [{sideEffects: Some, clientConfig: {service: {namespace: shop}}}, {sideEffects: NoneOnDryRun, clientConfig: {url: "https://x"}}]}`,
			out: `{apiVersion: admissionregistration.k8s.io/v1, kind: MutatingWebhookConfiguration, metadata: {name: x, labels: ` + labels + `}, webhooks: [{sideEffects: None, clientConfig: {service: {namespace: copy}}}, {sideEffects: NoneOnDryRun, clientConfig: {url: "https://x"}}]}`,
		},
		{
			name: "api service", env: mapped,
			in:  `{apiVersion: apiregistration.k8s.io/v1, kind: APIService, metadata: {name: x}, spec: {service: {namespace: shop, name: s}}}`,
			out: `{apiVersion: apiregistration.k8s.io/v1, kind: APIService, metadata: {name: x, labels: ` + labels + `}, spec: {service: {namespace: copy, name: s}}}`,
		},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			o := &unstructured.Unstructured{Object: decode(t, tc.in)}
			tc.env.Backup, tc.env.Restore = "b", "r"
			taken, err := rule.Transform(o, tc.env)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(decode(t, tc.out), o.Object); d != "" {
				t.Errorf("-want +got:\n%s", d)
			}
			if len(taken.Warnings) != tc.warnings {
				t.Errorf("warnings %q", taken.Warnings)
			}
		})
	}
}

// TestHostile: what is not what its kind says is an error of that object, never a panic.
func TestHostile(t *testing.T) {
	for _, text := range []string{
		`{}`, `{kind: Pod, apiVersion: v1, metadata: []}`, `{kind: Pod, apiVersion: v1, metadata: {}}`, `{kind: Service, apiVersion: v1, metadata: {}, spec: 3}`,
		`{kind: ConfigMap, apiVersion: v1, metadata: {labels: 3}}`,
	} {
		if _, err := rule.Transform(&unstructured.Unstructured{Object: decode(t, text)}, rule.Env{}); err == nil {
			t.Errorf("%s: no error", text)
		}
	}
	for _, text := range []string{
		`{kind: Job, apiVersion: batch/v1, metadata: {finalizers: 1, annotations: 1, ownerReferences: [1], managedFields: 1}, spec: {selector: 1, template: []}}`,
		`{kind: PersistentVolume, apiVersion: v1, metadata: {annotations: []}, spec: {claimRef: 1}}`,
		`{kind: Secret, apiVersion: v1, type: kubernetes.io/service-account-token, metadata: {}, data: 1}`,
		`{kind: Service, apiVersion: v1, metadata: {managedFields: [1]}, spec: {ports: [1, {port: x, nodePort: y}]}}`,
		`{kind: CustomResourceDefinition, apiVersion: apiextensions.k8s.io/v1, metadata: {}, spec: {preserveUnknownFields: true, versions: [1]}}`,
	} {
		o := &unstructured.Unstructured{Object: decode(t, text)}
		live := o.DeepCopy()
		if _, err := rule.Transform(o, rule.Env{}); err != nil {
			t.Errorf("%s: %v", text, err)
		}
		rule.Adopt(o, live)
	}
}

func TestInspect(t *testing.T) {
	cases := []struct {
		name, in string
		want     rule.Traits
	}{
		{"owners", `{apiVersion: v1, kind: ConfigMap, metadata: {name: a, namespace: shop, uid: u, ownerReferences: [{apiVersion: example.com/v1, kind: Gear, name: g, uid: o, controller: true}, {apiVersion: v1, kind: Pod, name: p, uid: q}]}}`,
			rule.Traits{UID: "u", Owners: []rule.Owner{{Group: "example.com", Kind: "Gear", Name: "g", UID: "o", Controller: true}, {Kind: "Pod", Name: "p", UID: "q"}}}},
		{"being deleted", `{apiVersion: v1, kind: ConfigMap, metadata: {name: a, namespace: shop, deletionTimestamp: t}}`,
			rule.Traits{Skip: "it was being deleted when it was saved"}},
		{"pod", `{apiVersion: v1, kind: Pod, metadata: {name: a, namespace: shop}, spec: {priorityClassName: high, volumes: [{persistentVolumeClaim: {claimName: c}}, {emptyDir: {}}]}, status: {phase: Running}}`,
			rule.Traits{More: &rule.More{Needs: []object.Ref{{Group: "scheduling.k8s.io", Resource: "priorityclasses", Name: "high"}, {Resource: "persistentvolumeclaims", Namespace: "shop", Name: "c"}}}}},
		{"pod that has failed", `{apiVersion: v1, kind: Pod, metadata: {name: a, namespace: shop}, status: {phase: Failed}}`, rule.Traits{Skip: "the pod has ended (Failed)"}},
		{"definition", `{apiVersion: apiextensions.k8s.io/v1, kind: CustomResourceDefinition, metadata: {name: x}, spec: {group: example.com, names: {plural: gears}}}`,
			rule.Traits{More: &rule.More{Defines: "gears.example.com"}}},
		{"volume", `{apiVersion: v1, kind: PersistentVolume, metadata: {name: v}, spec: {persistentVolumeReclaimPolicy: Retain, claimRef: {namespace: shop, name: c}}}`,
			rule.Traits{More: &rule.More{Volume: &rule.Volume{Retain: true, ClaimNamespace: "shop", ClaimName: "c"}}}},
		{"secret that only looks generated", `{apiVersion: v1, kind: Secret, type: Opaque, metadata: {name: a-token-x7k2m, namespace: shop, annotations: {kubernetes.io/service-account.name: a}}}`, rule.Traits{}},
		{"token that a user made", `{apiVersion: v1, kind: Secret, type: kubernetes.io/service-account-token, metadata: {name: a-token, namespace: shop, annotations: {kubernetes.io/service-account.name: a}}}`, rule.Traits{}},
		{"generated token", `{apiVersion: v1, kind: Secret, type: kubernetes.io/service-account-token, metadata: {name: a-token-x7k2m, namespace: shop, annotations: {kubernetes.io/service-account.name: a}}}`,
			rule.Traits{Skip: "token made by the cluster for service account a"}},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			body, err := yaml.YAMLToJSON([]byte(tc.in))
			if err != nil {
				t.Fatal(err)
			}
			head, err := object.Scan(body)
			if err != nil {
				t.Fatal(err)
			}
			group, _ := path.Split(head.APIVersion)
			ref := object.Ref{Group: strings.TrimSuffix(group, "/"), Resource: strings.ToLower(head.Kind) + "s", Namespace: head.Namespace, Name: head.Name}
			got, err := rule.Inspect(ref, head, body)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(tc.want, got); d != "" {
				t.Errorf("-want +got:\n%s", d)
			}
		})
	}
}

// TestAdopt: what the server has decided since is left alone by an update; what the user saved is not.
func TestAdopt(t *testing.T) {
	cases := []struct{ name, saved, live, want string }{
		{"metadata", `{kind: ConfigMap, apiVersion: v1, metadata: {name: a, labels: {x: saved}}, data: {k: saved}}`,
			`{kind: ConfigMap, apiVersion: v1, metadata: {name: a, uid: u, resourceVersion: "5", labels: {x: live}, ownerReferences: [{uid: o}]}, data: {k: live}, status: {s: live}}`,
			`{kind: ConfigMap, apiVersion: v1, metadata: {name: a, uid: u, resourceVersion: "5", labels: {x: saved}, ownerReferences: [{uid: o}]}, data: {k: saved}, status: {s: live}}`},
		{"service", `{kind: Service, apiVersion: v1, metadata: {}, spec: {type: NodePort, ports: [{port: 80}, {port: 81, nodePort: 30001}]}}`,
			`{kind: Service, apiVersion: v1, metadata: {}, spec: {type: NodePort, clusterIP: 10.0.0.1, ports: [{port: 80, protocol: TCP, nodePort: 30005}, {port: 81, nodePort: 30006}]}}`,
			`{kind: Service, apiVersion: v1, metadata: {}, spec: {type: NodePort, clusterIP: 10.0.0.1, ports: [{port: 80, nodePort: 30005}, {port: 81, nodePort: 30001}]}}`},
		{"service that was a NodePort", `{kind: Service, apiVersion: v1, metadata: {}, spec: {type: ClusterIP, ports: [{port: 80}]}}`,
			`{kind: Service, apiVersion: v1, metadata: {}, spec: {type: NodePort, ports: [{port: 80, nodePort: 30005}]}}`,
			`{kind: Service, apiVersion: v1, metadata: {}, spec: {type: ClusterIP, ports: [{port: 80}]}}`},
		{"volume of the same claim", `{kind: PersistentVolume, apiVersion: v1, metadata: {}, spec: {claimRef: {namespace: n, name: c}}}`,
			`{kind: PersistentVolume, apiVersion: v1, metadata: {annotations: {pv.kubernetes.io/bound-by-controller: "yes"}}, spec: {claimRef: {namespace: n, name: c, uid: u}}}`,
			`{kind: PersistentVolume, apiVersion: v1, metadata: {annotations: {pv.kubernetes.io/bound-by-controller: "yes"}}, spec: {claimRef: {namespace: n, name: c, uid: u}}}`},
		{"volume of another claim", `{kind: PersistentVolume, apiVersion: v1, metadata: {}, spec: {claimRef: {namespace: n, name: c}}}`,
			`{kind: PersistentVolume, apiVersion: v1, metadata: {}, spec: {claimRef: {namespace: m, name: c, uid: u}}}`,
			`{kind: PersistentVolume, apiVersion: v1, metadata: {}, spec: {claimRef: {namespace: n, name: c}}}`},
		{"pod", `{kind: Pod, apiVersion: v1, metadata: {}, spec: {containers: [{name: saved}]}}`,
			`{kind: Pod, apiVersion: v1, metadata: {}, spec: {nodeName: n, priority: 3, containers: [{name: live}]}}`,
			`{kind: Pod, apiVersion: v1, metadata: {}, spec: {nodeName: n, priority: 3, containers: [{name: saved}]}}`},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			saved := &unstructured.Unstructured{Object: decode(t, tc.saved)}
			rule.Adopt(saved, &unstructured.Unstructured{Object: decode(t, tc.live)})
			if d := cmp.Diff(decode(t, tc.want), saved.Object); d != "" {
				t.Errorf("-want +got:\n%s", d)
			}
		})
	}
}

// FuzzTransform looks for objects that make a rule panic.
func FuzzTransform(f *testing.F) {
	f.Add([]byte(`{"apiVersion":"v1","kind":"Service","metadata":{"name":"a","managedFields":[{"fieldsV1":{"f:spec":{"f:ports":{"k:{}":{}}}}}]},"spec":{"ports":[{"port":1}]}}`))
	f.Add([]byte(`{"apiVersion":"batch/v1","kind":"Job","metadata":{"name":"a"},"spec":{"selector":{"matchLabels":{}}}}`))
	f.Add([]byte(`{"apiVersion":"v1","kind":"Pod","metadata":{"name":"a"},"spec":{"volumes":[null],"containers":[{}]}}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		head, err := object.Scan(body)
		if err != nil {
			return
		}
		for _, resource := range []string{"pods", "services", "secrets", "persistentvolumes", "persistentvolumeclaims"} {
			_, _ = rule.Inspect(object.Ref{Resource: resource, Name: head.Name}, head, body)
		}
		var o map[string]any
		if utiljson.Unmarshal(body, &o) != nil {
			return
		}
		live := &unstructured.Unstructured{Object: o}
		saved := live.DeepCopy()
		if _, err := rule.Transform(saved, rule.Env{Namespaces: map[string]string{"a": "b"}}); err == nil {
			rule.Adopt(saved, live)
		}
	})
}

// TestFinalizers: they stay, and those of which nobody in the target seems to know are told of.
func TestFinalizers(t *testing.T) {
	for finalizer, told := range map[string]bool{
		"kubernetes.io/pvc-protection": false, "service.kubernetes.io/load-balancer-cleanup": false, "snapshot.storage.k8s.io/bound": false, "plain": false,
		"gears.example.com/clean": false, "finalizers.example.com": false, "vendor.invalid/clean": true, "finalizers.vendor.invalid": true,
	} {
		o := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "ConfigMap", "metadata": map[string]any{"name": "c", "namespace": "n", "finalizers": []any{finalizer}}}}
		taken, err := rule.Transform(o, rule.Env{Domains: map[string]bool{"example.com": true}})
		if err != nil || len(o.GetFinalizers()) != 1 {
			t.Errorf("%s: %v, %v", finalizer, err, o.GetFinalizers())
		}
		if got := len(taken.Created) == 1 && strings.Contains(taken.Created[0], finalizer); got != told {
			t.Errorf("%s: %q", finalizer, taken.Created)
		}
	}
}
