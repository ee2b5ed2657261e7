// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"fmt"
	"strings"
	"time"

	"hozon.dev/hozon/internal/cluster"
	"hozon.dev/hozon/internal/object"
)

func versions() Case {
	return Case{
		ID: "C10", Title: "APIs that the target serves in another version, or not at all",
		Free: []string{"things.c10.conf.example.com/old", "customresourcedefinitions.apiextensions.k8s.io/things.c10.conf.example.com",
			"lacks.c10.conf.example.com/none", "customresourcedefinitions.apiextensions.k8s.io/lacks.c10.conf.example.com"},
		Explained: []string{"lacks.c10.conf.example.com", "CustomResourceDefinition:things.c10.conf.example.com already exists"},
		Check: func(s *Scene) {
			s.Is(3, "things.c10.conf.example.com/old", "spec", "size")
			if s.Way == NewCluster {
				s.Is("c10.conf.example.com/v2", "things.c10.conf.example.com/old", "apiVersion")
				s.Says("lacks.c10.conf.example.com") // and the rest is done
			}
		},
	}
}

const keep = "conf.example.com/keep"

func finalizers() Case {
	dying := false
	return Case{
		ID: "C11", Title: "finalizers, objects and namespaces that are being deleted",
		Ready: func(s *Scene) bool {
			if !dying {
				dying = true
				s.Run("", "-n", s.NS(), "delete", "configmap", "dying", "--wait=false")
			}
			return adopted(s, 0)
		},
		Before: func(s *Scene) {
			if s.Way != NewNamespace {
				return
			}
			for _, ns := range []string{s.NS("-b"), s.NS("-c")} { // b stays on its way out, c goes in a moment
				s.Run("", "create", "namespace", ns)
				s.Run(fmt.Sprintf(`{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"holds","namespace":%q,"finalizers":[%q]}}`, ns, keep), "create", "-f", "-")
				s.Run("", "delete", "namespace", ns, "--wait=false")
			}
			s.Until("the namespaces say what holds them", func() bool {
				return strings.Contains(fmt.Sprint(s.Get("namespaces/"+s.base()+"-b")), keep) && strings.Contains(fmt.Sprint(s.Get("namespaces/"+s.base()+"-c")), keep)
			})
			time.AfterFunc(2*time.Second, func() {
				_, _ = s.Site.run(s.ctx, "", "-n", s.NS("-c"), "patch", "configmap", "holds", "--type=merge", "-p", `{"metadata":{"finalizers":null}}`)
			})
		},
		Free: []string{"configmaps/dying", "namespaces/conf-c11-b", "configmaps/conf-c11-b/one", "secrets/conf-c11-b/two",
			"namespaces/conf-c11-c", "configmaps/conf-c11-c/one", "deployments.apps/conf-c11-c/web"},
		Check: func(s *Scene) {
			if !s.Way.existing() {
				s.Missing("configmaps/dying")
			}
			if !s.Way.existing() {
				s.Says("orphan", "vendor.invalid/clean") // it stays, and nobody may be there to take it away
			}
			if s.Way != NewNamespace {
				s.Same("configmaps/conf-c11-b/one")
				s.Same("secrets/conf-c11-b/two")
				s.Same("deployments.apps/conf-c11-c/web")
				return
			}
			s.Missing("configmaps/conf-c11-b/one")
			s.Says("conf-c11-b-copy", keep)
			s.Same("configmaps/conf-c11-c/one") // nobody else waited for b
			s.Same("deployments.apps/conf-c11-c/web")
		},
	}
}

