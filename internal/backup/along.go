// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"context"
	"strings"

	"hozon.dev/hozon/internal/filter"
	"hozon.dev/hozon/internal/object"
	"hozon.dev/hozon/internal/relate"
)

var claimType = object.Type{Version: "v1", Resource: "persistentvolumeclaims", Kind: "PersistentVolumeClaim", Namespaced: true}

// podsAlong are the pods that may have hooks and come into the backup not for their own sake, but because they mount a claim that does, or one of its group.
// Only where objects are chosen one by one are there any. It goes through pods and claims as the listing will: pods first.
func (r *run) podsAlong(ctx context.Context) ([]object.Ref, error) {
	if !r.filter.HasSelector() || r.filter.Type(claimType) == filter.No {
		return nil, nil
	}
	set := relate.Set{GroupLabel: r.backup.Spec.VolumeGroupSnapshotLabelKey}
	hooks := map[object.Ref]bool{}
	err := r.live(ctx, podType, false, func(ref object.Ref, head object.Head, body []byte) error {
		chosen, _ := r.filter.Object(ref, head)
		related, _ := r.filter.Related(ref, head)
		switch {
		case chosen:
			return set.Add(ref, head, body)
		case !related:
			return nil
		}
		if r.sets.Backup(ref, head) {
			hooks[podType.Ref(strings.Clone(ref.Namespace), strings.Clone(ref.Name))] = true
		}
		return set.Pass(ref, head, body)
	})
	if err != nil || len(hooks) == 0 {
		return nil, err
	}
	err = r.live(ctx, claimType, false, func(ref object.Ref, head object.Head, body []byte) error {
		chosen, _ := r.filter.Object(ref, head)
		related, _ := r.filter.Related(ref, head)
		if !related {
			return nil
		}
		needed, err := set.Needed(ref, head, body)
		if err != nil {
			return err
		}
		if needed || chosen && r.filter.Type(claimType) == filter.Yes {
			return set.Add(ref, head, body)
		}
		return set.Pass(ref, head, body)
	})
	if err != nil {
		return nil, err
	}
	var along []object.Ref
	for _, ref := range set.Late() {
		if hooks[podType.Ref(ref.Namespace, ref.Name)] && ref.Resource == podType.Resource && ref.Group == "" {
			along = append(along, podType.Ref(ref.Namespace, ref.Name))
		}
	}
	return along, nil
}
