// SPDX-License-Identifier: Apache-2.0

package hook

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	velerov1 "hozon.dev/hozon/api/velero/v1"
	"hozon.dev/hozon/internal/fail"
	"hozon.dev/hozon/internal/filter"
	"hozon.dev/hozon/internal/object"
	"hozon.dev/hozon/internal/report"
)

// Sets are the hooks of a spec. The zero value has none, and annotations count all the same. They never change.
type Sets struct{ all []set }

// set is a set of hooks and the pods that it applies to.
type set struct {
	name      string
	pods      *filter.Filter
	pre, post []Hook
	exec      []Hook
	init      []corev1.Container
}

// target is the part of a set, of a Backup's or a Restore's spec, that says where it applies.
type target struct {
	field                        string
	name                         string
	namespaces, notIn            []string
	resources, excludedResources []string
	labels                       *metav1.LabelSelector
}

// filter compiles the target. types are those that names of resources can mean.
func (t target) filter(types []object.Type) (*filter.Filter, error) {
	if t.name == "" {
		return nil, fmt.Errorf("%s: a set of hooks has no name", t.field)
	}
	f, err := filter.ForRestore(velerov1.RestoreSpec{
		BackupName: "-", IncludedNamespaces: t.namespaces, ExcludedNamespaces: t.notIn,
		IncludedResources: t.resources, ExcludedResources: t.excludedResources, LabelSelector: t.labels,
	}, types)
	if err != nil {
		return nil, t.wrong(err)
	}
	if unknown := f.Unresolved(); len(unknown) > 0 {
		return nil, t.wrong(fmt.Errorf("no API of this cluster serves a resource %q", unknown[0]))
	}
	if !f.Resource("", "pods") {
		return nil, t.wrong(errors.New("hooks run in pods only, and its resources leave out pods"))
	}
	return f, nil
}

func (t target) wrong(err error) error { return fmt.Errorf("%s, set %q: %w", t.field, t.name, err) }

// ForBackup reads the hooks of a Backup's spec. All that is wrong with them is one error, fail.Invalid.
func ForBackup(h velerov1.BackupHooks, types []object.Type) (*Sets, error) {
	out := &Sets{}
	var errs []error
	for i, r := range h.Resources {
		t := target{
			fmt.Sprintf("spec.hooks.resources[%d]", i), r.Name, r.IncludedNamespaces, r.ExcludedNamespaces,
			r.IncludedResources, r.ExcludedResources, r.LabelSelector,
		}
		pods, err := t.filter(types)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		s := set{name: r.Name, pods: pods}
		var wrong []error
		s.pre, wrong = backupHooks(t, report.Pre, r.PreHooks)
		errs = append(errs, wrong...)
		s.post, wrong = backupHooks(t, report.Post, r.PostHooks)
		errs = append(errs, wrong...)
		out.all = append(out.all, s)
	}
	return out, fail.As(fail.Invalid, errors.Join(errs...))
}

func backupHooks(t target, stage report.HookStage, hooks []velerov1.BackupResourceHook) (out []Hook, errs []error) {
	for i, h := range hooks {
		if h.Exec == nil {
			errs = append(errs, t.wrong(fmt.Errorf("%s[%d] has no exec: it is the only form of a hook", stage, i)))
			continue
		}
		hook := Hook{
			Stage: stage, From: t.name, Container: h.Exec.Container, Command: h.Exec.Command, OnError: h.Exec.OnError, Timeout: h.Exec.Timeout.Duration,
		}
		if err := hook.check(velerov1.HookErrorModeFail); err != nil {
			errs = append(errs, t.wrong(fmt.Errorf("%s[%d].exec.%w", stage, i, err)))
		}
		out = append(out, hook)
	}
	return out, errs
}

// check completes a hook of a spec and returns what is wrong with it whatever pod it runs in.
func (h *Hook) check(otherwise velerov1.HookErrorMode) error {
	if h.OnError == "" {
		h.OnError = otherwise
	}
	switch {
	case len(h.Command) == 0 || h.Command[0] == "":
		return errors.New("command is empty: expected a program and its arguments")
	case h.OnError != velerov1.HookErrorModeFail && h.OnError != velerov1.HookErrorModeContinue:
		return fmt.Errorf("onError is %q: expected Fail or Continue", h.OnError)
	case h.Timeout < 0:
		return fmt.Errorf("timeout is %s: expected a duration above zero", h.Timeout)
	case h.Wait < 0:
		return fmt.Errorf("waitTimeout is %s: expected a duration above zero", h.Wait)
	}
	return nil
}

