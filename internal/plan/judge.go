// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"fmt"
	"maps"
	"slices"

	"hozon.dev/hozon/internal/object"
	"hozon.dev/hozon/internal/plan/rule"
)

// judge decides which of the selected objects are left out, and why.
func (b *builder) judge() {
	for i := range b.entries {
		if !b.taken[i] {
			continue
		}
		e := &b.entries[i]
		reason, warning := b.verdict(e)
		if reason != "" {
			b.skip[i] = Step{Item: i, Target: b.target(e.Ref), Reason: reason, Warning: warning}
		}
	}
	b.judgeChildren()
}

func (b *builder) verdict(e *Entry) (reason string, warning bool) {
	if e.Traits.Skip != "" {
		return e.Traits.Skip, false
	}
	if !b.available(e) {
		if other := b.otherVersion(e); other != "" {
			return fmt.Sprintf("the target does not serve %s in version %s, only in %s", e.Ref.GroupResource(), e.Version, other), true
		}
		return fmt.Sprintf("the target does not serve %s", e.Ref.GroupResource()), true
	}
	if more := e.Traits.More; more != nil && more.Volume != nil && gone(more.Volume) {
		return "its reclaim policy is Delete: its claim provisions a new volume", false
	}
	return "", false
}

// gone reports whether a volume went with its claim. A volume that no claim holds has nothing to be provisioned by, and is restored.
func gone(v *rule.Volume) bool { return !v.Retain && v.ClaimName != "" }

// reprovisions reports whether the claim's volume is in the backup and not restored.
func (b *builder) reprovisions(e *Entry) bool {
	if e.Traits.More == nil {
		return false
	}
	for _, ref := range e.Traits.More.Needs {
		if i, ok := b.byRef[ref]; ok && b.entries[i].Traits.More != nil && b.entries[i].Traits.More.Volume != nil {
			return gone(b.entries[i].Traits.More.Volume)
		}
	}
	return false
}

// available reports whether the target has the kind, or will have it once the plan's definitions are in.
func (b *builder) available(e *Entry) bool {
	if b.served(e) {
		return true
	}
	i, ok := b.definitions[e.Ref.GroupResource()]
	return ok && b.taken[i] && b.entries[i].Traits.Skip == "" && b.served(&b.entries[i])
}

func (b *builder) otherVersion(e *Entry) string {
	versions := slices.Sorted(maps.Keys(b.types[e.Ref.GroupResource()]))
	if len(versions) == 0 {
		return ""
	}
	return versions[len(versions)-1]
}

// judgeChildren leaves out what a controller would only throw away: what the owner makes anew, and what belongs to another template
// than that of the controller that is there.
func (b *builder) judgeChildren() {
	for i := range b.entries {
		e := &b.entries[i]
		if _, skipped := b.skip[i]; !b.taken[i] || skipped {
			continue
		}
		for _, o := range e.Traits.Owners {
			owner, ok := b.ownerOf(e.Ref, o)
			if !ok || !o.Controller {
				continue
			}
			if reason := b.childVerdict(e, o, owner); reason != "" {
				b.skip[i] = Step{Item: i, Target: b.target(e.Ref), Reason: reason}
				break
			}
		}
	}
}

func (b *builder) childVerdict(e *Entry, o rule.Owner, owner int) string {
	_, skipped := b.skip[owner]
	if restored := b.taken[owner] && !skipped; restored && rule.Remakes(e.Ref, o) {
		return fmt.Sprintf("its %s makes it anew", o.Kind)
	}
	if root := b.root(owner); rule.Adopts(e.Ref, o) && b.outdated(root) {
		return fmt.Sprintf("%s exists with another pod template", b.target(b.entries[root].Ref))
	}
	return ""
}

// chainResources are the kinds that head or link the built-in chains.
var chainResources = map[string]object.Ref{
	"apps/ReplicaSet": {Group: "apps", Resource: "replicasets"}, "apps/Deployment": {Group: "apps", Resource: "deployments"},
	"apps/StatefulSet": {Group: "apps", Resource: "statefulsets"}, "apps/DaemonSet": {Group: "apps", Resource: "daemonsets"},
	"/ReplicationController": {Resource: "replicationcontrollers"}, "batch/Job": {Group: "batch", Resource: "jobs"}, "/Pod": {Resource: "pods"},
}

// ownerOf finds the entry that a reference of a built-in chain means: same name and same UID.
func (b *builder) ownerOf(child object.Ref, o rule.Owner) (int, bool) {
	ref, ok := chainResources[o.Group+"/"+o.Kind]
	if !ok {
		return 0, false
	}
	ref.Namespace, ref.Name = child.Namespace, o.Name
	i, ok := b.byRef[ref]
	return i, ok && b.entries[i].Traits.UID == o.UID
}

// root climbs from a ReplicaSet to its Deployment; everything else is its own root.
func (b *builder) root(i int) int {
	e := &b.entries[i]
	for _, o := range e.Traits.Owners {
		if j, ok := b.ownerOf(e.Ref, o); ok && o.Controller && rule.Adopts(e.Ref, o) {
			return j
		}
	}
	return i
}

// outdated reports whether the workload exists in the target with another template that the restore leaves alone.
func (b *builder) outdated(i int) bool {
	e := &b.entries[i]
	live, exists := b.facts.Templates[b.target(e.Ref)]
	if !exists || Updates(b.req.Spec) && b.taken[i] || e.Traits.More == nil {
		return false
	}
	return live != e.Traits.More.Template
}
