// SPDX-License-Identifier: Apache-2.0

package restore

import (
	"context"
	"strings"

	"hozon.dev/hozon/internal/fail"
	"hozon.dev/hozon/internal/filter"
	"hozon.dev/hozon/internal/object"
	"hozon.dev/hozon/internal/policy"
)

// loadPolicy reads the ConfigMap with filters that the restore names, in the restore's namespace. The beginning of the texts is Velero's.
func (r *run) loadPolicy(ctx context.Context) error {
	ref := r.restore.Spec.ResourcePolicy
	if ref == nil {
		return nil
	}
	if !strings.EqualFold(ref.Kind, "ConfigMap") {
		return fail.Errorf(fail.Invalid, "invalid restore resource policies: spec.resourcePolicy is a %s: expected a ConfigMap", ref.Kind)
	}
	data, err := r.configMap(ctx, ref.Name)
	if fail.Is(err, fail.NotFound) {
		return fail.Errorf(fail.Invalid, "invalid restore resource policies: ConfigMap %s/%s does not exist", r.restore.Namespace, ref.Name)
	}
	if err != nil {
		return err
	}
	p, err := policy.ParseForRestore(r.restore.Namespace+"/"+ref.Name, data)
	if err != nil {
		return fail.Errorf(fail.Invalid, "invalid restore resource policies: %w", err)
	}
	r.fine = p.Filters
	return nil
}

// newFilter makes the filter of the restore, for these types.
func (r *run) newFilter(types []object.Type) (*filter.Filter, error) {
	f, err := filter.ForRestore(r.spec(), types)
	if err != nil {
		return nil, err
	}
	if err := f.Refine(r.fine, types); err != nil {
		return nil, fail.Errorf(fail.Invalid, "invalid restore resource policies: %w", err)
	}
	return f, nil
}

// checkPolicy refuses kinds of which neither the target nor the backup knows anything, and says which have no effect.
func (r *run) checkPolicy() error {
	if unserved := r.filter.Unserved(); len(unserved) > 0 {
		return fail.Errorf(fail.Invalid, "invalid restore resource policies: %s: the cluster serves no such kind, and backup %s has none; see `kubectl api-resources`",
			strings.Join(unserved, "; "), r.backup.Name)
	}
	for _, text := range r.filter.Idle() {
		r.report.Warn("", "%s", text)
	}
	return nil
}
