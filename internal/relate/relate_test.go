// SPDX-License-Identifier: Apache-2.0

package relate

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"hozon.dev/hozon/internal/fail"
	"hozon.dev/hozon/internal/object"
)

// ref reads "resource.group/namespace/name", or "resource.group/name" for what is cluster-scoped.
func ref(s string) object.Ref {
	part := strings.Split(s, "/")
	group, resource := object.ParseGroupResource(part[0])
	r := object.Ref{Group: group, Resource: resource, Name: part[len(part)-1]}
	if len(part) == 3 {
		r.Namespace = part[1]
	}
	return r
}

func TestNeeds(t *testing.T) {
	for _, c := range []struct{ name, object, body, want string }{
		{"a pod's claims", "pods/shop/web", `{"spec":{"volumes":[{"name":"a","persistentVolumeClaim":{"claimName":"data"}},{"name":"b","configMap":{"name":"x"}},{"name":"c","persistentVolumeClaim":{"claimName":"logs"}}]}}`,
			"persistentvolumeclaims/shop/data persistentvolumeclaims/shop/logs"},
		{"a pod's ephemeral claim", "pods/shop/web", `{"spec":{"volumes":[{"name":"scratch","ephemeral":{"volumeClaimTemplate":{}}}]}}`, "persistentvolumeclaims/shop/web-scratch"},
		{"a pod's priority class", "pods/shop/web", `{"spec":{"priorityClassName":"high"}}`, "priorityclasses.scheduling.k8s.io/high"},
		{"not its account, secrets and config maps", "pods/shop/web", `{"spec":{"serviceAccountName":"web","volumes":[{"secret":{"secretName":"s"}}],"imagePullSecrets":[{"name":"p"}]}}`, ""},
		{"a pod without volumes", "pods/shop/web", `{"spec":{}}`, ""},
		{"a pod of another group", "pods.metrics.k8s.io/shop/web", `{"spec":{"priorityClassName":"high"}}`, ""},
		{"a claim's volume", "persistentvolumeclaims/shop/data", `{"spec":{"volumeName":"pv-1"}}`, "persistentvolumes/pv-1"},
		{"a claim that waits", "persistentvolumeclaims/shop/data", `{"spec":{}}`, ""},
		{"a binding's role", "clusterrolebindings.rbac.authorization.k8s.io/b", `{"roleRef":{"kind":"ClusterRole","name":"view"}}`, "clusterroles.rbac.authorization.k8s.io/view"},
		{"a binding within a namespace", "rolebindings.rbac.authorization.k8s.io/shop/b", `{"roleRef":{"kind":"ClusterRole","name":"view"}}`, ""},
		{"a ConfigMap", "configmaps/shop/a", `{"data":{"spec":"x"}}`, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got []string
			err := Needs(ref(c.object), object.Head{}, []byte(c.body), func(r object.Ref) { got = append(got, r.String()) })
			if err != nil || strings.Join(got, " ") != c.want {
				t.Errorf("got %v, %v, want %s", got, err, c.want)
			}
		})
	}
}

func TestBrokenBodies(t *testing.T) {
	for _, o := range []string{"pods/a/b", "persistentvolumeclaims/a/b", "clusterrolebindings.rbac.authorization.k8s.io/b"} {
		for _, body := range []string{`{"spec":[],"roleRef":7}`, `{"spec":`} {
			err := Needs(ref(o), object.Head{}, []byte(body), func(object.Ref) {})
			if !fail.Is(err, fail.Corrupt) || !strings.Contains(err.Error(), ref(o).ID()) {
				t.Errorf("%s %s: got %v", o, body, err)
			}
		}
	}
	var s Set
	add(t, &s, "serviceaccounts/a/sa", `{}`)
	if _, err := s.Needed(ref("clusterrolebindings.rbac.authorization.k8s.io/b"), object.Head{}, []byte(`{"subjects":1}`)); !fail.Is(err, fail.Corrupt) {
		t.Errorf("a broken binding: got %v", err)
	}
}

func add(t *testing.T, s *Set, name, body string) {
	t.Helper()
	if err := s.Add(ref(name), object.Head{}, []byte(body)); err != nil {
		t.Fatal(err)
	}
}

