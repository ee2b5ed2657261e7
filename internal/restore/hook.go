// SPDX-License-Identifier: Apache-2.0

package restore

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"

	velerov1 "hozon.dev/hozon/api/velero/v1"
	"hozon.dev/hozon/internal/fail"
	"hozon.dev/hozon/internal/hook"
	"hozon.dev/hozon/internal/object"
	"hozon.dev/hozon/internal/perform"
	"hozon.dev/hozon/internal/plan"
	"hozon.dev/hozon/internal/report"
)

// defaultHookWait is how long hooks that wait without a bound are waited for when everything else is done: Velero's.
const defaultHookWait = 10 * time.Minute

// sidePods is how many pods have their hooks run, or waited for, at the same time.
const sidePods = 64

// hooks are the state of a restore's hooks.
type hooks struct {
	sets *hook.Sets
	fit  hook.Fit
	pods chan hookedPod // that were made; closed when no more will be
	done chan struct{}  // closed when all hooks have come to their end
	end  context.CancelCauseFunc

	mu      sync.Mutex
	known   map[object.Ref]podHooks // by the pod's name in the target
	results []report.Hook
}

// podHooks is what is known of a pod before it is made.
type podHooks struct {
	init []report.Hook // of what was put in
	exec bool          // hooks are to be run in it
}

// hookedPod is a pod in which hooks are to be run.
type hookedPod struct {
	ref  object.Ref
	made bool // just now, by this run
}

// readHooks reads the hooks of the spec, of which names of resources are looked up in what the target serves.
func (r *run) readHooks(ctx context.Context) error {
	var types []object.Type
	if len(r.restore.Spec.Hooks.Resources) > 0 {
		var err error
		if types, _, err = r.Target.Types(ctx, false); err != nil {
			return err
		}
	}
	sets, err := hook.ForRestore(r.restore.Spec.Hooks, types)
	if err != nil {
		return fail.Errorf(fail.Invalid, "invalid restore hooks: %w", err)
	}
	r.hooks.sets = sets
	return nil
}

// fitHooks looks whether a pod that may be restored has the containers that the hooks of the spec name.
func (r *run) fitHooks(e plan.Entry, body []byte) {
	if !isPod(e.Ref) || !e.Matched || e.Traits.Skip != "" {
		return
	}
	if _, exec := r.hooks.sets.Restore(false); !exec {
		return
	}
	p, err := hook.Read(body)
	if err != nil {
		return // it is reported when it is to be made
	}
	if to, ok := r.restore.Spec.NamespaceMapping[p.Namespace]; ok {
		p.Namespace = to
	}
	r.hooks.fit.See(r.hooks.sets.Exec(p))
}

func isPod(ref object.Ref) bool { return ref.Group == "" && ref.Resource == "pods" }

// hooked looks at a saved pod before it is made: it puts in the containers of init hooks, and notes whether hooks are to run in it.
func (r *run) hooked(s plan.Step, body []byte) []byte {
	if !isPod(s.Target) || body == nil {
		return body
	}
	init, exec := r.hooks.sets.Restore(bytes.Contains(body, []byte(hook.RestoreMark)))
	if !init && !exec {
		return body
	}
	p, err := hook.Read(body)
	if err != nil {
		return body // it is reported when it is to be made
	}
	p.Namespace, p.Name = s.Target.Namespace, s.Target.Name
	out, added := r.withInit(p, body)
	r.hooks.mu.Lock()
	defer r.hooks.mu.Unlock()
	if r.hooks.known == nil {
		r.hooks.known = map[object.Ref]podHooks{}
	}
	r.hooks.known[s.Target] = podHooks{init: added, exec: len(r.hooks.sets.Exec(p)) > 0}
	return out
}

// withInit puts the containers of init hooks in front of a pod's own, and says which.
func (r *run) withInit(p hook.Pod, body []byte) ([]byte, []report.Hook) {
	var more []corev1.Container
	var results []report.Hook
	for _, i := range r.hooks.sets.Init(p) {
		result := report.Hook{Stage: report.Init, Namespace: p.Namespace, Pod: p.Name, From: i.From, Outcome: report.HookAdded}
		if i.Problem != "" {
			result.Outcome, result.Reason = report.HookFailed, i.Problem
			results = append(results, result)
		}
		for _, c := range i.Containers {
			result.Container, result.Command = c.Name, c.Command
			results = append(results, result)
		}
		more = append(more, i.Containers...)
	}
	if len(more) == 0 {
		return body, results
	}
	out, err := insertInit(body, more)
	if err != nil {
		return body, nil // what is wrong with the pod is said when it is to be made
	}
	return out, results
}

