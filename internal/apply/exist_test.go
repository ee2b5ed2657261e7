// SPDX-License-Identifier: Apache-2.0

package apply_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	velerov1 "hozon.dev/hozon/api/velero/v1"
	"hozon.dev/hozon/internal/apply"
	"hozon.dev/hozon/internal/cluster/clustertest"
	"hozon.dev/hozon/internal/object"
	"hozon.dev/hozon/internal/plan/rule"
)

const app = `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a","namespace":"NS","labels":{"app":"x"}},"data":{"k":"v"}}`

// create makes objects by hand, as somebody else would have.
func create(t *testing.T, c *clustertest.Cluster, ns string, objects ...string) {
	t.Helper()
	cmd := c.Kubectl(t.Context(), "create", "-f", "-")
	cmd.Stdin = strings.NewReader(strings.ReplaceAll(strings.Join(objects, "\n---\n"), "NS", ns))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
}

// TestExisting covers what becomes of objects that exist, by policy.
func TestExisting(t *testing.T) {
	const (
		other     = `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a","namespace":"NS","labels":{"app":"x","team":"y"}},"data":{"k":"w","more":"1"}}`
		immutable = `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a","namespace":"NS"},"data":{"k":"w"},"immutable":true}`
	)
	cases := []struct {
		name    string
		live    string
		policy  velerov1.PolicyType
		action  string
		warning string
		data    map[string]any
	}{
		{name: "equal", live: app, action: "unchanged", data: map[string]any{"k": "v"}},
		{name: "equal, update", live: app, policy: "update", action: "unchanged", data: map[string]any{"k": "v"}},
		{name: "different", live: other, action: "skipped", data: map[string]any{"k": "w", "more": "1"},
			warning: "could not restore, ConfigMap:a already exists. Warning: the in-cluster version is different than the backed-up version"},
		{name: "different, none", live: other, policy: "none", action: "skipped", data: map[string]any{"k": "w", "more": "1"},
			warning: `could not restore, ConfigMap "a" already exists. Warning: the in-cluster version is different than the backed-up version`},
		{name: "different, update", live: other, policy: "update", action: "updated", data: map[string]any{"k": "v"}},
		{name: "immutable, update", live: immutable, policy: "update", action: "skipped", data: map[string]any{"k": "w"},
			warning: `could not update configmaps/NS/a: ConfigMap "a" is invalid: `},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			c := clustertest.Shared(t)
			k, ns := client(t, c), c.Namespace(t)
			create(t, c, ns, tc.live)
			out := restore(t, k, velerov1.RestoreSpec{ExistingResourcePolicy: tc.policy}, apply.Options{}, save(t, ns, app))
			out.has(t, "configmaps/"+ns+"/a", tc.action)
			want := strings.ReplaceAll(tc.warning, "NS", ns)
			if got := strings.Join(out.warnings, "\n"); !strings.HasPrefix(got, want) || want == "" && got != "" {
				t.Errorf("warnings %q, want %q", got, want)
			}
			live := get(t, k, configMaps, ns, "a")
			if d := cmp.Diff(tc.data, field(live, "data")); d != "" {
				t.Error(d)
			}
			labelled := field(live, "metadata", "labels", "velero.io/restore-name") == "r"
			if labelled != (tc.policy == velerov1.PolicyTypeUpdate) {
				t.Errorf("labels %v", field(live, "metadata", "labels"))
			}
			if tc.action == "updated" && field(live, "metadata", "labels", "team") != nil {
				t.Error("a label that the saved state does not have is still there")
			}
		})
	}
}