// TestSet is a backup of one namespace, in the order in which a collector meets the objects.
func TestSet(t *testing.T) {
	var s Set
	needed := func(name, body string) bool {
		ok, err := s.Needed(ref(name), object.Head{}, []byte(body))
		if err != nil {
			t.Fatal(err)
		}
		return ok
	}
	check := func(want bool, name, body string) {
		t.Helper()
		if got := needed(name, body); got != want {
			t.Errorf("%s needed: %v, want %v", name, got, want)
		}
	}
	const rbac = ".rbac.authorization.k8s.io/"
	binding := func(subject, role string) string {
		return fmt.Sprintf(`{"subjects":[{"kind":"User","name":"x"},%s],"roleRef":{"kind":"ClusterRole","name":%q}}`, subject, role)
	}
	web := binding(`{"kind":"ServiceAccount","namespace":"shop","name":"web"}`, "reader")

	check(false, "clusterrolebindings"+rbac+"early", web)
	add(t, &s, "pods/shop/web", `{"spec":{"priorityClassName":"high","volumes":[{"persistentVolumeClaim":{"claimName":"data"}}]}}`)
	add(t, &s, "serviceaccounts/shop/web", `{}`)
	add(t, &s, "widgets.example.com/shop/w", `{}`)

	check(true, "persistentvolumeclaims/shop/data", "{}")
	check(false, "persistentvolumeclaims/other/data", "{}")
	add(t, &s, "persistentvolumeclaims/shop/data", `{"spec":{"volumeName":"pv-1"}}`)
	check(true, "persistentvolumes/pv-1", "{}")
	check(false, "persistentvolumes/pv-2", "{}")

	check(true, "clusterrolebindings"+rbac+"web", web)
	add(t, &s, "clusterrolebindings"+rbac+"web", web)
	check(false, "clusterrolebindings"+rbac+"other-account", binding(`{"kind":"ServiceAccount","namespace":"shop","name":"db"}`, "writer"))
	check(false, "clusterrolebindings"+rbac+"other-namespace", binding(`{"kind":"ServiceAccount","namespace":"x","name":"web"}`, "writer"))
	check(false, "clusterrolebindings"+rbac+"group", binding(`{"kind":"Group","name":"system:serviceaccounts:shop"}`, "writer"))
	check(true, "clusterroles"+rbac+"reader", "{}")
	check(false, "clusterroles"+rbac+"writer", "{}")

	check(true, "customresourcedefinitions.apiextensions.k8s.io/widgets.example.com", "{}")
	check(false, "customresourcedefinitions.apiextensions.k8s.io/gadgets.example.com", "{}")
	add(t, &s, "deployments.apps/shop/web", `{}`)
	check(false, "customresourcedefinitions.apiextensions.k8s.io/deployments.apps", "{}")
	check(true, "priorityclasses.scheduling.k8s.io/high", "{}")
	check(false, "priorityclasses.scheduling.k8s.io/low", "{}")
	check(true, "namespaces/shop", "{}")
	check(false, "namespaces/other", "{}")
	check(false, "storageclasses.storage.k8s.io/fast", "{}")

	var all []string
	for r := range s.All {
		all = append(all, r.String())
	}
	slices.Sort(all)
	want := []string{"clusterroles" + rbac + "reader", "customresourcedefinitions.apiextensions.k8s.io/clusterrolebindings.rbac.authorization.k8s.io",
		"customresourcedefinitions.apiextensions.k8s.io/widgets.example.com", "namespaces/shop",
		"persistentvolumeclaims/shop/data", "persistentvolumes/pv-1", "priorityclasses.scheduling.k8s.io/high"}
	if diff := cmp.Diff(want, all); diff != "" {
		t.Error(diff)
	}
}

func TestWaves(t *testing.T) {
	types := func(names string) []object.Type {
		var out []object.Type
		for _, n := range strings.Fields(names) {
			name, wide := strings.CutSuffix(n, "*")
			group, resource := object.ParseGroupResource(name)
			out = append(out, object.Type{Group: group, Resource: resource, Namespaced: !wide})
		}
		return out
	}
	const (
		crb, cr  = "clusterrolebindings.rbac.authorization.k8s.io*", "clusterroles.rbac.authorization.k8s.io*"
		crd, pc  = "customresourcedefinitions.apiextensions.k8s.io*", "priorityclasses.scheduling.k8s.io*"
		related  = crb + " " + cr + " " + crd + " persistentvolumes* " + pc + " persistentvolumeclaims namespaces* storageclasses.storage.k8s.io*"
		allTypes = "namespaces* persistentvolumes* " + crb + " pods persistentvolumeclaims serviceaccounts deployments.apps " + cr + " " + crd + " storageclasses.storage.k8s.io* " + pc
	)
	for _, c := range []struct{ name, yes, related, want string }{
		{"everything", allTypes, "", "pods serviceaccounts deployments.apps storageclasses.storage.k8s.io | clusterrolebindings.rbac.authorization.k8s.io persistentvolumeclaims | " +
			"namespaces persistentvolumes clusterroles.rbac.authorization.k8s.io customresourcedefinitions.apiextensions.k8s.io priorityclasses.scheduling.k8s.io"},
		{"pods alone", "pods", related, "pods | persistentvolumeclaims | persistentvolumes priorityclasses.scheduling.k8s.io namespaces"},
		{"accounts alone", "serviceaccounts", related, "serviceaccounts | clusterrolebindings.rbac.authorization.k8s.io | clusterroles.rbac.authorization.k8s.io namespaces"},
		{"config maps alone", "configmaps", related, "configmaps | namespaces"},
		{"custom resources", "widgets.example.com*", related, "widgets.example.com | customresourcedefinitions.apiextensions.k8s.io"},
		{"storage classes alone", "storageclasses.storage.k8s.io*", "persistentvolumes*", "storageclasses.storage.k8s.io"},
		{"volumes for their own sake", "persistentvolumes*", related, "persistentvolumes"},
		{"nothing", "", related, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			var waves []string
			for _, w := range Waves(types(c.yes), types(c.related)) {
				var names []string
				for _, t := range w {
					names = append(names, t.GroupResource())
				}
				waves = append(waves, strings.Join(names, " "))
			}
			if diff := cmp.Diff(c.want, strings.Join(waves, " | ")); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestSetStaysSmall: taking many objects of one type and namespace keeps nothing of them.
func TestSetStaysSmall(t *testing.T) {
	var s Set
	add(t, &s, "deployments.apps/shop/a", `{}`)
	r := ref("deployments.apps/shop/b")
	if n := testing.AllocsPerRun(100, func() {
		if err := s.Add(r, object.Head{}, nil); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
