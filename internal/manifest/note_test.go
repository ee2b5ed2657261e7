// SPDX-License-Identifier: Apache-2.0

package manifest_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"hozon.dev/hozon/internal/manifest"
)

// TestNotes: what another cluster may not have is told with its field; what every cluster has is not.
func TestNotes(t *testing.T) {
	const digest = "sha256:880c720b23c8d15a53b01db52f7abdcbb2280e03f686a5c8edfef1a2a7b21cee"
	for _, tt := range []struct {
		name, state string
		want        []string
	}{
		{"images", `{"apiVersion":"apps/v1","kind":"Deployment","spec":{"template":{"spec":{
			"initContainers":[{"name":"a","image":"docker.io/a:1"},{"name":"b","image":"b@` + digest + `"}],
			"containers":[{"name":"c","image":"registry:5000/c"},{"name":"d","image":"10.0.0.1:5000/d@` + digest + `"},{"name":"e","image":"image-registry.openshift-image-registry.svc:5000/p/e:2"},{"name":"f","image":"8.8.8.8/f:1"}]}}}}`,
			[]string{
				"image spec.template.spec.initContainers[1].image",
				"image spec.template.spec.containers[0].image",
				"image spec.template.spec.containers[1].image",
				"image spec.template.spec.containers[2].image",
			}},
		{"pods", `{"apiVersion":"v1","kind":"Pod","spec":{"priorityClassName":"high","runtimeClassName":"gvisor","nodeName":"n1","nodeSelector":{"kubernetes.io/hostname":"n1"},
			"volumes":[{"name":"a","hostPath":{"path":"/srv"}},{"name":"b","ephemeral":{"volumeClaimTemplate":{"spec":{"storageClassName":"fast"}}}},{"name":"c","emptyDir":{}}]}}`,
			[]string{
				"cluster-scoped spec.priorityClassName → priorityclasses.scheduling.k8s.io/high",
				"cluster-scoped spec.runtimeClassName → runtimeclasses.node.k8s.io/gvisor",
				"node spec.nodeSelector", "node spec.volumes[0].hostPath",
				"storage spec.volumes[1].ephemeral → storageclasses.storage.k8s.io/fast",
			}},
		{"a template for one node", `{"apiVersion":"batch/v1","kind":"Job","spec":{"template":{"spec":{"nodeName":"n1"}}}}`, []string{"node spec.template.spec.nodeName"}},
		{"what every cluster has", `{"apiVersion":"v1","kind":"Pod","spec":{"priorityClassName":"system-node-critical","nodeSelector":{"kubernetes.io/os":"linux"},"containers":[{"name":"a","image":"nginx"}]}}`, nil},
		{"claims", `{"apiVersion":"v1","kind":"PersistentVolumeClaim","spec":{"storageClassName":"fast","volumeName":"pv1","volumeAttributesClassName":"gold","dataSource":{"kind":"VolumeSnapshot","name":"s"}}}`,
			[]string{
				"storage spec.storageClassName → storageclasses.storage.k8s.io/fast",
				"storage spec.volumeAttributesClassName → volumeattributesclasses.storage.k8s.io/gold",
				"storage spec.volumeName → persistentvolumes/pv1", "storage spec.dataSource", "storage spec",
			}},
		{"templates of claims", `{"apiVersion":"apps/v1","kind":"StatefulSet","spec":{"volumeClaimTemplates":[{"spec":{"storageClassName":"fast"}}]}}`,
			[]string{"storage spec.volumeClaimTemplates[0].spec.storageClassName → storageclasses.storage.k8s.io/fast"}},
		{"a fixed address", `{"apiVersion":"v1","kind":"Service","metadata":{"uid":"u","annotations":{"kubectl.kubernetes.io/last-applied-configuration":"{\"spec\":{\"clusterIP\":\"10.1.2.3\"}}"}},
			"spec":{"clusterIP":"10.1.2.3","clusterIPs":["10.1.2.3"]}}`, []string{"cluster-ip spec.clusterIP"}},
		{"an address that was allocated", `{"apiVersion":"v1","kind":"Service","metadata":{"uid":"u"},"spec":{"clusterIP":"10.1.2.3","clusterIPs":["10.1.2.3"]}}`, nil},
		{"ports and addresses of others", `{"apiVersion":"v1","kind":"Service","metadata":{"name":"a"},"spec":{"type":"NodePort","ports":[{"port":80},{"port":81,"nodePort":30081}],"loadBalancerIP":"1.2.3.4","externalIPs":["5.6.7.8"]}}`,
			[]string{"node-port spec.ports[1].nodePort", "address spec.loadBalancerIP", "address spec.externalIPs"}},
		{"an owner", `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"ownerReferences":[{"kind":"Gear","name":"g","uid":"u"}]}}`, []string{"owner metadata.ownerReferences[0]"}},
		{"classes of entries", `{"apiVersion":"networking.k8s.io/v1","kind":"Ingress","spec":{"ingressClassName":"nginx"}}`,
			[]string{"cluster-scoped spec.ingressClassName → ingressclasses.networking.k8s.io/nginx"}},
		{"classes of gateways", `{"apiVersion":"gateway.networking.k8s.io/v1","kind":"Gateway","spec":{"gatewayClassName":"istio"}}`,
			[]string{"cluster-scoped spec.gatewayClassName → gatewayclasses.gateway.networking.k8s.io/istio"}},
		{"roles", `{"apiVersion":"rbac.authorization.k8s.io/v1","kind":"RoleBinding","roleRef":{"kind":"ClusterRole","name":"shop-reader"}}`,
			[]string{"cluster-scoped roleRef → clusterroles.rbac.authorization.k8s.io/shop-reader"}},
		{"roles that every cluster has", `{"apiVersion":"rbac.authorization.k8s.io/v1","kind":"RoleBinding","roleRef":{"kind":"ClusterRole","name":"edit"}}`, nil},
		{"a role of its own", `{"apiVersion":"rbac.authorization.k8s.io/v1","kind":"RoleBinding","roleRef":{"kind":"Role","name":"shop-reader"}}`, nil},
		{"a token", `{"apiVersion":"v1","kind":"Secret","type":"kubernetes.io/service-account-token"}`, []string{"secret data"}},
		{"credentials", `{"apiVersion":"v1","kind":"Secret","type":"kubernetes.io/dockerconfigjson"}`, []string{"secret data"}},
		{"a snapshot", `{"apiVersion":"snapshot.storage.k8s.io/v1","kind":"VolumeSnapshot"}`, []string{"storage spec"}},
		{"a kind of somebody's own", `{"apiVersion":"example.com/v1","kind":"Secret","type":"kubernetes.io/dockerconfigjson","spec":{"volumeName":"x"}}`, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o := decode(t, tt.state)
			var got []string
			for _, n := range append(manifest.Clean(o), manifest.Notes(o)...) {
				line := fmt.Sprintf("%s %s", n.Kind, n.Field)
				if n.Needs.Name != "" {
					line += " → " + n.Needs.String()
				}
				if n.Text == "" {
					t.Errorf("%s says nothing", line)
				}
				got = append(got, line)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// TestImageMap: the longest beginning that ends where a part of the name does counts.
func TestImageMap(t *testing.T) {
	m := manifest.ImageMap{"registry:5000/": "r.example.com/", "registry:5000/team": "t.example.com/x", "nginx": "mirror/nginx"}
	for image, want := range map[string]string{
		"registry:5000/a:1": "r.example.com/a:1", "registry:5000/team/a:1": "t.example.com/x/a:1", "registry:5000/teams/a": "r.example.com/teams/a",
		"nginx": "mirror/nginx", "nginx:1": "mirror/nginx:1", "nginx@sha256:00": "mirror/nginx@sha256:00", "nginx2": "nginx2", "other/nginx": "other/nginx",
	} {
		o := decode(t, `{"apiVersion":"v1","kind":"Pod","spec":{"containers":[{"name":"c","image":"`+image+`"}]}}`)
		m.MapImages(o)
		if diff := cmp.Diff(decode(t, `{"apiVersion":"v1","kind":"Pod","spec":{"containers":[{"name":"c","image":"`+want+`"}]}}`), o); diff != "" {
			t.Errorf("%s: %s", image, diff)
		}
	}
}