// ForRestore reads the hooks of a Restore's spec. All that is wrong with them is one error, fail.Invalid.
func ForRestore(h velerov1.RestoreHooks, types []object.Type) (*Sets, error) {
	out := &Sets{}
	var errs []error
	for i, r := range h.Resources {
		t := target{
			fmt.Sprintf("spec.hooks.resources[%d]", i), r.Name, r.IncludedNamespaces, r.ExcludedNamespaces,
			r.IncludedResources, r.ExcludedResources, r.LabelSelector,
		}
		pods, err := t.filter(types)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		s := set{name: r.Name, pods: pods}
		for j, h := range r.PostHooks {
			if err := s.addRestore(h); err != nil {
				errs = append(errs, t.wrong(fmt.Errorf("postHooks[%d]%w", j, err)))
			}
		}
		out.all = append(out.all, s)
	}
	return out, fail.As(fail.Invalid, errors.Join(errs...))
}

func (s *set) addRestore(h velerov1.RestoreResourceHook) error {
	if (h.Exec == nil) == (h.Init == nil) {
		return errors.New(": expected either exec or init")
	}
	if h.Init != nil {
		for _, raw := range h.Init.InitContainers {
			c, err := readContainer(raw.Raw)
			if err != nil {
				return fmt.Errorf(".init: invalid init container in restore hook %q: %w", s.name, err)
			}
			s.init = append(s.init, c)
		}
		return nil
	}
	hook := Hook{
		Stage: report.Exec, From: s.name, Container: h.Exec.Container, Command: h.Exec.Command, OnError: h.Exec.OnError,
		Timeout: h.Exec.ExecTimeout.Duration, Wait: h.Exec.WaitTimeout.Duration, Ready: h.Exec.WaitForReady != nil && *h.Exec.WaitForReady,
	}
	if err := hook.check(velerov1.HookErrorModeContinue); err != nil {
		return fmt.Errorf(".exec.%w", err)
	}
	s.exec = append(s.exec, hook)
	return nil
}

// readContainer reads a container strictly: a field that Kubernetes does not know would be lost without a word. The last text is Velero's.
func readContainer(raw []byte) (corev1.Container, error) {
	var c corev1.Container
	dec := json.NewDecoder(strings.NewReader(string(raw)))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&c); err != nil {
		return c, err
	}
	if len(c.Command) == 0 || c.Name == "" || c.Image == "" {
		return c, errors.New("invalid InitContainer in restore hook, it doesn't have Command, Name or Image field")
	}
	return c, nil
}

// some says that a set is as has says.
func (s *Sets) some(has func(set) bool) bool {
	for _, one := range s.all {
		if has(one) {
			return true
		}
	}
	return false
}

// Backup says that a pod, of which the labels and annotations are known, may have hooks.
func (s *Sets) Backup(ref object.Ref, head object.Head) bool {
	if strings.Contains(string(head.RawAnnotations), AnnotationMark) {
		return true
	}
	return s.some(func(one set) bool { return one.applies(ref, head) })
}

// Restore says whether a saved pod may have init hooks, and hooks to run; annotated, that its body has the mark of such annotations.
func (s *Sets) Restore(annotated bool) (init, exec bool) {
	return annotated || s.some(func(one set) bool { return len(one.init) > 0 }), annotated || s.some(func(one set) bool { return len(one.exec) > 0 })
}

func (s set) applies(ref object.Ref, head object.Head) bool {
	ok, _ := s.pods.Object(ref, head)
	return ok
}

// in calls fn with the sets that apply to a pod.
func (s *Sets) in(p Pod, fn func(set)) {
	labels, _ := json.Marshal(p.Labels) // strings always marshal
	head := object.Head{Namespace: p.Namespace, Name: p.Name, RawLabels: labels}
	if len(p.Labels) == 0 {
		head.RawLabels = nil
	}
	for _, one := range s.all {
		if one.applies(object.Ref{Resource: "pods", Namespace: p.Namespace, Name: p.Name}, head) {
			fn(one)
		}
	}
}

// Of are the hooks of a pod in a backup for a stage, Pre or Post, in their order.
func (s *Sets) Of(stage report.HookStage, p Pod) []Hook {
	if h, ok := backupAnnotation(stage, p); ok {
		return []Hook{h.fit(p)}
	}
	var out []Hook
	s.in(p, func(one set) {
		hooks := one.pre
		if stage == report.Post {
			hooks = one.post
		}
		for _, h := range hooks {
			out = append(out, h.fit(p))
		}
	})
	return out
}

// Exec are the hooks that run in a restored pod, in their order.
func (s *Sets) Exec(p Pod) []Hook {
	if h, ok := restoreAnnotation(p); ok {
		return []Hook{h.fit(p)}
	}
	var out []Hook
	s.in(p, func(one set) {
		for _, h := range one.exec {
			out = append(out, h.fit(p))
		}
	})
	return out
}
