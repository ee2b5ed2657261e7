// SPDX-License-Identifier: Apache-2.0

package restore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	velerov1 "hozon.dev/hozon/api/velero/v1"
	"hozon.dev/hozon/internal/cluster"
	"hozon.dev/hozon/internal/fail"
	"hozon.dev/hozon/internal/object"
	"hozon.dev/hozon/internal/plan/rule"
)

// The ConfigMaps that configure two of Velero's restore actions have this label, beside velero.io/plugin-config.
const (
	classesLabel = "velero.io/change-storage-class"
	imagesLabel  = "velero.io/change-image-name"
	actionKind   = "RestoreItemAction"
)

// replacements are what the user wants other storage classes and images for.
type replacements struct {
	where   string // the ConfigMap of classes
	classes map[string]string
	images  []rule.Replacement
}

// loadReplacements reads the ConfigMaps with replacements in the restore's namespace. What is wrong with them is fail.Invalid.
func (r *run) loadReplacements(ctx context.Context) error {
	if r.restore.Namespace == "" {
		return nil
	}
	found := map[string][]corev1.ConfigMap{}
	page, err := r.Target.List(ctx, object.Type{Version: "v1", Resource: "configmaps", Kind: "ConfigMap", Namespaced: true},
		cluster.ListOptions{Namespace: r.restore.Namespace, LabelSelector: velerov1.LabelPluginConfig})
	if fail.Is(err, fail.Denied) {
		r.log.line("info", "ConfigMaps of namespace %s may not be listed: those that change storage classes and images do not count", r.restore.Namespace)
		return nil
	}
	if err != nil {
		return err
	}
	defer page.Close()
	_, err = object.Split(page, nil, func(item []byte) error {
		var m corev1.ConfigMap
		if err := json.Unmarshal(item, &m); err != nil {
			return fail.As(fail.Corrupt, err)
		}
		for _, label := range []string{classesLabel, imagesLabel} {
			if m.Labels[label] == actionKind {
				found[label] = append(found[label], m)
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("read the ConfigMaps that configure restores: %w", err)
	}
	return fail.As(fail.Invalid, errors.Join(r.readClasses(found[classesLabel]), r.readImages(found[imagesLabel])))
}

func (r *run) readClasses(all []corev1.ConfigMap) error {
	m, err := only(classesLabel, all)
	if m == nil || err != nil {
		return err
	}
	r.replace.where, r.replace.classes = "ConfigMap "+m.Namespace+"/"+m.Name, map[string]string{}
	var errs []error
	for _, old := range slices.Sorted(maps.Keys(m.Data)) {
		if m.Data[old] == "" {
			errs = append(errs, fmt.Errorf("%s, key %s: expected the name of a storage class", r.replace.where, old))
		}
		r.replace.classes[old] = m.Data[old]
	}
	return errors.Join(errs...)
}

func (r *run) readImages(all []corev1.ConfigMap) error {
	m, err := only(imagesLabel, all)
	if m == nil || err != nil {
		return err
	}
	var errs []error
	for _, key := range slices.Sorted(maps.Keys(m.Data)) {
		before, after, ok := strings.Cut(m.Data[key], ",")
		if before, after = strings.TrimSpace(before), strings.TrimSpace(after); !ok || before == "" || after == "" || strings.Contains(after, ",") {
			errs = append(errs, fmt.Errorf("ConfigMap %s/%s, key %s: %q: expected two parts of an image's name, \"old,new\"", m.Namespace, m.Name, key, m.Data[key]))
		}
		r.replace.images = append(r.replace.images, rule.Replacement{Old: before, New: after})
	}
	return errors.Join(errs...)
}

// only is the one ConfigMap that an action may have; nil: it has none.
func only(action string, all []corev1.ConfigMap) (*corev1.ConfigMap, error) {
	switch len(all) {
	case 0:
		return nil, nil
	case 1:
		return &all[0], nil
	}
	var names []string
	for _, m := range all {
		names = append(names, m.Namespace+"/"+m.Name)
	}
	return nil, fmt.Errorf("ConfigMaps %s all have the label %s=%s: expected one", strings.Join(names, ", "), action, actionKind)
}

// checkClasses refuses replacements by storage classes that neither the target nor the backup has.
func (r *run) checkClasses(ctx context.Context) error {
	var errs []error
	for _, old := range slices.Sorted(maps.Keys(r.replace.classes)) {
		name := r.replace.classes[old]
		_, err := r.Target.Get(ctx, classType, "", name)
		switch {
		case err == nil, r.has(classType.Ref("", name)):
		case fail.Is(err, fail.NotFound):
			errs = append(errs, fail.Errorf(fail.Invalid, "%s, key %s: expected a storage class that the target or the backup has, and there is no %q", r.replace.where, old, name))
		default:
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// has reports whether the backup holds an object.
func (r *run) has(ref object.Ref) bool {
	for i := range r.entries.Len() {
		if r.entries.Ref(i) == ref {
			return true
		}
	}
	return false
}
