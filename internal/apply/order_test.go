// SPDX-License-Identifier: Apache-2.0

package apply_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	velerov1 "hozon.dev/hozon/api/velero/v1"
	"hozon.dev/hozon/internal/apply"
	"hozon.dev/hozon/internal/cluster"
	"hozon.dev/hozon/internal/cluster/clustertest"
	"hozon.dev/hozon/internal/object"
)

// gearCRD defines a kind of its own for each test: NS makes the group unique.
const gearCRD = `{"apiVersion":"apiextensions.k8s.io/v1","kind":"CustomResourceDefinition","metadata":{"name":"gears.NS.example.com"},
	"spec":{"group":"NS.example.com","scope":"Namespaced","names":{"plural":"gears","singular":"gear","kind":"Gear","listKind":"GearList"},
	"versions":[{"name":"v1","served":true,"storage":true,"subresources":{"status":{}},"schema":{"openAPIV3Schema":{"type":"object","x-kubernetes-preserve-unknown-fields":true}}}]},
	"status":{"storedVersions":["v1"]}}`

func gears(ns string) object.Type {
	return object.Type{Group: ns + ".example.com", Version: "v1", Resource: "gears", Kind: "Gear", Namespaced: true}
}

// TestOwners restores a definition, a custom resource, and what it owns: references get the new UIDs, dead ones are left out.
func TestOwners(t *testing.T) {
	c := clustertest.Shared(t)
	k, ns := client(t, c), c.Namespace(t)
	create(t, c, ns, `{"apiVersion":"v1","kind":"Secret","metadata":{"name":"alive","namespace":"NS"}}`)
	owned := func(name, refs string) string {
		return fmt.Sprintf(`{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":%q,"namespace":"NS","uid":"uid-%s","ownerReferences":[%s]}}`, name, name, refs)
	}
	const gearRef = `{"apiVersion":"NS.example.com/v1","kind":"Gear","name":"g","uid":"gear-old","controller":true,"blockOwnerDeletion":true}`
	objects := save(t, ns, gearCRD,
		`{"apiVersion":"NS.example.com/v1","kind":"Gear","metadata":{"name":"g","namespace":"NS","uid":"gear-old"},"status":{"ok":true}}`,
		owned("of-gear", gearRef),
		owned("of-cm", `{"apiVersion":"v1","kind":"ConfigMap","name":"of-gear","uid":"uid-of-gear"}`),
		owned("of-alive", `{"apiVersion":"v1","kind":"Secret","name":"alive","uid":"saved-under-another-uid"}`),
		owned("of-dead", `{"apiVersion":"v1","kind":"Secret","name":"dead","uid":"gone"},`+gearRef),
	)
	out := restore(t, k, velerov1.RestoreSpec{}, apply.Options{Status: func(_, resource string) bool { return resource == "gears" }}, objects)
	for ref, action := range out.actions {
		if action == "failed" || action == "skipped" {
			t.Errorf("%s: %s (%s)", ref, action, out.reasons[ref])
		}
	}
	gear := get(t, k, gears(ns), ns, "g")
	if field(gear, "status", "ok") != true {
		t.Errorf("the status that was asked for is %v", gear["status"])
	}
	uid := func(name string) any { return field(get(t, k, configMaps, ns, name), "metadata", "uid") }
	first := func(name, key string) any {
		return field(get(t, k, configMaps, ns, name), "metadata", "ownerReferences", 0, key)
	}
	if got, want := first("of-gear", "uid"), field(gear, "metadata", "uid"); got != want {
		t.Errorf("of-gear is owned by %v, want %v", got, want)
	}
	if first("of-gear", "controller") != true || first("of-gear", "blockOwnerDeletion") != true {
		t.Error("controller and blockOwnerDeletion were lost")
	}
	if got, want := first("of-cm", "uid"), uid("of-gear"); got != want {
		t.Errorf("of-cm is owned by %v, want %v", got, want)
	}
	alive := get(t, k, object.Type{Version: "v1", Resource: "secrets"}, ns, "alive")
	if got, want := first("of-alive", "uid"), field(alive, "metadata", "uid"); got != want {
		t.Errorf("of-alive is owned by %v, want %v", got, want)
	}
	if refs, _ := field(get(t, k, configMaps, ns, "of-dead"), "metadata", "ownerReferences").([]any); len(refs) != 1 {
		t.Errorf("of-dead has the references %v, want the living one only", refs)
	}
	if len(out.warnings) != 1 || !strings.Contains(out.warnings[0], "Secret dead") {
		t.Errorf("warnings %q, want one about Secret dead", out.warnings)
	}
}

