// SPDX-License-Identifier: Apache-2.0

package object

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

func parse(t *testing.T, s string) *unstructured.Unstructured {
	t.Helper()
	u := &unstructured.Unstructured{}
	var m map[string]any
	if err := json.Unmarshal([]byte(s), &m); err != nil {
		t.Fatalf("%v in %s", err, s)
	}
	u.Object = m
	return u
}

// with is u with a JSON merge patch applied.
func with(t *testing.T, u *unstructured.Unstructured, patch string) *unstructured.Unstructured {
	t.Helper()
	return &unstructured.Unstructured{Object: merge(u.DeepCopy().Object, parse(t, patch).Object)}
}

func merge(to, patch map[string]any) map[string]any {
	if to == nil {
		to = map[string]any{}
	}
	for k, v := range patch {
		switch m, isMap := v.(map[string]any); {
		case v == nil:
			delete(to, k)
		case isMap:
			old, _ := to[k].(map[string]any)
			to[k] = merge(old, m)
		default:
			to[k] = v
		}
	}
	return to
}

// Each rule: an object, a change that does not count because of it, and a real change beside it with its path.
var ruleCases = map[string][]struct{ object, ignored, real, at string }{
	"pod-node":     {{pod, `{"spec":{"nodeName":"n2"}}`, `{"spec":{"hostname":"n2"}}`, "/spec/hostname"}},
	"pod-priority": {{pod, `{"spec":{"priority":7,"preemptionPolicy":"Never"}}`, `{"spec":{"priorityClassName":"high"}}`, "/spec/priorityClassName"}},
	"pod-account":  {{pod, `{"spec":{"serviceAccount":"web"}}`, `{"spec":{"serviceAccountName":"root"}}`, "/spec/serviceAccountName"}},
	"pod-token": {
		{pod, `{"spec":{"volumes":[{"name":"data"},{"name":"kube-api-access-zzzzz","projected":{}}],"containers":[{"name":"c","volumeMounts":[{"name":"kube-api-access-zzzzz"},{"name":"data"}]}]}}`,
			`{"spec":{"volumes":[{"name":"kube-api-access-own","emptyDir":{}},{"name":"data"}]}}`, "/spec/volumes"},
		{pod, `{"spec":{"volumes":[{"name":"data"},{"name":"web-token-x","secret":{}}],"containers":[{"name":"c","volumeMounts":[{"name":"data"},{"name":"web-token-x"}]}]}}`,
			`{"spec":{"containers":[{"name":"c","volumeMounts":[{"name":"other-token-x"}]}]}}`, "/spec/containers/0/volumeMounts/0/name"},
		{pod, `{"spec":{"volumes":[{"name":"data"}],"containers":[{"name":"c","volumeMounts":[{"name":"data"}]}]}}`,
			`{"spec":{"volumes":[{"name":"data","hostPath":{}}]}}`, "/spec/volumes/0/hostPath"},
	},
	"pod-tolerations": {{pod, `{"spec":{"tolerations":[{"key":"node.kubernetes.io/unreachable","operator":"Exists","effect":"NoExecute","tolerationSeconds":300},{"key":"node.kubernetes.io/not-ready","operator":"Exists","effect":"NoExecute","tolerationSeconds":300}]}}`,
		`{"spec":{"tolerations":[{"key":"node.kubernetes.io/not-ready","operator":"Exists","effect":"NoExecute","tolerationSeconds":60}]}}`, "/spec/tolerations"}},
	"pod-ephemeral": {{pod, `{"spec":{"ephemeralContainers":[{"name":"debug"}]}}`, `{"spec":{"initContainers":[{"name":"debug"}]}}`, "/spec/initContainers"}},
	"pod-job": {{pod, `{"metadata":{"labels":{"controller-uid":"2","batch.kubernetes.io/controller-uid":"2"}}}`, `{"metadata":{"labels":{"job-name":"x"}}}`, "/metadata/labels"},
		{with2(pod, `{"metadata":{"labels":{"a":"b"}}}`), `{"metadata":{"labels":{"controller-uid":"2"}}}`, `{"metadata":{"labels":{"a":"c"}}}`, "/metadata/labels/a"}},

	"service-ip": {
		{service, `{"spec":{"clusterIP":"10.9.9.9","clusterIPs":["10.9.9.9"]}}`, `{"spec":{"clusterIP":"None","clusterIPs":["None"]}}`, "/spec/clusterIP"},
		{service, `{"spec":{"clusterIP":null,"clusterIPs":null}}`, `{"spec":{"externalIPs":["1.1.1.1"]}}`, "/spec/externalIPs"}},
	"service-nodeport": {
		{service, `{"spec":{"healthCheckNodePort":31000,"ports":[{"port":80,"protocol":"TCP","nodePort":31111},{"port":53,"protocol":"UDP","nodePort":30053}]}}`,
			`{"spec":{"ports":[{"port":80,"protocol":"TCP","nodePort":30080},{"port":53,"protocol":"UDP","nodePort":31111}]}}`, "/spec/ports/1/nodePort"},
		{applied, `{"spec":{"ports":[{"port":53,"protocol":"UDP","nodePort":31111},{"port":80,"nodePort":30080}]}}`,
			`{"spec":{"ports":[{"port":53,"protocol":"UDP"},{"port":80,"nodePort":31111}]}}`, "/spec/ports/1/nodePort"}},
	"service-families": {{service, `{"spec":{"ipFamilies":null,"ipFamilyPolicy":null}}`, `{"spec":{"ipFamilyPolicy":"PreferDualStack"}}`, "/spec/ipFamilyPolicy"}},
	"service-defaults": {{service, `{"spec":{"internalTrafficPolicy":null,"allocateLoadBalancerNodePorts":null}}`, `{"spec":{"internalTrafficPolicy":"Local"}}`, "/spec/internalTrafficPolicy"}},
	"endpoints": {{`{"apiVersion":"v1","kind":"Endpoints","metadata":{"name":"a","labels":{"endpoints.kubernetes.io/managed-by":"endpoint-controller"}},"subsets":[{"addresses":[{"ip":"1.1.1.1"}]}]}`,
		`{"metadata":{"annotations":{"endpoints.kubernetes.io/last-change-trigger-time":"x"}},"subsets":[]}`, `{"metadata":{"labels":{"a":"b"}}}`, "/metadata/labels"},
		{`{"apiVersion":"v1","kind":"Endpoints","metadata":{"name":"a"},"subsets":[{"addresses":[{"ip":"1.1.1.1"}]}]}`,
			`{"metadata":{"annotations":{"endpoints.kubernetes.io/last-change-trigger-time":"x"}}}`, `{"subsets":[],"metadata":{"annotations":null}}`, "/subsets"}},
	"endpointslice": {{`{"apiVersion":"discovery.k8s.io/v1","kind":"EndpointSlice","metadata":{"name":"a","labels":{"endpointslice.kubernetes.io/managed-by":"endpointslice-controller.k8s.io"}},"endpoints":[{"addresses":["1.1.1.1"]}]}`,
		`{"metadata":{"annotations":{"endpoints.kubernetes.io/last-change-trigger-time":"x"}},"endpoints":null,"ports":[{"port":80}]}`, `{"addressType":"IPv6"}`, "/addressType"},
		{`{"apiVersion":"discovery.k8s.io/v1","kind":"EndpointSlice","metadata":{"name":"a"}}`, `{"metadata":{"annotations":{"endpoints.kubernetes.io/last-change-trigger-time":"x"}}}`, `{"endpoints":[{}]}`, "/endpoints"}},

	"claim-volume": {
		{claim, `{"spec":{"volumeName":"pv-2"}}`, `{"spec":{"storageClassName":"slow"}}`, "/spec/storageClassName"},
		{claim, `{"spec":{"volumeName":null}}`, `{"spec":{"accessModes":["ReadWriteMany"]}}`, "/spec/accessModes/0"}},
	"claim-binding": {{claim, `{"metadata":{"annotations":{"pv.kubernetes.io/bind-completed":null,"volume.kubernetes.io/selected-node":"n","volume.kubernetes.io/storage-provisioner":"x","velero.io/data-upload-name":"y"}}}`,
		`{"metadata":{"annotations":{"mine":"x"}}}`, "/metadata/annotations"}},
	"volume-claim":   {{volume, `{"spec":{"claimRef":{"uid":"2","resourceVersion":"2"}}}`, `{"spec":{"claimRef":{"name":"b"}}}`, "/spec/claimRef/name"}},
	"volume-binding": {{volume, `{"metadata":{"annotations":null}}`, `{"spec":{"persistentVolumeReclaimPolicy":"Retain"}}`, "/spec/persistentVolumeReclaimPolicy"}},

	"deployment-revision": {{`{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"a","annotations":{"x":"y","deployment.kubernetes.io/revision":"1"}}}`,
		`{"metadata":{"annotations":{"deployment.kubernetes.io/revision":"2"}}}`, `{"metadata":{"annotations":{"x":"z"}}}`, "/metadata/annotations/x"}},
	"replicaset-revision": {{`{"apiVersion":"apps/v1","kind":"ReplicaSet","metadata":{"name":"a","annotations":{"deployment.kubernetes.io/revision":"1"}},"spec":{"replicas":1}}`,
		`{"metadata":{"annotations":{"deployment.kubernetes.io/revision":"3","deployment.kubernetes.io/desired-replicas":"3","deployment.kubernetes.io/max-replicas":"4","deployment.kubernetes.io/revision-history":"1"}}}`, `{"spec":{"replicas":2}}`, "/spec/replicas"}},
	"daemonset-generation": {{`{"apiVersion":"apps/v1","kind":"DaemonSet","metadata":{"name":"a","annotations":{"deprecated.daemonset.template.generation":"1"}}}`,
		`{"metadata":{"annotations":{"deprecated.daemonset.template.generation":"2"}}}`, `{"spec":{"minReadySeconds":2}}`, "/spec"}},
	"statefulset-claims": {{`{"apiVersion":"apps/v1","kind":"StatefulSet","metadata":{"name":"a"},"spec":{"volumeClaimTemplates":[{"metadata":{"name":"d"},"status":{"phase":"Pending"}}]}}`,
		`{"spec":{"volumeClaimTemplates":[{"apiVersion":"v1","kind":"PersistentVolumeClaim","metadata":{"name":"d"}}]}}`, `{"spec":{"volumeClaimTemplates":[{"metadata":{"name":"e"}}]}}`, "/spec/volumeClaimTemplates/0/metadata/name"}},
	"job-selector": {
		{job, `{"metadata":{"labels":null},"spec":{"selector":null,"template":{"metadata":{"labels":{"controller-uid":null,"batch.kubernetes.io/controller-uid":"2"}}}}}`, `{"spec":{"template":{"metadata":{"labels":{"app":"b"}}}}}`, "/spec/template/metadata/labels/app"},
		{job, `{"spec":{"selector":{"matchLabels":{"batch.kubernetes.io/controller-uid":"2"}}}}`, `{"spec":{"selector":{"matchLabels":{"mine":"2"}}}}`, "/spec/selector"}},
	"job-tracking": {{job, `{"metadata":{"annotations":{"batch.kubernetes.io/job-tracking":""}}}`, `{"spec":{"parallelism":2}}`, "/spec/parallelism"}},
	"autoscaler": {{`{"apiVersion":"autoscaling/v1","kind":"HorizontalPodAutoscaler","metadata":{"name":"a","annotations":{"autoscaling.alpha.kubernetes.io/conditions":"1"}}}`,
		`{"metadata":{"annotations":{"autoscaling.alpha.kubernetes.io/conditions":"2","autoscaling.alpha.kubernetes.io/current-metrics":"3"}}}`, `{"metadata":{"annotations":{"autoscaling.alpha.kubernetes.io/metrics":"3"}}}`, "/metadata/annotations"}},
	"lease": {{`{"apiVersion":"coordination.k8s.io/v1","kind":"Lease","metadata":{"name":"a"},"spec":{"holderIdentity":"x","renewTime":"1","acquireTime":"1","leaseTransitions":3,"leaseDurationSeconds":15}}`,
		`{"spec":{"holderIdentity":"y","renewTime":"2","acquireTime":null,"leaseTransitions":4}}`, `{"spec":{"leaseDurationSeconds":16}}`, "/spec/leaseDurationSeconds"}},
	"leader": {{`{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a","annotations":{"control-plane.alpha.kubernetes.io/leader":"x"}},"data":{"a":"b"}}`,
		`{"metadata":{"annotations":{"control-plane.alpha.kubernetes.io/leader":"y"}}}`, `{"data":{"a":"c"}}`, "/data/a"}},

	"token-secret": {{`{"apiVersion":"v1","kind":"Secret","type":"kubernetes.io/service-account-token","metadata":{"name":"a","annotations":{"kubernetes.io/service-account.name":"sa","kubernetes.io/service-account.uid":"1"}},"data":{"token":"b25l","ca.crt":"eA==","mine":"eA=="}}`,
		`{"metadata":{"annotations":{"kubernetes.io/service-account.uid":"2"}},"data":{"token":"dHdv","ca.crt":null}}`, `{"data":{"mine":"eQ=="}}`, "/data/mine"}},
	"token-use": {{`{"apiVersion":"v1","kind":"Secret","type":"Opaque","metadata":{"name":"a"},"data":{"token":"b25l"}}`,
		`{"metadata":{"labels":{"kubernetes.io/legacy-token-last-used":"today"}}}`, `{"data":{"token":"dHdv"}}`, "/data/token"}},
	"account-secrets": {{`{"apiVersion":"v1","kind":"ServiceAccount","metadata":{"name":"a"},"secrets":[{"name":"a-token-1"},{"name":"mine"}]}`,
		`{"secrets":[{"name":"mine"},{"name":"a-dockercfg-2"}],"imagePullSecrets":[{"name":"a-dockercfg-2"}]}`, `{"imagePullSecrets":[{"name":"registry"}]}`, "/imagePullSecrets"}},
	"namespace": {{`{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"a","labels":{"kubernetes.io/metadata.name":"a","x":"y"}},"spec":{"finalizers":["kubernetes"]}}`,
		`{"metadata":{"labels":{"kubernetes.io/metadata.name":null}},"spec":null}`, `{"metadata":{"labels":{"x":"z"}}}`, "/metadata/labels/x"}},
	"root-ca": {{`{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"kube-root-ca.crt"},"data":{"ca.crt":"1"}}`,
		`{"metadata":{"annotations":{"kubernetes.io/description":"x"}},"data":{"ca.crt":"2"}}`, `{"immutable":true}`, "/immutable"}},
	"aggregated-role": {{`{"apiVersion":"rbac.authorization.k8s.io/v1","kind":"ClusterRole","metadata":{"name":"a"},"aggregationRule":{"clusterRoleSelectors":[]},"rules":[{"verbs":["get"]}]}`,
		`{"rules":null}`, `{"aggregationRule":null,"rules":[{"verbs":["list"]}]}`, "/rules/0/verbs/0"}},
	"crd-defaults": {{`{"apiVersion":"apiextensions.k8s.io/v1","kind":"CustomResourceDefinition","metadata":{"name":"a"},"spec":{"names":{"kind":"Widget","plural":"widgets"}}}`,
		`{"spec":{"conversion":{"strategy":"None"},"preserveUnknownFields":false,"names":{"listKind":"WidgetList","singular":"widget"}}}`,
		`{"spec":{"conversion":{"strategy":"Webhook","webhook":{"clientConfig":{"caBundle":"eA=="}}}}}`, "/spec/conversion"}},

	"owners": {
		{owned("ReplicaSet", "apps/v1", "1"), `{"metadata":{"ownerReferences":[{"apiVersion":"apps/v1","kind":"ReplicaSet","name":"o","uid":"2","controller":true}]}}`,
			`{"metadata":{"ownerReferences":[{"apiVersion":"apps/v1","kind":"ReplicaSet","name":"p","uid":"1","controller":true}]}}`, "/metadata/ownerReferences/0/name"},
		{owned("ReplicaSet", "apps/v1", "1"), `{"metadata":{"ownerReferences":null}}`, `{"metadata":{"ownerReferences":[{"apiVersion":"e.com/v1","kind":"Widget","name":"w"}]}}`, "/metadata/ownerReferences"},
		{owned("Endpoints", "v1", "1"), `{"metadata":{"ownerReferences":null}}`, `{"metadata":{"ownerReferences":[{"apiVersion":"apps.e.com/v1","kind":"Deployment","name":"w"}]}}`, "/metadata/ownerReferences"},
		{owned("Widget", "e.com/v1", "1"), `{"metadata":{"ownerReferences":[{"apiVersion":"e.com/v1","kind":"Widget","name":"o","uid":"2","controller":true,"blockOwnerDeletion":true}]}}`,
			`{"metadata":{"ownerReferences":null}}`, "/metadata/ownerReferences"}},
	"finalizers": {{`{"apiVersion":"v1","kind":"PersistentVolumeClaim","metadata":{"name":"a","finalizers":["kubernetes.io/pvc-protection","b","a"]}}`,
		`{"metadata":{"finalizers":["a","b"]}}`, `{"metadata":{"finalizers":["a"]}}`, "/metadata/finalizers"}},
	"server": {{`{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a","uid":"1","resourceVersion":"1","generation":1,"creationTimestamp":"1","selfLink":"/","managedFields":[{"manager":"a"}]}}`,
		`{"metadata":{"uid":"2","resourceVersion":"2","generation":2,"creationTimestamp":null,"deletionTimestamp":"2","deletionGracePeriodSeconds":30,"selfLink":null,"managedFields":null}}`,
		`{"metadata":{"labels":{"a":"b"}}}`, "/metadata/labels"}},
	"generateName": {{`{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a-1","generateName":"a-"}}`, `{"metadata":{"generateName":null}}`, `{"metadata":{"name":"a-2"}}`, "/metadata/name"}},
	"status":       {{`{"apiVersion":"e.com/v1","kind":"Widget","metadata":{"name":"a"},"status":{"x":1},"spec":{"y":1}}`, `{"status":{"x":2}}`, `{"spec":{"y":2}}`, "/spec/y"}},
	"restored":     {{`{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a"}}`, `{"metadata":{"labels":{"velero.io/backup-name":"b","velero.io/restore-name":"r"}}}`, `{"metadata":{"labels":{"velero.io/schedule-name":"b"}}}`, "/metadata/labels"}},
	"empty":        {{`{"apiVersion":"e.com/v1","kind":"Widget","metadata":{"name":"a"}}`, `{"metadata":{"labels":{},"annotations":{},"finalizers":[],"ownerReferences":[]}}`, `{"data":{}}`, "/data"}},
}

