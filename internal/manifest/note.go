// SPDX-License-Identifier: Apache-2.0

package manifest

import (
	"fmt"
	"strings"

	"hozon.dev/hozon/internal/object"
)

// NoteKind sorts notes, for programs that read them.
type NoteKind string

const (
	Image         NoteKind = "image"          // by digest, or in a registry of this cluster
	ClusterScoped NoteKind = "cluster-scoped" // an object outside of the namespace is needed
	ClusterIP     NoteKind = "cluster-ip"
	NodePort      NoteKind = "node-port"
	Address       NoteKind = "address" // of a load balancer, or an external one
	Storage       NoteKind = "storage"
	Secret        NoteKind = "secret"
	Owner         NoteKind = "owner"
	Node          NoteKind = "node" // a certain node, or its files
	OpenShift     NoteKind = "openshift"
)

// Note is something in an object that may not travel to another cluster.
type Note struct {
	Kind  NoteKind `json:"kind"`
	Field string   `json:"field"`
	Text  string   `json:"text"`
	// Needs is the object that is needed; zero if the note is about something else.
	Needs object.Ref `json:"-"`
}

func index(path string, i int) string { return fmt.Sprintf("%s[%d]", path, i) }

// Notes are what another cluster may not have or not like of a cleaned object.
func Notes(o map[string]any) []Note {
	n := &notes{}
	n.images(o)
	n.pods(o)
	n.storage(o)
	n.kind(o)
	return n.list
}

type notes struct{ list []Note }

func (n *notes) add(kind NoteKind, field, format string, args ...any) {
	n.list = append(n.list, Note{Kind: kind, Field: field, Text: fmt.Sprintf(format, args...)})
}

// needs notes a cluster-scoped object, unless every cluster has it.
func (n *notes) needs(kind NoteKind, field string, ref object.Ref) {
	if ref.Name == "" || strings.HasPrefix(ref.Name, "system:") || ref.Resource == "priorityclasses" && strings.HasPrefix(ref.Name, "system-") {
		return
	}
	n.list = append(n.list, Note{Kind: kind, Field: field, Needs: ref, Text: "needs " + ref.String()})
}

func (n *notes) images(o map[string]any) {
	eachImage(o, func(field string, at map[string]any, key string) {
		image, _ := at[key].(string)
		_, digest := splitImage(image)
		registry := registryOf(image)
		switch inside := internalRegistry(registry); {
		case inside && digest != "":
			n.add(Image, field, "%s: the registry %s belongs to this cluster, and another build of the image has another digest; copy the image and use --image-map", image, registry)
		case inside:
			n.add(Image, field, "%s: the registry %s belongs to this cluster; copy the image and use --image-map", image, registry)
		case digest != "":
			n.add(Image, field, "%s: by digest, so it must be in that registry as it is", image)
		}
	})
}

func (n *notes) pods(o map[string]any) {
	spec, path := podSpec(o)
	if spec == nil {
		return
	}
	n.needs(ClusterScoped, path+".priorityClassName", object.Ref{Group: "scheduling.k8s.io", Resource: "priorityclasses", Name: textAt(spec, "priorityClassName")})
	n.needs(ClusterScoped, path+".runtimeClassName", object.Ref{Group: "node.k8s.io", Resource: "runtimeclasses", Name: textAt(spec, "runtimeClassName")})
	if name := textAt(spec, "nodeName"); name != "" {
		n.add(Node, path+".nodeName", "bound to the node %s", name)
	}
	if name, ok := mapAt(spec, "nodeSelector")["kubernetes.io/hostname"].(string); ok {
		n.add(Node, path+".nodeSelector", "only for the node %s", name)
	}
	for i, v := range maps(spec, "volumes") {
		field := index(path+".volumes", i)
		if dir := textAt(v, "hostPath.path"); dir != "" {
			n.add(Node, field+".hostPath", "the folder %s of a node", dir)
		}
		n.needs(Storage, field+".ephemeral", classRef(textAt(v, "ephemeral.volumeClaimTemplate.spec.storageClassName")))
	}
}

func classRef(name string) object.Ref {
	return object.Ref{Group: "storage.k8s.io", Resource: "storageclasses", Name: name}
}

func (n *notes) storage(o map[string]any) {
	claimSpecs(o, func(path string, spec map[string]any) {
		n.needs(Storage, path+".storageClassName", classRef(textAt(spec, "storageClassName")))
		n.needs(Storage, path+".volumeAttributesClassName",
			object.Ref{Group: "storage.k8s.io", Resource: "volumeattributesclasses", Name: textAt(spec, "volumeAttributesClassName")})
		n.needs(Storage, path+".volumeName", object.Ref{Resource: "persistentvolumes", Name: textAt(spec, "volumeName")})
		if source := mapAt(spec, "dataSource"); source != nil {
			n.add(Storage, path+".dataSource", "filled from %s %s", source["kind"], source["name"])
		}
	})
	if kindOf(o) == "PersistentVolumeClaim" {
		n.add(Storage, "spec", "the claim travels, the files in its volume do not")
	}
}

// kind notes what only one kind has.
func (n *notes) kind(o map[string]any) {
	kind := kindOf(o)
	switch kind {
	case "Service":
		n.service(o)
	case "Ingress.networking.k8s.io":
		n.needs(ClusterScoped, "spec.ingressClassName", object.Ref{Group: "networking.k8s.io", Resource: "ingressclasses", Name: textAt(o, "spec.ingressClassName")})
	case "Gateway.gateway.networking.k8s.io":
		n.needs(ClusterScoped, "spec.gatewayClassName",
			object.Ref{Group: "gateway.networking.k8s.io", Resource: "gatewayclasses", Name: textAt(o, "spec.gatewayClassName")})
	case "RoleBinding.rbac.authorization.k8s.io", "ClusterRoleBinding.rbac.authorization.k8s.io":
		n.binding(o)
	case "Secret":
		n.secret(o)
	case "VolumeSnapshot.snapshot.storage.k8s.io":
		n.add(Storage, "spec", "the snapshot itself stays where it is")
	}
	n.openShift(kind, o)
}

// everywhere are the cluster roles that every cluster has.
var everywhere = map[string]bool{"admin": true, "edit": true, "view": true, "cluster-admin": true}

func (n *notes) binding(o map[string]any) {
	if name := textAt(o, "roleRef.name"); textAt(o, "roleRef.kind") == "ClusterRole" && !everywhere[name] {
		n.needs(ClusterScoped, "roleRef", object.Ref{Group: "rbac.authorization.k8s.io", Resource: "clusterroles", Name: name})
	}
}

func (n *notes) service(o map[string]any) {
	for i, p := range maps(o, "spec.ports") {
		if p["nodePort"] != nil {
			n.add(NodePort, index("spec.ports", i)+".nodePort", "the fixed node port %v may be taken elsewhere", p["nodePort"])
		}
	}
	for _, field := range []string{"loadBalancerIP", "externalIPs"} {
		if v := at(o, "spec."+field); v != nil {
			n.add(Address, "spec."+field, "the fixed address %v", v)
		}
	}
}

func (n *notes) secret(o map[string]any) {
	switch o["type"] {
	case "kubernetes.io/service-account-token":
		n.add(Secret, "data", "a token of this cluster is left out: the other one issues its own under this name")
	case "kubernetes.io/dockercfg", "kubernetes.io/dockerconfigjson":
		n.add(Secret, "data", "credentials of a registry: do they hold for the other cluster?")
	}
}