// TestLateOwner: a cluster-scoped prerequisite does not wait for its owner, and is linked all the same.
func TestLateOwner(t *testing.T) {
	c := clustertest.Shared(t)
	k, ns := client(t, c), c.Namespace(t)
	crd := strings.Replace(gearCRD, `"scope":"Namespaced"`, `"scope":"Cluster"`, 1)
	out := restore(t, k, velerov1.RestoreSpec{}, apply.Options{}, save(t, ns, crd,
		`{"apiVersion":"NS.example.com/v1","kind":"Gear","metadata":{"name":"g","uid":"gear-old"}}`,
		`{"apiVersion":"rbac.authorization.k8s.io/v1","kind":"ClusterRole","metadata":{"name":"NS","ownerReferences":[{"apiVersion":"NS.example.com/v1","kind":"Gear","name":"g","uid":"gear-old"}]},"rules":[]}`))
	role := get(t, k, object.Type{Group: "rbac.authorization.k8s.io", Version: "v1", Resource: "clusterroles"}, "", ns)
	want := field(get(t, k, gears(ns), "", "g"), "metadata", "uid")
	if got := field(role, "metadata", "ownerReferences", 0, "uid"); got != want || want == nil {
		t.Errorf("the role is owned by %v, want %v; warnings %q", got, want, out.warnings)
	}
}

// TestWebhook: a webhook whose backend is not there stands in the way of one kind. Its objects are tried again after the rest, and in the
// end reported with the webhook's name; everything else comes back.
func TestWebhook(t *testing.T) {
	c := clustertest.Shared(t)
	k, ns := client(t, c), c.Namespace(t)
	create(t, c, ns, `{"apiVersion":"admissionregistration.k8s.io/v1","kind":"ValidatingWebhookConfiguration","metadata":{"name":"NS"},"webhooks":[
		{"name":"block.example.com","failurePolicy":"Fail","sideEffects":"None","admissionReviewVersions":["v1"],"timeoutSeconds":1,
		"clientConfig":{"service":{"namespace":"NS","name":"none","path":"/"}},
		"namespaceSelector":{"matchLabels":{"kubernetes.io/metadata.name":"NS"}},
		"rules":[{"apiGroups":[""],"apiVersions":["v1"],"operations":["CREATE"],"resources":["secrets"]}]}]}`)
	out := restore(t, k, velerov1.RestoreSpec{}, apply.Options{}, save(t, ns, app,
		`{"apiVersion":"v1","kind":"Secret","metadata":{"name":"s","namespace":"NS"}}`))
	out.has(t, "configmaps/"+ns+"/a", "created")
	out.has(t, "secrets/"+ns+"/s", "failed")
	if reason := out.reasons["secrets/"+ns+"/s"]; !strings.Contains(reason, "block.example.com") {
		t.Errorf("the reason %q does not name the webhook", reason)
	}
}

// TestSecondRound: an admission policy of the target refuses Secrets until a ConfigMap is there, which its owner puts late in the order.
// The Secret is tried again; what stays impossible is reported with the server's reason.
func TestSecondRound(t *testing.T) {
	c := clustertest.Shared(t)
	k, ns := client(t, c), c.Namespace(t)
	create(t, c, ns,
		`{"apiVersion":"admissionregistration.k8s.io/v1","kind":"ValidatingAdmissionPolicy","metadata":{"name":"NS"},"spec":{"failurePolicy":"Fail","paramKind":{"apiVersion":"v1","kind":"ConfigMap"},
			"matchConstraints":{"resourceRules":[{"apiGroups":[""],"apiVersions":["v1"],"operations":["CREATE"],"resources":["secrets"]}]},"validations":[{"expression":"true"}]}}`,
		`{"apiVersion":"admissionregistration.k8s.io/v1","kind":"ValidatingAdmissionPolicyBinding","metadata":{"name":"NS"},"spec":{"policyName":"NS","validationActions":["Deny"],
			"paramRef":{"name":"param","namespace":"NS","parameterNotFoundAction":"Deny"},"matchResources":{"namespaceSelector":{"matchLabels":{"kubernetes.io/metadata.name":"NS"}}}}}`)
	secret := strings.ReplaceAll(`{"apiVersion":"v1","kind":"Secret","metadata":{"name":"s","namespace":"NS"}}`, "NS", ns)
	secrets := object.Type{Version: "v1", Resource: "secrets", Namespaced: true}
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for { // until the policy is in force, of which there is no event
		if _, err := k.Create(t.Context(), secrets, ns, []byte(secret), cluster.WriteOptions{DryRun: true}); err != nil {
			break
		}
		select {
		case <-tick.C:
		case <-t.Context().Done():
			t.Fatal("the policy was never in force")
		}
	}
	out := restore(t, k, velerov1.RestoreSpec{}, apply.Options{}, save(t, ns,
		`{"apiVersion":"apps/v1","kind":"DaemonSet","metadata":{"name":"d","namespace":"NS","uid":"ds-old"},"spec":{"selector":{"matchLabels":{"a":"b"}},"template":{"metadata":{"labels":{"a":"b"}},"spec":{"containers":[{"name":"c","image":"i"}]}}}}`,
		`{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"param","namespace":"NS","ownerReferences":[{"apiVersion":"apps/v1","kind":"DaemonSet","name":"d","uid":"ds-old"}]}}`,
		secret,
		`{"apiVersion":"v1","kind":"Pod","metadata":{"name":"q","namespace":"NS"},"spec":{"runtimeClassName":"missing","containers":[{"name":"c","image":"i"}]}}`))
	out.has(t, "secrets/"+ns+"/s", "created")
	out.has(t, "pods/"+ns+"/q", "failed")
	if reason := out.reasons["pods/"+ns+"/q"]; !strings.Contains(reason, "missing") {
		t.Errorf("reason %q", reason)
	}
}