const (
	pod = `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"a"},"spec":{"nodeName":"n1","priority":0,"preemptionPolicy":"PreemptLowerPriority","serviceAccountName":"web","serviceAccount":"old",
		"volumes":[{"name":"data"},{"name":"kube-api-access-abcde","projected":{}}],"containers":[{"name":"c","volumeMounts":[{"name":"data"},{"name":"kube-api-access-abcde"}]}]}}`
	service = `{"apiVersion":"v1","kind":"Service","metadata":{"name":"a","managedFields":[{"fieldsV1":{"f:spec":{"f:ports":{"k:{\"port\":53,\"protocol\":\"UDP\"}":{"f:nodePort":{}},"k:{\"port\":80,\"protocol\":\"TCP\"}":{"f:port":{}}}}}}]},
		"spec":{"clusterIP":"10.0.0.1","clusterIPs":["10.0.0.1"],"ipFamilies":["IPv4"],"ipFamilyPolicy":"SingleStack","internalTrafficPolicy":"Cluster","allocateLoadBalancerNodePorts":true,
		"ports":[{"port":80,"protocol":"TCP","nodePort":30080},{"port":53,"protocol":"UDP","nodePort":30053}]}}`
	applied = `{"apiVersion":"v1","kind":"Service","metadata":{"name":"a","annotations":{"kubectl.kubernetes.io/last-applied-configuration":"{\"spec\":{\"ports\":[{\"port\":80,\"nodePort\":30080}]}}"}},
		"spec":{"ports":[{"port":53,"protocol":"UDP","nodePort":30053},{"port":80,"nodePort":30080}]}}`
	claim = `{"apiVersion":"v1","kind":"PersistentVolumeClaim","metadata":{"name":"a","annotations":{"pv.kubernetes.io/bind-completed":"yes","pv.kubernetes.io/bound-by-controller":"yes"}},
		"spec":{"volumeName":"pv-1","storageClassName":"fast","accessModes":["ReadWriteOnce"]}}`
	volume = `{"apiVersion":"v1","kind":"PersistentVolume","metadata":{"name":"a","annotations":{"pv.kubernetes.io/bound-by-controller":"yes","pv.kubernetes.io/provisioned-by":"x"}},
		"spec":{"claimRef":{"name":"a","uid":"1","resourceVersion":"1"},"persistentVolumeReclaimPolicy":"Delete"}}`
	job = `{"apiVersion":"batch/v1","kind":"Job","metadata":{"name":"a","labels":{"controller-uid":"1","job-name":"a"}},"spec":{"selector":{"matchLabels":{"batch.kubernetes.io/controller-uid":"1"}},
		"template":{"metadata":{"labels":{"app":"a","controller-uid":"1","batch.kubernetes.io/job-name":"a"}}}}}`
)