// TestServerFields restores a copy of objects on which the server allocates and defaults, then restores it over itself: all is as it should be.
func TestServerFields(t *testing.T) {
	c := clustertest.Shared(t)
	k, ns := client(t, c), c.Namespace(t)
	texts := []string{
		`{"apiVersion":"v1","kind":"Service","metadata":{"name":"np","namespace":"NS"},"spec":{"type":"NodePort","ports":[{"port":80}],"selector":{"a":"b"}}}`,
		`{"apiVersion":"v1","kind":"Service","metadata":{"name":"headless","namespace":"NS"},"spec":{"clusterIP":"None","ports":[{"port":80}]}}`,
		`{"apiVersion":"v1","kind":"Pod","metadata":{"name":"p","namespace":"NS"},"spec":{"nodeName":"n1","serviceAccountName":"sa","containers":[{"name":"c","image":"i"}]}}`,
		`{"apiVersion":"v1","kind":"PersistentVolumeClaim","metadata":{"name":"c","namespace":"NS","annotations":{"pv.kubernetes.io/bind-completed":"yes"}},"spec":{"accessModes":["ReadWriteOnce"],"resources":{"requests":{"storage":"1Gi"}},"volumeName":"NS-pv","storageClassName":""}}`,
		`{"apiVersion":"batch/v1","kind":"Job","metadata":{"name":"j","namespace":"NS"},"spec":{"suspend":true,"template":{"spec":{"restartPolicy":"Never","containers":[{"name":"c","image":"i"}]}}}}`,
		`{"apiVersion":"v1","kind":"ServiceAccount","metadata":{"name":"sa","namespace":"NS"},"secrets":[{"name":"sa-token-abcde"},{"name":"own"}]}`,
		`{"apiVersion":"v1","kind":"Secret","metadata":{"name":"tok","namespace":"NS","annotations":{"kubernetes.io/service-account.name":"sa","kubernetes.io/service-account.uid":"dead"}},"type":"kubernetes.io/service-account-token","data":{"token":"b2xk","ca.crt":"b2xk"}}`,
		`{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"d","namespace":"NS"},"spec":{"selector":{"matchLabels":{"a":"b"}},"template":{"metadata":{"labels":{"a":"b"}},"spec":{"containers":[{"name":"c","image":"i"}]}}}}`,
	}
	create(t, c, ns, texts...)
	var objects []saved
	for _, s := range save(t, ns, texts...) {
		typ := object.Type{Group: s.entry.Ref.Group, Version: s.entry.Version, Resource: s.entry.Ref.Resource}
		body, err := k.Get(t.Context(), typ, ns, s.entry.Ref.Name)
		if err != nil {
			t.Fatal(err)
		}
		objects = append(objects, save(t, ns, string(body))...)
	}
	mapping := map[string]string{ns: ns + "-copy"}
	first := restore(t, k, velerov1.RestoreSpec{NamespaceMapping: mapping}, apply.Options{}, objects)
	for ref, action := range first.actions {
		if action != "created" {
			t.Errorf("%s: %s (%s)", ref, action, first.reasons[ref])
		}
	}
	ports := func(ns string) any {
		return field(get(t, k, object.Type{Version: "v1", Resource: "services"}, ns, "np"), "spec", "ports", 0, "nodePort")
	}
	if a, b := ports(ns), ports(ns+"-copy"); a == b || b == nil {
		t.Errorf("node ports %v and %v", a, b)
	}
	for _, policy := range []velerov1.PolicyType{"", "none", "update"} {
		spec := velerov1.RestoreSpec{ExistingResourcePolicy: policy, NamespaceMapping: mapping}
		second := restore(t, k, spec, apply.Options{Env: envNamed("r2")}, objects)
		for ref, action := range second.actions {
			if action != "unchanged" {
				t.Errorf("policy %q: %s: %s (%s)", policy, ref, action, second.reasons[ref])
			}
		}
		if len(second.warnings) > 0 {
			t.Errorf("policy %q: warnings %q", policy, second.warnings)
		}
	}
}

