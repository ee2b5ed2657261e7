// SPDX-License-Identifier: Apache-2.0

package apply

import (
	"context"
	"encoding/json"
	"strings"

	"hozon.dev/hozon/internal/fail"
	"hozon.dev/hozon/internal/object"
	"hozon.dev/hozon/internal/plan/rule"
)

// lateLink is an object that was made before its owners. Its body is not kept.
type lateLink struct {
	target    object.Ref
	t         object.Type
	owners    []any
	generated bool // by the cluster itself
}

// link writes the saved ownerReferences with the UIDs that the owners have in the target. References that a controller sets by itself
// are left to it; an owner that is not there is looked for again at the end of the run.
func (r *Run) link(ctx context.Context, w *work) {
	var linked []any
	for _, ref := range w.taken.Owners {
		owner := ownerOf(ref)
		if rule.Adopts(w.Entry.Ref, owner) {
			continue
		}
		if uid := r.uidOf(ctx, w.Step.Target.Namespace, owner); uid != "" {
			ref["uid"] = uid
			r.rename(ref)
			linked = append(linked, ref)
		} else {
			w.missing = append(w.missing, ref)
		}
	}
	if len(linked) > 0 {
		w.obj.Object["metadata"].(map[string]any)["ownerReferences"] = linked
	}
}

// rename gives a reference to a mapped Namespace its new name.
func (r *Run) rename(ref map[string]any) {
	if ref["kind"] == "Namespace" && ref["apiVersion"] == "v1" {
		name, _ := ref["name"].(string)
		ref["name"] = r.o.Env.Target(name)
	}
}

func ownerOf(ref map[string]any) rule.Owner {
	text := func(key string) string { s, _ := ref[key].(string); return s }
	group, _, found := strings.Cut(text("apiVersion"), "/")
	if !found {
		group = ""
	}
	controller, _ := ref["controller"].(bool)
	return rule.Owner{Group: group, Kind: text("kind"), Name: text("name"), UID: text("uid"), Controller: controller}
}

// uidOf finds an owner: among what this run restored or found, else alive in the target under the same name.
func (r *Run) uidOf(ctx context.Context, namespace string, o rule.Owner) string {
	r.mu.Lock()
	uid, ok := r.links[o.UID]
	r.mu.Unlock()
	if ok {
		return uid
	}
	t, ok := r.kinds[o.Group+"/"+o.Kind]
	if !ok {
		return ""
	}
	name := o.Name
	if !t.Namespaced {
		namespace = ""
		if t.Resource == "namespaces" {
			name = r.o.Env.Target(name)
		}
	} else if namespace == "" {
		return "" // a cluster-scoped object cannot have an owner in a namespace
	}
	body, err := r.o.Target.Get(ctx, t, namespace, name)
	if err != nil {
		return ""
	}
	head, err := object.Scan(body)
	if err != nil || head.Terminating {
		return ""
	}
	r.mu.Lock()
	r.links[o.UID] = head.UID
	r.mu.Unlock()
	return head.UID
}

// Warning is something about one object that came up after its outcome was reported.
type Warning struct {
	Ref  object.Ref
	Text string
}

// Finish links what was made before its owners. What it returns are references that are left out, because the owner is not there.
func (r *Run) Finish(ctx context.Context) []Warning {
	var warnings []Warning
	for _, l := range r.late {
		if ctx.Err() != nil {
			return warnings
		}
		if text := r.linkLate(ctx, l); text != "" {
			warnings = append(warnings, Warning{Ref: l.target, Text: text})
		}
	}
	r.late = nil
	return append(warnings, r.unpause(ctx)...)
}

func (r *Run) linkLate(ctx context.Context, l lateLink) string {
	var gone []string
	var found []any
	for _, ref := range l.owners {
		ref := ref.(map[string]any)
		owner := ownerOf(ref)
		uid := r.uidOf(ctx, l.target.Namespace, owner)
		if uid == "" {
			gone = append(gone, owner.Kind+" "+owner.Name)
			continue
		}
		ref["uid"] = uid
		r.rename(ref)
		found = append(found, ref)
	}
	if len(found) > 0 {
		if err := r.addOwners(ctx, l, found); err != nil && !fail.Is(err, fail.NotFound) {
			return l.target.String() + ": its ownerReferences were not restored: " + message(err)
		}
	}
	if len(gone) > 0 && !l.generated {
		return l.target.String() + ": reference to its owner " + strings.Join(gone, ", ") + " left out: the owner was not restored and does not exist"
	}
	return ""
}

// addOwners appends references to those that the object has by now.
func (r *Run) addOwners(ctx context.Context, l lateLink, refs []any) error {
	for range maxTries {
		body, err := r.o.Target.Get(ctx, l.t, l.target.Namespace, l.target.Name)
		if err != nil {
			return err
		}
		var live struct {
			Metadata struct {
				ResourceVersion string `json:"resourceVersion"`
				OwnerReferences []any  `json:"ownerReferences"`
			} `json:"metadata"`
		}
		if err := json.Unmarshal(body, &live); err != nil {
			return err
		}
		patch, err := json.Marshal(map[string]any{"metadata": map[string]any{
			"resourceVersion": live.Metadata.ResourceVersion, "ownerReferences": append(live.Metadata.OwnerReferences, refs...),
		}})
		if err != nil {
			return err
		}
		if _, err = r.patch(ctx, l.t, l.target, patch, ""); !fail.Is(err, fail.Busy) {
			return err
		}
	}
	return fail.Errorf(fail.Busy, "it keeps changing")
}