func owned(kind, apiVersion, uid string) string {
	return `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a","ownerReferences":[{"apiVersion":"` + apiVersion + `","kind":"` + kind + `","name":"o","uid":"` + uid + `","controller":true}]}}`
}

// with2 merges two JSON texts that are known to be sound.
func with2(object, patch string) string {
	var o, p map[string]any
	if json.Unmarshal([]byte(object), &o) != nil || json.Unmarshal([]byte(patch), &p) != nil {
		panic(object + patch)
	}
	text, err := json.Marshal(merge(o, p))
	if err != nil {
		panic(err)
	}
	return string(text)
}

func TestRules(t *testing.T) {
	for _, r := range rules {
		t.Run(r.ID, func(t *testing.T) {
			if len(ruleCases[r.ID]) == 0 {
				t.Fatal("the rule has no case")
			}
			others := slices.DeleteFunc(slices.Clone(rules), func(o Rule) bool { return o.ID == r.ID })
			for _, c := range ruleCases[r.ID] {
				a := parse(t, c.object)
				b := with(t, a, c.ignored)
				if ok, found := Same(a, b, SameOptions{}); !ok {
					t.Errorf("%s counts: %v", c.ignored, found)
				}
				if ok, _ := same(a, b, SameOptions{}, others); ok {
					t.Errorf("%s would not count without the rule either", c.ignored)
				}
				for _, changed := range []*unstructured.Unstructured{with(t, a, c.real), with(t, b, c.real)} {
					ok, found := Same(a, changed, SameOptions{})
					if ok || !slices.ContainsFunc(found, func(d Difference) bool { return d.Path == c.at }) {
						t.Errorf("%s: got %v, want a difference at %s", c.real, found, c.at)
					}
				}
			}
		})
	}
	for id := range ruleCases {
		if !slices.ContainsFunc(rules, func(r Rule) bool { return r.ID == id }) {
			t.Errorf("a case for %s, which is no rule", id)
		}
	}
}