func accounts() Case {
	token := func(s *Scene) string { return fmt.Sprint(Field(s.Get("secrets/robot-token"), "data", "token")) }
	var saved string
	return Case{
		ID: "C12", Title: "service accounts and their tokens",
		Ready: func(s *Scene) bool {
			saved = token(s)
			return saved != "<nil>"
		},
		Drift: func(s *Scene) {
			s.Patch("serviceaccounts/robot", `{"metadata":{"labels":{"saved":"yes","live":"yes"}},"imagePullSecrets":[{"name":"live-pull"}]}`)
		},
		Free: []string{"serviceaccounts/robot", "secrets/robot-token"},
		Check: func(s *Scene) {
			s.Is("kubernetes.io/service-account-token", "secrets/robot-token", "type")
			s.Until("the token is filled in", func() bool { return token(s) != "<nil>" })
			if same := token(s) == saved; same != s.Way.existing() {
				s.Fail("the saved token is in use: %v", same)
			}
			account := s.Get("serviceaccounts/robot")
			if !s.Way.existing() {
				s.Same("serviceaccounts/robot")
				s.Says("robot-token") // whoever has the old one has to be given the new
				return
			}
			pulls := fmt.Sprint(Field(account, "imagePullSecrets"))
			if !strings.Contains(pulls, "saved-pull") || !strings.Contains(pulls, "live-pull") {
				s.Fail("imagePullSecrets %s: want the saved and the live one", pulls)
			}
			s.Is("yes", "serviceaccounts/robot", "metadata", "labels", "live")
		},
	}
}

func immutables() Case {
	replaced := `
apiVersion: v1
kind: ConfigMap
metadata: {name: frozen, namespace: $NS}
immutable: true
data: {k: other}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: binding, namespace: $NS}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: other}
subjects: [{kind: ServiceAccount, name: robot, namespace: $NS}]
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: selects, namespace: $NS}
spec:
  replicas: 1
  selector: {matchLabels: {app: other}}
  template: {metadata: {labels: {app: other}}, spec: {containers: [{name: c, image: "i:1"}]}}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: set, namespace: $NS}
spec:
  replicas: 1
  serviceName: other
  selector: {matchLabels: {app: set}}
  template: {metadata: {labels: {app: set}}, spec: {containers: [{name: c, image: "i:1"}]}}
---
apiVersion: batch/v1
kind: Job
metadata: {name: job, namespace: $NS}
spec:
  suspend: true
  template: {spec: {restartPolicy: Never, terminationGracePeriodSeconds: 1, containers: [{name: other, image: "other:1"}]}}
---
apiVersion: v1
kind: Service
metadata: {name: headless, namespace: $NS}
spec: {selector: {a: b}, ports: [{port: 80}]}
`
	fixed := []string{"configmaps/frozen", "rolebindings.rbac.authorization.k8s.io/binding", "deployments.apps/selects", "statefulsets.apps/set", "jobs.batch/job", "services/headless"}
	var generated string
	return Case{
		ID: "C13", Title: "immutable fields, generated names, again and again",
		Ready: func(s *Scene) bool {
			if generated == "" {
				out := s.Run(`{"apiVersion":"v1","kind":"ConfigMap","metadata":{"generateName":"made-","namespace":"$NS"},"data":{"k":"v"}}`, "create", "-f", "-", "-o", "name")
				generated = strings.TrimPrefix(strings.TrimSpace(out), "configmap/")
			}
			return adopted(s, 2)
		},
		Drift: func(s *Scene) {
			for _, ref := range fixed {
				s.Delete(ref)
			}
			s.Apply(replaced)
			s.Patch("configmaps/soft", `{"data":{"k":"other","more":"x"}}`)
			s.Until("the controllers are done", func() bool { return adopted(s, 2) })
		},
		Changed: []string{"configmaps/soft"},
		Fixed:   fixed,
		Check: func(s *Scene) {
			if made := s.Get("configmaps/" + generated); made == nil {
				s.Fail("%s does not exist", generated)
			}
			maps := 0
			for _, o := range s.List("configmaps") {
				if strings.HasPrefix(fmt.Sprint(Field(o, "metadata", "name")), "made-") {
					maps++
				}
			}
			if maps != 1 {
				s.Fail("%d objects of the generated name", maps)
			}
			s.Until("every pod is held by a workload", func() bool { return adopted(s, 2) })
		},
	}
}

