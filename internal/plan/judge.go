// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"fmt"
	"maps"
	"slices"

	velerov1 "hozon.dev/hozon/api/velero/v1"
	"hozon.dev/hozon/internal/object"
	"hozon.dev/hozon/internal/plan/rule"
)

// judge decides which of the selected objects are left out, and why.
func (b *builder) judge() {
	for i := range b.Len() {
		if !b.taken[i] {
			continue
		}
		if v := b.verdict(i); v.reason != "" {
			b.left[i] = v
		}
	}
	b.judgeChildren()
}

func (b *builder) verdict(i int) verdict {
	if reason := b.skip(i); reason != "" {
		return verdict{reason: reason}
	}
	if reason := b.unstored(i); reason != "" {
		return verdict{reason: reason}
	}
	if !b.available(i) {
		return verdict{b.word(b.absence(i)), true}
	}
	if more := b.More(i); more != nil && more.Volume != nil && b.gone(i, more.Volume) {
		if b.req.Anew[b.Ref(i).Name] {
			return verdict{reason: "its bytes come back in a new volume, which its claim provisions"}
		}
		return verdict{reason: "its reclaim policy is Delete: its claim provisions a new volume"}
	}
	return verdict{}
}

// absence says what the target lacks.
func (b *builder) absence(i int) string {
	gr := b.groupResource(i)
	if other := b.otherVersion(i); other != "" {
		return fmt.Sprintf("the target does not serve %s in version %s, only in %s", gr, b.Version(i), other)
	}
	return fmt.Sprintf("the target does not serve %s", gr)
}

// gone reports whether a volume went with its claim. A volume that no claim holds has nothing to be provisioned by, and is restored; and so is one that
// is made out of a snapshot.
func (b *builder) gone(i int, v *rule.Volume) bool {
	name := b.Ref(i).Name
	return v.ClaimName != "" && (b.req.Anew[name] || !v.Retain && !b.req.Volumes[name])
}

// reprovisions reports whether the claim's volume is in the backup and not restored.
func (b *builder) reprovisions(i int) bool {
	more := b.More(i)
	if more == nil {
		return false
	}
	for _, ref := range more.Needs {
		if b.req.Anew[ref.Name] {
			return true // also where the backup does not have the volume
		}
		if j, ok := b.find(ref); ok {
			if needed := b.More(j); needed != nil && needed.Volume != nil {
				return b.gone(j, needed.Volume)
			}
		}
	}
	return false
}

// available reports whether the target has the kind, or will have it once the plan's definitions are in.
func (b *builder) available(i int) bool {
	if b.served(i) || b.conversion(i) != "" {
		return true
	}
	j, ok := b.definitions[b.groupResource(i)]
	return ok && b.taken[j] && b.skip(j) == "" && b.served(j)
}

// conversion is the version that the target serves and that the entry's objects can be written in without a loss, if it does not serve theirs;
// "" if there is none.
func (b *builder) conversion(i int) string {
	kind := b.records.at(i).kind
	if version, known := b.plan.converted[kind]; known {
		return version
	}
	version := ""
	if served := b.types[b.groupResource(i)]; len(served) > 0 && !b.served(i) {
		e := b.kinds.all[kind]
		if to := rule.Converts(e.group, e.version, e.kind); served[to] {
			version = to
		} else if b.facts.Renames[b.groupResource(i)] {
			version = b.preferredVersion(i)
		}
	}
	b.plan.converted[kind] = version
	return version
}

// preferredVersion is that of the target.
func (b *builder) preferredVersion(i int) string {
	for _, t := range b.facts.Types {
		if t.Preferred && t.GroupResource() == b.groupResource(i) {
			return t.Version
		}
	}
	return b.otherVersion(i)
}

func (b *builder) otherVersion(i int) string {
	versions := slices.Sorted(maps.Keys(b.types[b.groupResource(i)]))
	if len(versions) == 0 {
		return ""
	}
	return versions[len(versions)-1]
}

// judgeChildren leaves out what a controller would only throw away: what the owner makes anew, and what belongs to another template
// than that of the controller that is there.
func (b *builder) judgeChildren() {
	for i := range b.Len() {
		if !b.live(i) {
			continue
		}
		for o, id := range b.ownersOf(i) {
			owner, ok := b.ownerOf(i, o, id)
			if !ok || !o.Controller {
				continue
			}
			if reason := b.childVerdict(i, o, owner); reason != "" {
				b.left[i] = verdict{reason: reason}
				break
			}
		}
	}
}

func (b *builder) childVerdict(i int, o rule.Owner, owner int) string {
	if b.live(owner) && rule.Remakes(b.Ref(i), o) {
		return fmt.Sprintf("its %s makes it anew", o.Kind)
	}
	if root := b.root(owner); rule.Adopts(b.Ref(i), o) && b.outdated(root) {
		return fmt.Sprintf("%s exists with another pod template", b.plan.target(b.Ref(root)))
	}
	return ""
}

// chainResources are the kinds that head or link the built-in chains.
var chainResources = map[maker]object.Ref{
	{"apps", "ReplicaSet"}: {Group: "apps", Resource: "replicasets"}, {"apps", "Deployment"}: {Group: "apps", Resource: "deployments"},
	{"apps", "StatefulSet"}: {Group: "apps", Resource: "statefulsets"}, {"apps", "DaemonSet"}: {Group: "apps", Resource: "daemonsets"},
	{"", "ReplicationController"}: {Resource: "replicationcontrollers"}, {"batch", "Job"}: {Group: "batch", Resource: "jobs"}, {"", "Pod"}: {Resource: "pods"},
}

// ownerOf finds the entry that a reference of a built-in chain means: same name and same UID.
func (b *builder) ownerOf(child int, o rule.Owner, id uid) (int, bool) {
	ref, ok := chainResources[maker{o.Group, o.Kind}]
	if !ok {
		return 0, false
	}
	i, ok := b.chosen.find(ref.GroupResource(), b.Ref(child).Namespace, o.Name)
	return i, ok && b.records.at(i).uid == id
}

// root climbs from a ReplicaSet to its Deployment; everything else is its own root.
func (b *builder) root(i int) int {
	for o, id := range b.ownersOf(i) {
		if j, ok := b.ownerOf(i, o, id); ok && o.Controller && rule.Adopts(b.Ref(i), o) {
			return j
		}
	}
	return i
}

// outdated reports whether the workload exists in the target with another template that the restore leaves alone. An update cannot change
// the selector: then the saved pods would be nobody's.
func (b *builder) outdated(i int) bool {
	live, exists := b.facts.Templates[b.plan.target(b.Ref(i))]
	more := b.More(i)
	if !exists || more == nil {
		return false
	}
	switch policy := b.req.Spec.ExistingResourcePolicy; {
	case b.taken[i] && policy == velerov1.PolicyTypeRecreate:
		return false
	case b.taken[i] && policy == velerov1.PolicyTypeUpdate:
		return live.Selector != more.Selector
	}
	return live.Template != more.Template
}