func TestSameKeepsApart(t *testing.T) {
	for name, c := range map[string]struct{ a, patch, at string }{
		"a headless service with an address": {with2(service, `{"spec":{"clusterIP":"None","clusterIPs":["None"]}}`), `{"spec":{"clusterIP":"10.0.0.1","clusterIPs":["10.0.0.1"]}}`, "/spec/clusterIP"},
		"a claim that its user bound":        {`{"apiVersion":"v1","kind":"PersistentVolumeClaim","metadata":{"name":"a"},"spec":{"volumeName":"mine"}}`, `{"spec":{"volumeName":"other"}}`, "/spec/volumeName"},
		"a job with its own selector":        {with2(job, `{"spec":{"manualSelector":true}}`), `{"spec":{"selector":{"matchLabels":{"batch.kubernetes.io/controller-uid":"2"}}}}`, "/spec/selector/matchLabels/batch.kubernetes.io~1controller-uid"},
		"a webhook's certificate":            {`{"apiVersion":"admissionregistration.k8s.io/v1","kind":"ValidatingWebhookConfiguration","metadata":{"name":"a"},"webhooks":[{"clientConfig":{"caBundle":"eA=="}}]}`, `{"webhooks":[{"clientConfig":{"caBundle":"eQ=="}}]}`, "/webhooks/0/clientConfig/caBundle"},
		"a role's rules":                     {`{"apiVersion":"rbac.authorization.k8s.io/v1","kind":"ClusterRole","metadata":{"name":"a"},"rules":[{"verbs":["get"]}]}`, `{"rules":[{"verbs":["get","list"]}]}`, "/rules/0/verbs"},
		"a ConfigMap of a like name":         {`{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a"},"data":{"ca.crt":"1"}}`, `{"data":{"ca.crt":"2"}}`, "/data/ca.crt"},
		"another group's Service":            {`{"apiVersion":"serving.knative.dev/v1","kind":"Service","metadata":{"name":"a"},"spec":{"clusterIP":"1"}}`, `{"spec":{"clusterIP":"2"}}`, "/spec/clusterIP"},
		"an EndpointSlice of a user":         {`{"apiVersion":"discovery.k8s.io/v1","kind":"EndpointSlice","metadata":{"name":"a"},"endpoints":[{"addresses":["1.1.1.1"]}]}`, `{"endpoints":[{"addresses":["1.1.1.2"]}]}`, "/endpoints/0/addresses/0"},
		"another kind":                       {`{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a"}}`, `{"kind":"Secret"}`, "/kind"},
		"an empty selector against none":     {`{"apiVersion":"v1","kind":"X","spec":{"selector":{}}}`, `{"spec":{"selector":null}}`, "/spec/selector"},
		"zero against absent":                {`{"apiVersion":"apps/v1","kind":"Deployment","spec":{"replicas":0,"x":1}}`, `{"spec":{"replicas":null}}`, "/spec/replicas"},
		"one more element":                   {`{"apiVersion":"v1","kind":"X","l":[1,2]}`, `{"l":[1,2,3]}`, "/l"},
		"text against number":                {`{"apiVersion":"v1","kind":"X","l":1}`, `{"l":"1"}`, "/l"},
	} {
		t.Run(name, func(t *testing.T) {
			a := parse(t, c.a)
			b := with(t, a, c.patch)
			ok, found := Same(a, b, SameOptions{})
			if ok || !slices.ContainsFunc(found, func(d Difference) bool { return d.Path == c.at }) {
				t.Errorf("got %v, want a difference at %s", found, c.at)
			}
		})
	}
}