// insertInit changes nothing of the pod but spec.initContainers.
func insertInit(body []byte, more []corev1.Container) ([]byte, error) {
	var pod, spec map[string]json.RawMessage
	if err := json.Unmarshal(body, &pod); err != nil {
		return nil, err
	}
	if err := json.Unmarshal(pod["spec"], &spec); err != nil {
		return nil, err
	}
	var raw []json.RawMessage
	var own []corev1.Container
	if old := spec["initContainers"]; len(old) > 0 {
		if err := json.Unmarshal(old, &raw); err != nil {
			return nil, err
		}
		if err := json.Unmarshal(old, &own); err != nil {
			return nil, err
		}
	}
	var all []json.RawMessage
	for _, c := range hook.Insert(own, more) {
		if i := slices.IndexFunc(own, func(o corev1.Container) bool { return o.Name == c.Name }); i >= 0 {
			all = append(all, raw[i])
			continue
		}
		text, err := json.Marshal(c)
		if err != nil {
			return nil, err
		}
		all = append(all, text)
	}
	for _, step := range []func() error{
		func() (err error) { spec["initContainers"], err = json.Marshal(all); return err },
		func() (err error) { pod["spec"], err = json.Marshal(spec); return err },
	} {
		if err := step(); err != nil {
			return nil, err
		}
	}
	return json.Marshal(pod)
}

// beginHooks makes ready for hooks to be run beside the restore.
func (r *run) beginHooks(ctx context.Context) {
	ctx, r.hooks.end = context.WithCancelCause(ctx)
	r.hooks.pods, r.hooks.done = make(chan hookedPod), make(chan struct{})
	go r.runHooks(ctx)
}

// runHooks never lets the restore wait: pods may need what it has yet to bring.
func (r *run) runHooks(ctx context.Context) {
	defer close(r.hooks.done)
	var all sync.WaitGroup
	places := make(chan struct{}, sidePods)
	w := perform.Waiter{Runner: perform.Runner{Exec: r.Target, Now: r.Now}, Pods: r.Target}
	for p := range r.hooks.pods {
		accept := func(live hook.Pod) bool {
			return p.made || live.Labels[velerov1.LabelRestoreName] == velerov1.LabelValue(r.restore.Name)
		}
		all.Go(func() {
			places <- struct{}{}
			defer func() { <-places }()
			r.keepHooks(w.Pod(ctx, p.ref, accept, r.hooks.sets.Exec))
		})
	}
	all.Wait()
}

func (r *run) keepHooks(results []report.Hook) {
	r.hooks.mu.Lock()
	defer r.hooks.mu.Unlock()
	r.hooks.results = append(r.hooks.results, results...)
}

// startHooks runs the hooks of a pod that was made just now, or, in a run that is begun again, by the run before. It returns at once.
func (r *run) startHooks(i report.Item) {
	made := i.Action == report.Created
	if r.o.DryRun || !isPod(i.Ref) || !made && !r.o.Again {
		return
	}
	r.hooks.mu.Lock()
	known := r.hooks.known[i.Ref]
	delete(r.hooks.known, i.Ref)
	r.hooks.mu.Unlock()
	if made {
		r.keepHooks(known.init)
	}
	if known.exec {
		r.hooks.pods <- hookedPod{i.Ref, made}
	}
}

// endHooks waits for the hooks that are under way, and reports what came of all.
func (r *run) endHooks() {
	limit := r.o.HookWait
	if limit == 0 {
		limit = defaultHookWait
	}
	close(r.hooks.pods)
	stop := time.AfterFunc(limit, func() {
		r.hooks.end(fmt.Errorf("it was waited for %s after everything else was done", limit))
	})
	<-r.hooks.done
	stop.Stop()
	r.hooks.end(nil)
	r.report.Hooks = r.hooks.results
	slices.SortStableFunc(r.report.Hooks, func(a, b report.Hook) int {
		return strings.Compare(a.Namespace+"/"+a.Pod, b.Namespace+"/"+b.Pod) // within a pod they are in order
	})
	for _, h := range r.report.Hooks {
		switch {
		case h.Outcome == report.HookFailed && h.OnError != string(velerov1.HookErrorModeContinue):
			r.report.Err(h.Namespace, "%s", h)
			r.log.line("error", "%s", h)
		case h.Outcome == report.HookFailed, h.Outcome == report.HookSkipped:
			r.report.Warn(h.Namespace, "%s", h)
			r.log.line("warning", "%s", h)
		default:
			r.log.line("info", "%s", h)
		}
	}
	if len(r.report.Hooks) > 0 {
		attempted, failed := report.HookTotals(r.report.Hooks)
		r.restore.Status.HookStatus = &velerov1.HookStatus{HooksAttempted: attempted, HooksFailed: failed}
	}
}
