// SPDX-License-Identifier: Apache-2.0

package restore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"hozon.dev/hozon/internal/fail"
	"hozon.dev/hozon/internal/object"
	"hozon.dev/hozon/internal/plan"
)

// The ConfigMap in which a user says which versions come first, and its key: Velero's.
const (
	versionsName = "enableapigroupversions"
	versionsKey  = "restoreResourcesVersionPriority"
)

// loadVersions reads which versions of objects come first, if the target's count.
func (r *run) loadVersions(ctx context.Context) error {
	r.versions = plan.Versions{ByTarget: r.ByTarget}
	if !r.ByTarget {
		return nil
	}
	data, err := r.configMap(ctx, versionsName)
	if fail.Is(err, fail.NotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	if r.versions.Order, err = readVersions(data[versionsKey]); err != nil {
		return fail.Errorf(fail.Invalid, "ConfigMap %s/%s, key %s: %w", r.restore.Namespace, versionsName, versionsKey, err)
	}
	return nil
}

// readVersions reads lines such as "gears.example.com=v2,v1". All that is wrong is one error.
func readVersions(text string) (map[string][]string, error) {
	out, errs := map[string][]string{}, []error(nil)
	n := 0
	for line := range strings.Lines(text) {
		n++
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		resource, list, ok := strings.Cut(line, "=")
		if resource = strings.TrimSpace(resource); !ok || resource == "" || strings.TrimSpace(list) == "" {
			errs = append(errs, fmt.Errorf("line %d: %q: expected resource.group=version,version", n, line))
			continue
		}
		if _, twice := out[resource]; twice {
			errs = append(errs, fmt.Errorf("line %d: %q is there twice", n, resource))
		}
		for version := range strings.SplitSeq(list, ",") {
			if version = strings.TrimSpace(version); version == "" {
				errs = append(errs, fmt.Errorf("line %d: %q: expected a version between commas", n, line))
			}
			out[resource] = append(out[resource], version)
		}
	}
	return out, errors.Join(errs...)
}

var serviceType = object.Type{Group: "apiregistration.k8s.io", Version: "v1", Resource: "apiservices", Kind: "APIService"}

// aggregated are the versions of groups of which the backup has objects that nobody has stored, as far as other servers than the API server answer for them in the
// target. Where that cannot be found out, such objects are restored like others.
func (r *run) aggregated(ctx context.Context) []plan.GroupVersion {
	var out []plan.GroupVersion
	for _, gv := range r.entries.Made() {
		body, err := r.Target.Get(ctx, serviceType, "", gv.Version+"."+gv.Group)
		if err != nil {
			continue
		}
		var api struct {
			Spec struct {
				Service *struct{} `json:"service"`
			} `json:"spec"`
		}
		if json.Unmarshal(body, &api) == nil && api.Spec.Service != nil {
			out = append(out, gv)
		}
	}
	return out
}