func statuses() Case {
	const widget, plain, asks, silent, refuses = "widgets.c14.conf.example.com/w", "plains.c14.conf.example.com/p", "others.c14.conf.example.com/asks",
		"others.c14.conf.example.com/silent", "widgets.c14.conf.example.com/refuses"
	put := func(s *Scene, ref, phase string) {
		resource, ns, name := s.split(ref)
		s.Run("", "-n", ns, "patch", resource, name, "--subresource=status", "--type=merge", "-p", fmt.Sprintf(`{"status":{"phase":%q}}`, phase))
	}
	done := false
	return Case{
		ID: "C14", Title: "status and field managers",
		Ready: func(s *Scene) bool {
			if !done {
				done = true
				for _, ref := range []string{widget, refuses, asks, silent} {
					put(s, ref, "saved")
				}
				s.Run(`{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"managed","namespace":"$NS"},"data":{"k":"v"}}`, "apply", "--server-side", "--field-manager=gitops", "-f", "-")
			}
			return true
		},
		Drift: func(s *Scene) { put(s, widget, "live") },
		Check: func(s *Scene) {
			want := "saved"
			if s.Way == None {
				want = "live"
			}
			s.Is(want, widget, "status", "phase")
			s.Is("saved", plain, "status", "phase")
			s.Is("saved", asks, "status", "phase")
			if !s.Way.existing() {
				s.Is("<nil>", silent, "status", "phase")
				s.Is("<nil>", refuses, "status", "phase")
			}
			// Whoever applied it goes on without a conflict.
			_, err := s.Site.run(s.ctx, s.fill(`{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"managed","namespace":"$NS"},"data":{"k":"next"}}`),
				"apply", "--server-side", "--field-manager=gitops", "-f", "-")
			if err != nil {
				s.Fail("the next apply: %v", err)
			}
			_, _ = s.Site.run(s.ctx, s.fill(`{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"managed","namespace":"$NS"},"data":{"k":"v"}}`),
				"apply", "--server-side", "--field-manager=gitops", "-f", "-")
		},
	}
}

func sizes() Case {
	const blob = "blobs.c15.conf.example.com/large"
	filled := false
	return Case{
		ID: "C15", Title: "objects as large as etcd takes",
		Ready: func(s *Scene) bool {
			if filled {
				return true
			}
			filled = true
			s.Run(fmt.Sprintf(`{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"megabyte","namespace":"$NS"},"data":{"k":%q}}`, strings.Repeat("x", 1<<20-8)), "create", "-f", "-")
			t, err := s.Site.typeOf(s.ctx, "blobs.c15.conf.example.com")
			if err != nil {
				s.Fail("%v", err)
				return true
			}
			largest(s, t)
			return true
		},
		Check: func(s *Scene) {
			for ref, want := range map[string]int{"configmaps/megabyte": 1<<20 - 8, blob: s.Hooks.largest} {
				o := s.Get(ref)
				data := fmt.Sprint(Field(o, "data", "k"))
				if ref == blob {
					data = fmt.Sprint(Field(o, "spec", "k"))
				}
				if len(data) != want {
					s.Fail("%s has %d bytes, want %d", ref, len(data), want)
				}
			}
		},
	}
}

// largest makes the largest object that etcd takes, to some bytes.
func largest(s *Scene, t object.Type) {
	try := func(size int) bool {
		body := fmt.Appendf(nil, `{"apiVersion":%q,"kind":%q,"metadata":{"name":"large","namespace":%q},"spec":{"k":%q}}`,
			t.GroupVersion(), t.Kind, s.NS(), strings.Repeat("x", size))
		_, err := s.Site.Client.Create(s.ctx, t, s.NS(), body, cluster.WriteOptions{NoRetry: true})
		return err == nil
	}
	low, high := 1<<20, 3<<19
	for high-low > 8 {
		size := (low + high) / 2
		if !try(size) {
			high = size
			continue
		}
		low = size
		_ = s.Site.Client.Delete(s.ctx, t, s.NS(), "large", cluster.DeleteOptions{})
	}
	low -= 48 // a longer namespace has to fit in, the labels of a restore do not
	if s.Hooks.largest = low; !try(low) {
		s.Fail("no object of %d bytes", low)
	}
}