// TestMapping restores into another namespace, with everything that names it.
func TestMapping(t *testing.T) {
	c := clustertest.Shared(t)
	k, ns := client(t, c), c.Namespace(t)
	to := ns + "-copy"
	out := restore(t, k, velerov1.RestoreSpec{NamespaceMapping: map[string]string{ns: to}}, apply.Options{}, save(t, ns,
		`{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"NS","labels":{"kubernetes.io/metadata.name":"NS","team":"a"}},"spec":{"finalizers":["kubernetes"]}}`,
		app,
		`{"apiVersion":"rbac.authorization.k8s.io/v1","kind":"RoleBinding","metadata":{"name":"rb","namespace":"NS"},"roleRef":{"apiGroup":"rbac.authorization.k8s.io","kind":"Role","name":"r"},"subjects":[{"kind":"ServiceAccount","name":"s","namespace":"NS"},{"kind":"ServiceAccount","name":"s","namespace":"elsewhere"}]}`,
		`{"apiVersion":"v1","kind":"PersistentVolume","metadata":{"name":"NS-pv"},"spec":{"capacity":{"storage":"1Gi"},"accessModes":["ReadWriteOnce"],"persistentVolumeReclaimPolicy":"Retain","hostPath":{"path":"/x"},"claimRef":{"namespace":"NS","name":"c"}}}`))
	out.has(t, "namespaces/"+to, "created")
	out.has(t, "configmaps/"+to+"/a", "created")
	live := get(t, k, object.Type{Version: "v1", Resource: "namespaces"}, "", to)
	if got := fmt.Sprint(field(live, "metadata", "labels")); got != fmt.Sprintf("map[kubernetes.io/metadata.name:%s team:a]", to) {
		t.Errorf("labels of the namespace: %s", got)
	}
	binding := get(t, k, object.Type{Group: "rbac.authorization.k8s.io", Version: "v1", Resource: "rolebindings"}, to, "rb")
	if a, b := field(binding, "subjects", 0, "namespace"), field(binding, "subjects", 1, "namespace"); a != to || b != "elsewhere" {
		t.Errorf("subjects in %v and %v", a, b)
	}
	volume := get(t, k, object.Type{Version: "v1", Resource: "persistentvolumes"}, "", ns+"-pv")
	if got := field(volume, "spec", "claimRef", "namespace"); got != to {
		t.Errorf("claimRef in %v", got)
	}
}

// TestTerminatingNamespace waits for a namespace that is on its way out, within bounds. The cluster has no controllers: the namespace
// goes when the test finalizes it.
func TestTerminatingNamespace(t *testing.T) {
	c := clustertest.Shared(t)
	k := client(t, c)
	for _, goes := range []bool{true, false} {
		ns := c.Namespace(t)
		namespaces := object.Type{Version: "v1", Resource: "namespaces"}
		call(t, c, http.MethodDelete, "/api/v1/namespaces/"+ns, "")
		options := apply.Options{Terminating: 300 * time.Millisecond}
		if goes {
			options.Terminating = time.Minute
			before := field(get(t, k, namespaces, "", ns), "metadata", "uid")
			done := make(chan struct{})
			go func() {
				defer close(done)
				call(t, c, http.MethodPut, "/api/v1/namespaces/"+ns+"/finalize",
					fmt.Sprintf(`{"apiVersion":"v1","kind":"Namespace","metadata":{"name":%q,"uid":%q},"spec":{"finalizers":[]}}`, ns, before))
			}()
			out := restore(t, k, velerov1.RestoreSpec{}, options, save(t, ns, app))
			<-done
			out.has(t, "namespaces/"+ns, "created")
			out.has(t, "configmaps/"+ns+"/a", "created")
			continue
		}
		out := restore(t, k, velerov1.RestoreSpec{}, options, save(t, ns, app))
		out.has(t, "namespaces/"+ns, "failed")
		if reason := out.reasons["namespaces/"+ns]; !strings.Contains(reason, "still being deleted") {
			t.Errorf("reason %q", reason)
		}
		out.has(t, "configmaps/"+ns+"/a", "failed")
	}
}

func call(t *testing.T, c *clustertest.Cluster, method, path, body string) {
	req, err := http.NewRequestWithContext(t.Context(), method, c.URL+path, strings.NewReader(body))
	if err != nil {
		t.Error(err)
		return
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := c.Client().Do(req)
	if err != nil {
		t.Error(err)
		return
	}
	resp.Body.Close()
	if resp.StatusCode >= 300 {
		t.Errorf("%s %s: %s", method, path, resp.Status)
	}
}
