// SPDX-License-Identifier: Apache-2.0

package plan

import "strings"

// Level is a place in the order of a restore. Everything of a level is there before the next one starts.
type Level uint8

const (
	Definitions   Level = iota // CustomResourceDefinitions, until they are established
	Namespaces                 // until they are active
	Prerequisites              // cluster-wide kinds that others name: classes, cluster roles
	Volumes                    // PersistentVolumes
	Claims                     // PersistentVolumeClaims
	Accounts                   // what pods and bindings name: service accounts, roles, config maps
	Credentials                // what names accounts and roles: bindings, secrets; and Endpoints, before the Services that they serve
	FixedPorts                 // Services that keep a node port, before any that is given one
	Services                   // other Services
	Early                      // kinds that the user wants before others
	Others                     // every other kind, custom resources too
	Pods                       // and ControllerRevisions; until watchers see them, so that their controllers do not make new ones
	ReplicaSets                // until watchers see them
	Controllers                // Deployments, StatefulSets, DaemonSets, Jobs, …
	Late                       // what sets controllers of its kind to work that need all of the above
	Constraints                // quotas, limits, disruption budgets, autoscalers: they must not act on what is half there
	Gates                      // admission webhooks and policies, APIServices: they would stand in the way of all before
)

var levelNames = [...]string{
	"definitions", "namespaces", "prerequisites", "volumes", "claims", "accounts", "credentials", "fixed-ports", "services",
	"early", "others", "pods", "replicasets", "controllers", "late", "constraints", "gates",
}

func (l Level) String() string { return levelNames[l] }

var levels = map[string]Level{
	"customresourcedefinitions.apiextensions.k8s.io": Definitions,
	"namespaces": Namespaces,

	"storageclasses.storage.k8s.io":                            Prerequisites,
	"volumeattributesclasses.storage.k8s.io":                   Prerequisites,
	"csidrivers.storage.k8s.io":                                Prerequisites,
	"volumesnapshotclasses.snapshot.storage.k8s.io":            Prerequisites,
	"priorityclasses.scheduling.k8s.io":                        Prerequisites,
	"prioritylevelconfigurations.flowcontrol.apiserver.k8s.io": Prerequisites,
	"ingressclasses.networking.k8s.io":                         Prerequisites,
	"gatewayclasses.gateway.networking.k8s.io":                 Prerequisites,
	"runtimeclasses.node.k8s.io":                               Prerequisites,
	"deviceclasses.resource.k8s.io":                            Prerequisites,
	"clusterroles.rbac.authorization.k8s.io":                   Prerequisites,
	"servicecidrs.networking.k8s.io":                           Prerequisites,

	"persistentvolumes":      Volumes,
	"persistentvolumeclaims": Claims,

	"roles.rbac.authorization.k8s.io": Accounts,
	"serviceaccounts":                 Accounts,
	"configmaps":                      Accounts,

	"rolebindings.rbac.authorization.k8s.io":        Credentials,
	"clusterrolebindings.rbac.authorization.k8s.io": Credentials,
	"secrets":   Credentials,
	"endpoints": Credentials,

	"services": Services,

	"pods":                     Pods,
	"controllerrevisions.apps": Pods,
	"replicasets.apps":         ReplicaSets,

	"deployments.apps":       Controllers,
	"statefulsets.apps":      Controllers,
	"daemonsets.apps":        Controllers,
	"jobs.batch":             Controllers,
	"cronjobs.batch":         Controllers,
	"replicationcontrollers": Controllers,

	// Velero's default for what comes last.
	"clusterbootstraps.run.tanzu.vmware.com":      Late,
	"clusters.cluster.x-k8s.io":                   Late,
	"clusterresourcesets.addons.cluster.x-k8s.io": Late,
	"apps.kappctrl.k14s.io":                       Late,
	"packageinstalls.packaging.carvel.dev":        Late,

	"resourcequotas":                       Constraints,
	"limitranges":                          ReplicaSets, // after the saved pods, which it would change, and before the pods that Jobs make
	"poddisruptionbudgets.policy":          Constraints,
	"horizontalpodautoscalers.autoscaling": Constraints,
	"scaledobjects.keda.sh":                Constraints,

	"validatingwebhookconfigurations.admissionregistration.k8s.io":   Gates,
	"mutatingwebhookconfigurations.admissionregistration.k8s.io":     Gates,
	"validatingadmissionpolicies.admissionregistration.k8s.io":       Gates,
	"validatingadmissionpolicybindings.admissionregistration.k8s.io": Gates,
	"mutatingadmissionpolicies.admissionregistration.k8s.io":         Gates,
	"mutatingadmissionpolicybindings.admissionregistration.k8s.io":   Gates,
	"apiservices.apiregistration.k8s.io":                             Gates,
}

// levelOf is where an object belongs if nothing owns it.
func (b *builder) levelOf(i int) order {
	gr := b.groupResource(i)
	level, ok := levels[gr]
	if !ok {
		return b.req.Priorities.order(gr)
	}
	if more := b.More(i); level == Services && more != nil && more.FixedPorts {
		level = FixedPorts
	}
	return order{level: level}
}

// Priorities are places in the order for kinds that have none of their own: by what needs what, a plan puts the kinds that it knows.
type Priorities struct {
	high, low map[string]int32 // group-resource → place
}

// ParsePriorities reads Velero's list of resources: what comes first, "-", what comes last. "" is none.
func ParsePriorities(list string) Priorities {
	p := Priorities{high: map[string]int32{}, low: map[string]int32{}}
	into := p.high
	for i, name := range strings.Split(list, ",") {
		switch name = strings.TrimSpace(name); name {
		case "":
		case "-":
			into = p.low
		default:
			into[name] = int32(i)
		}
	}
	return p
}

func (p Priorities) order(groupResource string) order {
	if n, ok := p.high[groupResource]; ok {
		return order{level: Early, depth: n}
	}
	if n, ok := p.low[groupResource]; ok {
		return order{level: Late, depth: n}
	}
	return order{level: Others}
}
