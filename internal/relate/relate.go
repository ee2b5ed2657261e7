// SPDX-License-Identifier: Apache-2.0

// Package relate knows what objects need of each other: which further objects must come along so
// that the ones that were chosen work after a restore.
//
// Nouns: a need is one object that another one names; a Set is the needs of everything taken so
// far; a wave is a group of types that can be listed once the waves before it are done.
//
// The rules, one file each:
//
//	pod                 → its claims (also the ephemeral ones), its PriorityClass
//	claim               → its volume, the running pods that mount it, the claims of its group
//	ServiceAccount      ← ClusterRoleBindings that name it
//	ClusterRoleBinding  → its ClusterRole
//	custom resource     → its CustomResourceDefinition
//	namespaced object   → its Namespace
//	part of a release   → Helm's records of that release
//
// What an object needs without working any worse when it is missing (a pod its ServiceAccount, an
// Ingress its class) is no need here, as in Velero.
//
// Only pods, claims and ClusterRoleBindings are decoded, and of them only what is asked for. A Set keeps
// names of needed things and of ServiceAccounts, no bodies.
package relate

import (
	"encoding/json"

	"hozon.dev/hozon/internal/fail"
	"hozon.dev/hozon/internal/object"
)

// Needs calls emit with each object that the body of an object names and that it needs. Refs share memory
// with nothing. What depends only on the object's type (its Namespace, its CustomResourceDefinition) and what
// points the other way (bindings of a ServiceAccount) is left to Set.
// A body that does not decode is fail.Corrupt.
func Needs(ref object.Ref, head object.Head, body []byte, emit func(object.Ref)) error {
	switch kindOf(ref) {
	case pods:
		return needsOfPod(ref, body, emit)
	case claims:
		return needsOfClaim(ref, body, emit)
	case bindings:
		return needsOfBinding(ref, body, emit)
	}
	return nil
}

// kind is a type whatever its version.
type kind struct{ group, resource string }

func kindOf(ref object.Ref) kind { return kind{ref.Group, ref.Resource} }

func (k kind) named(namespace, name string) object.Ref {
	return object.Ref{Group: k.group, Resource: k.resource, Namespace: namespace, Name: name}
}

// The types that the rules speak of.
var (
	pods            = kind{"", "pods"}
	claims          = kind{"", "persistentvolumeclaims"}
	volumes         = kind{"", "persistentvolumes"}
	serviceAccounts = kind{"", "serviceaccounts"}
	namespaces      = kind{"", "namespaces"}
	bindings        = kind{"rbac.authorization.k8s.io", "clusterrolebindings"}
	roles           = kind{"rbac.authorization.k8s.io", "clusterroles"}
	priorities      = kind{"scheduling.k8s.io", "priorityclasses"}
	definitions     = kind{"apiextensions.k8s.io", "customresourcedefinitions"}
)

func decode(what string, body []byte, to any) error {
	if err := json.Unmarshal(body, to); err != nil {
		return fail.Errorf(fail.Corrupt, "decode %s: %w", what, err)
	}
	return nil
}