func TestSameNumbers(t *testing.T) {
	a := &unstructured.Unstructured{Object: map[string]any{"a": int64(3), "b": 1.5, "c": []any{float64(2)}, "d": json.Number("7"), "e": int64(1<<53 + 1)}}
	b := &unstructured.Unstructured{Object: map[string]any{"a": float64(3), "b": json.Number("1.50"), "c": []any{2}, "d": int32(7), "e": int64(1<<53 + 1)}}
	if ok, found := Same(a, b, SameOptions{}); !ok {
		t.Error(found)
	}
	b.Object["e"] = int64(1 << 53)
	if ok, _ := Same(a, b, SameOptions{}); ok {
		t.Error("two integers that are one float64 are not told apart")
	}
}

func TestSameStatus(t *testing.T) {
	a := parse(t, `{"kind":"Widget","apiVersion":"e.com/v1","status":{"x":1}}`)
	b := parse(t, `{"kind":"Widget","apiVersion":"e.com/v1","status":{"x":2}}`)
	ok, found := Same(a, b, SameOptions{Status: true})
	if diff := cmp.Diff([]Difference{{Path: "/status/x", A: "1", B: "2"}}, found); ok || diff != "" {
		t.Error(ok, diff)
	}
}

func TestDifferencesAreCapped(t *testing.T) {
	a, b := map[string]any{}, map[string]any{}
	for _, k := range strings.Split("abcdefghijklmnopqrstuvwxyz", "") {
		a[k], b[k] = "1", strings.Repeat("2", 1000)
	}
	for want, o := range map[int]SameOptions{10: {}, 3: {Max: 3}} {
		ok, found := Same(&unstructured.Unstructured{Object: a}, &unstructured.Unstructured{Object: b}, o)
		if ok || len(found) != want {
			t.Errorf("%d differences, want %d", len(found), want)
		}
		if len(found[0].B) > 100 {
			t.Errorf("a value of %d bytes is shown whole", len(found[0].B))
		}
	}
}

func TestSecretsAreHidden(t *testing.T) {
	a := parse(t, `{"apiVersion":"v1","kind":"Secret","metadata":{"name":"a","annotations":{"kubectl.kubernetes.io/last-applied-configuration":"aHVzaA=="}},"data":{"password":"aHVzaA=="}}`)
	b := with(t, a, `{"metadata":{"annotations":null},"data":{"password":"aHVzaDI="},"stringData":{"x":"aHVzaA=="}}`)
	_, found := Same(a, b, SameOptions{})
	if len(found) != 3 {
		t.Fatalf("got %v", found)
	}
	for _, d := range found {
		if strings.Contains(d.String(), "aHVza") {
			t.Errorf("a secret is shown: %v", d)
		}
	}
	if got := found[0].String(); got != "/data/password: (hidden) against (hidden)" {
		t.Errorf("got %s", got)
	}
}