// TestAccountMerge adds what the saved service account has, and keeps what the target's has.
func TestAccountMerge(t *testing.T) {
	c := clustertest.Shared(t)
	k, ns := client(t, c), c.Namespace(t)
	create(t, c, ns, `{"apiVersion":"v1","kind":"ServiceAccount","metadata":{"name":"sa","namespace":"NS","labels":{"a":"live"}},"imagePullSecrets":[{"name":"live"}]}`)
	out := restore(t, k, velerov1.RestoreSpec{ExistingResourcePolicy: "none"}, apply.Options{}, save(t, ns,
		`{"apiVersion":"v1","kind":"ServiceAccount","metadata":{"name":"sa","namespace":"NS","labels":{"a":"saved","b":"saved"}},"imagePullSecrets":[{"name":"live"},{"name":"saved"}],"secrets":[{"name":"s"}]}`))
	out.has(t, "serviceaccounts/"+ns+"/sa", "updated")
	live := get(t, k, object.Type{Version: "v1", Resource: "serviceaccounts"}, ns, "sa")
	want := map[string]any{
		"labels": map[string]any{"a": "live", "b": "saved"}, "secrets": []any{map[string]any{"name": "s"}},
		"imagePullSecrets": []any{map[string]any{"name": "live"}, map[string]any{"name": "saved"}},
	}
	got := map[string]any{"labels": field(live, "metadata", "labels"), "secrets": live["secrets"], "imagePullSecrets": live["imagePullSecrets"]}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

// TestManyExisting: where many objects exist already, one list answers for the rest.
func TestManyExisting(t *testing.T) {
	c := clustertest.Shared(t)
	k, ns := client(t, c), c.Namespace(t)
	var texts []string
	for i := range 200 {
		texts = append(texts, strings.Replace(app, `"a"`, fmt.Sprintf(`"a%d"`, i), 1))
	}
	objects := save(t, ns, texts...)
	first := restore(t, k, velerov1.RestoreSpec{}, apply.Options{}, objects)
	if n := first.calls["total"]; n > 200+3 {
		t.Errorf("%d calls for 200 objects without managedFields: %v", n, first.calls)
	}
	second := restore(t, k, velerov1.RestoreSpec{}, apply.Options{}, objects)
	for ref, action := range second.actions {
		if action != "unchanged" {
			t.Errorf("%s: %s", ref, action)
		}
	}
	if n := second.calls["total"]; n > 180 {
		t.Errorf("%d calls to find 200 objects unchanged: %v", n, second.calls)
	}
	dry := restore(t, k, velerov1.RestoreSpec{}, apply.Options{DryRun: true}, objects)
	for ref, action := range dry.actions {
		if action != "unchanged" {
			t.Errorf("dry run, %s: %s", ref, action)
		}
	}
	if n := dry.calls["total"]; n > 5 {
		t.Errorf("%d calls of a dry run to find 200 objects unchanged: %v", n, dry.calls)
	}
}

// versions are the names and resourceVersions of all that a test may have in its namespace.
func versions(t *testing.T, c *clustertest.Cluster, ns string) string {
	t.Helper()
	out, err := c.Kubectl(t.Context(), "-n", ns, "get", "configmaps,secrets,services,events", "-o", `jsonpath={range .items[*]}{.kind}/{.metadata.name} {.metadata.resourceVersion} {end}`).Output()
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// TestDryRun predicts, and changes nothing.
func TestDryRun(t *testing.T) {
	c := clustertest.Shared(t)
	k, ns := client(t, c), c.Namespace(t)
	create(t, c, ns, strings.Replace(app, `"a"`, `"same"`, 1), strings.Replace(app, `"k":"v"`, `"k":"w"`, 1))
	objects := save(t, ns, app, strings.Replace(app, `"a"`, `"same"`, 1), strings.Replace(app, `"a"`, `"new"`, 1))
	before := versions(t, c, ns)
	for policy, differing := range map[velerov1.PolicyType]string{"": "skipped", "update": "updated"} {
		out := restore(t, k, velerov1.RestoreSpec{ExistingResourcePolicy: policy}, apply.Options{DryRun: true}, objects)
		out.has(t, "configmaps/"+ns+"/a", differing)
		out.has(t, "configmaps/"+ns+"/same", "unchanged")
		out.has(t, "configmaps/"+ns+"/new", "created")
		if after := versions(t, c, ns); after != before {
			t.Errorf("a dry run changed something: %s, was %s", after, before)
		}
		if n := out.calls["create"]; n != 1 { // of the object that does not exist
			t.Errorf("the server was asked to try %d creations: %v", n, out.calls)
		}
	}
}

func envNamed(restore string) rule.Env { return rule.Env{Restore: restore} }

// TestPreservedPortIsTaken: with preserveNodePorts a Service whose port another one has fails, and the port and who refused it are named; without it, it gets another
// port, and a warning says both. A dry run says so before.
func TestPreservedPortIsTaken(t *testing.T) {
	const service = `{"apiVersion":"v1","kind":"Service","metadata":{"name":"%s","namespace":"NS","managedFields":[{"manager":"m","operation":"Update","apiVersion":"v1","time":"2020-01-01T00:00:00Z",
		"fieldsType":"FieldsV1","fieldsV1":{"f:spec":{"f:ports":{"k:{\"port\":80,\"protocol\":\"TCP\"}":{"f:nodePort":{}}}}}}]},
		"spec":{"type":"NodePort","selector":{"a":"b"},"ports":[{"port":80,"protocol":"TCP","nodePort":%d}]}}`
	for port, preserve := range map[int]bool{30777: true, 30778: false} {
		t.Run(fmt.Sprintf("preserve %v", preserve), func(t *testing.T) {
			c := clustertest.Shared(t)
			k, ns := client(t, c), c.Namespace(t)
			create(t, c, ns, fmt.Sprintf(`{"apiVersion":"v1","kind":"Service","metadata":{"name":"holder","namespace":"NS"},"spec":{"type":"NodePort","ports":[{"port":80,"nodePort":%d}]}}`, port))
			for _, dry := range []bool{true, false} {
				o := apply.Options{DryRun: dry, Env: rule.Env{PreserveNodePorts: preserve}}
				out := restore(t, k, velerov1.RestoreSpec{}, o, save(t, ns, fmt.Sprintf(service, "web", port)))
				ref := "services/" + ns + "/web"
				if preserve {
					out.has(t, ref, "failed")
					if !strings.Contains(out.reasons[ref], fmt.Sprint(port)) || !strings.Contains(out.reasons[ref], "provided port is already allocated") {
						t.Errorf("dry run %v: %q", dry, out.reasons[ref])
					}
					continue
				}
				out.has(t, ref, "created")
				if len(out.warnings) != 1 || !strings.Contains(out.warnings[0], fmt.Sprintf("node port %d is taken: it has ", port)) {
					t.Errorf("dry run %v: %q", dry, out.warnings)
				}
			}
		})
	}
}
