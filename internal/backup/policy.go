// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"

	velerov1 "hozon.dev/hozon/api/velero/v1"
	"hozon.dev/hozon/internal/fail"
	"hozon.dev/hozon/internal/filter"
	"hozon.dev/hozon/internal/object"
	"hozon.dev/hozon/internal/policy"
	"hozon.dev/hozon/internal/report"
)

var configMapType = object.Type{Version: "v1", Resource: "configmaps", Kind: "ConfigMap", Namespaced: true}

// readPolicies reads the policies of the spec, and behind them the volume policies that count for all backups. What is wrong with
// them is fail.Invalid.
func (r *run) readPolicies(ctx context.Context) error {
	r.policies = policy.Policies{}
	if ref := r.backup.Spec.ResourcePolicy; ref != nil {
		if !strings.EqualFold(ref.Kind, "ConfigMap") {
			return fail.Errorf(fail.Invalid, "invalid resource policies: spec.resourcePolicy is a %s: expected a ConfigMap", ref.Kind)
		}
		p, err := r.policiesOf(ctx, ref.Name)
		if err != nil {
			return err
		}
		r.policies = p
	}
	if r.GlobalPolicy == "" {
		return nil
	}
	global, err := r.policiesOf(ctx, r.GlobalPolicy)
	if err != nil {
		return err
	}
	if !global.Lists.Empty() || !global.Filters.Empty() {
		return fail.Errorf(fail.Invalid, "invalid resource policies: ConfigMap %s/%s is for all backups: expected volumePolicies only", r.backup.Namespace, r.GlobalPolicy)
	}
	r.policies.Rules = append(r.policies.Rules, global.Rules...)
	r.backup.Annotations = with(r.backup.Annotations, velerov1.AnnotationGlobalVolumePolicy, r.GlobalPolicy)
	return nil
}

func (r *run) policiesOf(ctx context.Context, name string) (policy.Policies, error) {
	body, err := r.Cluster.Get(ctx, configMapType, r.backup.Namespace, name)
	if fail.Is(err, fail.NotFound) {
		return policy.Policies{}, fail.Errorf(fail.Invalid, "invalid resource policies: ConfigMap %s/%s does not exist", r.backup.Namespace, name)
	}
	if err != nil {
		return policy.Policies{}, err
	}
	var m corev1.ConfigMap
	if err := json.Unmarshal(body, &m); err != nil {
		return policy.Policies{}, fail.Errorf(fail.Corrupt, "read ConfigMap %s/%s: %w", r.backup.Namespace, name, err)
	}
	p, err := policy.Parse(r.backup.Namespace+"/"+name, m.Data)
	if err != nil {
		return p, fail.Errorf(fail.Invalid, "invalid resource policies: %w", err)
	}
	return p, nil
}

// filtered is the spec with the lists of the policies.
func (r *run) filtered() (velerov1.BackupSpec, error) {
	l := r.policies.Lists
	if l.Empty() {
		return r.backup.Spec, nil
	}
	return filter.Combine(r.backup.Spec, filter.Scoped(l), r.types)
}

const oldAndFine = `include-resources, exclude-resources and include-cluster-resources are old filter parameters.
They cannot be used with namespace-scoped or fine-grained global filter policies.`

// refine adds the filters of the policies to the filter.
func (r *run) refine() error {
	if r.policies.Filters.Empty() {
		return nil
	}
	if filter.UsesOldFamily(r.backup.Spec) {
		return fail.Errorf(fail.Invalid, oldAndFine)
	}
	if err := r.filter.Refine(r.policies.Filters, r.types); err != nil {
		return fail.Errorf(fail.Invalid, "invalid resource policies: %w", err)
	}
	if unserved := r.filter.Unserved(); len(unserved) > 0 {
		return fail.Errorf(fail.Invalid, "invalid resource policies: %s: expected kinds that an API of this cluster serves; see `kubectl api-resources`", strings.Join(unserved, "; "))
	}
	for _, text := range r.filter.Idle() {
		r.doubts = append(r.doubts, report.Note{Text: text})
	}
	return nil
}

// decide applies the volume policies to the volumes of the backup.
func (r *run) decide() {
	if len(r.policies.Rules) == 0 {
		return
	}
	for i := range r.sink.volumes {
		v := &r.sink.volumes[i]
		facts := v.facts
		if v.bad != nil {
			r.report.Warn("", "PersistentVolume %s: volume policies: %v", v.Metadata.Name, v.bad)
			continue
		}
		if c := v.Spec.ClaimRef; c != nil {
			facts.Claim = r.sink.claims[c.Namespace+"/"+c.Name].Claim
		}
		rule, ok := r.policies.Decide(facts)
		if !ok {
			continue
		}
		v.action = rule.Action
		v.why = fmt.Sprintf("volume policy %s (%s)", rule.Action, rule.Where)
		r.log.info("volume policy", "volume", v.Metadata.Name, "action", string(rule.Action), "reason", rule.Where)
	}
}
