// SPDX-License-Identifier: Apache-2.0

package rule_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"hozon.dev/hozon/internal/plan/rule"
)

func parsed(t *testing.T, text string) *unstructured.Unstructured {
	t.Helper()
	body, err := yaml.YAMLToJSON([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	o := &unstructured.Unstructured{}
	if err := o.UnmarshalJSON(body); err != nil {
		t.Fatal(err)
	}
	return o
}

// TestConvert: objects of versions that are gone, as the versions that replaced them have them.
func TestConvert(t *testing.T) {
	cases := []struct{ name, from, to, want string }{
		{"renamed only", `{apiVersion: batch/v1beta1, kind: CronJob, metadata: {name: c}, spec: {schedule: "* * * * *"}}`, "v1",
			`{apiVersion: batch/v1, kind: CronJob, metadata: {name: c}, spec: {schedule: "* * * * *"}}`},
		{"ingress", `{apiVersion: networking.k8s.io/v1beta1, kind: Ingress, metadata: {name: i}, spec: {backend: {serviceName: d, servicePort: http},
			rules: [{host: a, http: {paths: [{path: /, backend: {serviceName: s, servicePort: 80}}, {path: /r, pathType: Prefix, backend: {resource: {kind: B, name: b}}}]}}]}}`, "v1",
			`{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {name: i}, spec: {defaultBackend: {service: {name: d, port: {name: http}}},
			rules: [{host: a, http: {paths: [{path: /, pathType: ImplementationSpecific, backend: {service: {name: s, port: {number: 80}}}}, {path: /r, pathType: Prefix, backend: {resource: {kind: B, name: b}}}]}}]}}`},
	}
	for _, tc := range cases {
		o, want := parsed(t, tc.from), parsed(t, tc.want)
		want.SetLabels((rule.Env{}).Labels())
		if got := rule.Converts(o.GroupVersionKind().Group, o.GroupVersionKind().Version, o.GetKind()); got != tc.to {
			t.Errorf("%s: converts to %q, want %q", tc.name, got, tc.to)
		}
		if _, err := rule.Transform(o, rule.Env{Convert: tc.to}); err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want.Object, o.Object); d != "" {
			t.Errorf("%s (-want +got):\n%s", tc.name, d)
		}
	}
	budget := parsed(t, `{apiVersion: policy/v1beta1, kind: PodDisruptionBudget, metadata: {name: p}, spec: {minAvailable: 1, selector: {}}}`)
	if _, err := rule.Transform(budget, rule.Env{Convert: "v1"}); err == nil || !strings.Contains(err.Error(), "empty selector") {
		t.Errorf("a budget that means something else in v1: %v", err)
	}
}

// TestUninject: what meshes put into pods comes out, and nothing else does.
func TestUninject(t *testing.T) {
	cases := []struct{ name, pod, want string }{
		{"istio", `{kind: Pod, metadata: {annotations: {sidecar.istio.io/status: '{"containers":["istio-proxy"],"initContainers":["istio-init"],"volumes":["envoy"]}', keep: me}},
			spec: {containers: [{name: c, volumeMounts: [{name: envoy}, {name: data}]}, {name: istio-proxy}], initContainers: [{name: istio-init}], volumes: [{name: envoy}, {name: data}]}}`,
			`{kind: Pod, metadata: {annotations: {keep: me}}, spec: {containers: [{name: c, volumeMounts: [{name: data}]}], volumes: [{name: data}]}}`},
		{"linkerd", `{kind: Pod, metadata: {annotations: {linkerd.io/proxy-version: "2"}}, spec: {containers: [{name: linkerd-proxy}, {name: c}], initContainers: [{name: linkerd-init}, {name: mine}], volumes: [{name: linkerd-identity-token}]}}`,
			`{kind: Pod, metadata: {}, spec: {containers: [{name: c}], initContainers: [{name: mine}]}}`},
		{"none", `{kind: Pod, metadata: {}, spec: {containers: [{name: istio-proxy}]}}`, `{kind: Pod, metadata: {}, spec: {containers: [{name: istio-proxy}]}}`},
	}
	for _, tc := range cases {
		o, want := parsed(t, tc.pod), parsed(t, tc.want)
		if got := rule.Uninject(o); got != (tc.name != "none") {
			t.Errorf("%s: says %v", tc.name, got)
		}
		if d := cmp.Diff(want.Object, o.Object); d != "" {
			t.Errorf("%s (-want +got):\n%s", tc.name, d)
		}
	}
}
