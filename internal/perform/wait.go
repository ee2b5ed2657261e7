// SPDX-License-Identifier: Apache-2.0

package perform

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"

	velerov1 "hozon.dev/hozon/api/velero/v1"
	"hozon.dev/hozon/internal/cluster"
	"hozon.dev/hozon/internal/fail"
	"hozon.dev/hozon/internal/hook"
	"hozon.dev/hozon/internal/object"
	"hozon.dev/hozon/internal/report"
)

// Reader reads pods, now and as they change; *cluster.Client is one.
type Reader interface {
	Get(ctx context.Context, t object.Type, namespace, name string) ([]byte, error)
	Watch(ctx context.Context, t object.Type, namespace, resourceVersion string, o cluster.WatchOptions) (*cluster.Watch, error)
}

var podType = object.Type{Version: "v1", Resource: "pods", Kind: "Pod", Namespaced: true}

// Waiter runs hooks in pods that have yet to start. It is safe for concurrent use.
type Waiter struct {
	Runner
	Pods Reader
}

// errFinished and errWaited are why a hook was not run.
var (
	errFinished = errors.New("the pod has finished")
	errWaited   = errors.New("its container did not get so far in time")
)

// Pod runs the hooks that find says a pod has, each when its container runs, or is ready, one after the other. accept says whether the pod is one
// whose hooks are to be run at all.
func (w Waiter) Pod(ctx context.Context, ref object.Ref, accept func(hook.Pod) bool, find func(hook.Pod) []hook.Hook) []report.Hook {
	p, err := w.read(ctx, ref)
	if err != nil {
		return []report.Hook{{Stage: report.Exec, Namespace: ref.Namespace, Pod: ref.Name, From: "?", Outcome: report.HookFailed, Reason: err.Error()}}
	}
	if !accept(p) {
		return nil
	}
	var results []report.Hook
	why := ""
	for _, h := range find(p) {
		if why != "" {
			results = append(results, Skipped(p, h, why))
			continue
		}
		result := w.one(ctx, p, h)
		results = append(results, result)
		if result.Outcome == report.HookFailed && h.OnError == velerov1.HookErrorModeFail {
			why = "a hook before it has failed"
		}
	}
	return results
}

// read reads the pod; the API server may be away for a moment.
func (w Waiter) read(ctx context.Context, ref object.Ref) (hook.Pod, error) {
	for {
		body, err := w.Pods.Get(ctx, podType, ref.Namespace, ref.Name)
		if err == nil {
			return hook.Read(body)
		}
		if !fail.Is(err, fail.Transient) || !pause(ctx) {
			return hook.Pod{}, err
		}
	}
}

func (w Waiter) one(ctx context.Context, p hook.Pod, h hook.Hook) report.Hook {
	if h.Problem == "" {
		if err := w.await(ctx, p, h); errors.Is(err, errFinished) {
			return Skipped(p, h, err.Error())
		} else if err != nil {
			result := Skipped(p, h, err.Error())
			result.Outcome = report.HookFailed
			return result
		}
	}
	return w.Runner.one(ctx, p, h)
}

// await waits until the hook's container is as the hook wants it.
func (w Waiter) await(ctx context.Context, p hook.Pod, h hook.Hook) error {
	if h.Wait > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, h.Wait, fmt.Errorf("%w (%s)", errWaited, h.Wait))
		defer cancel()
	}
	for {
		body, err := w.Pods.Get(ctx, podType, p.Namespace, p.Name)
		if err == nil {
			var ok bool
			if ok, err = fits(body, p, h); ok || err != nil {
				return err
			}
			ok, err = w.watch(ctx, body, p, h)
			if ok {
				return err
			}
		}
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case fail.Is(err, fail.NotFound):
			return errors.New("the pod is gone")
		case !pause(ctx):
			return context.Cause(ctx)
		}
	}
}

// watchTime is how long one watch lasts.
const watchTime = 5 * time.Minute

// watch waits for a change that settles it: over is then true. Otherwise the watch has ended, and the pod has to be read again.
func (w Waiter) watch(ctx context.Context, body []byte, p hook.Pod, h hook.Hook) (over bool, err error) {
	head, err := object.Scan(body)
	if err != nil {
		return true, err
	}
	events, err := w.Pods.Watch(ctx, podType, p.Namespace, head.ResourceVersion, cluster.WatchOptions{FieldSelector: "metadata.name=" + p.Name, Timeout: watchTime})
	if err != nil {
		return false, err
	}
	defer events.Close()
	for {
		e, err := events.Next()
		if err != nil {
			return false, nil // an end of the watch, for whatever reason
		}
		if e.Type == "DELETED" {
			return true, errors.New("the pod is gone")
		}
		if ok, err := fits(e.Object, p, h); ok || err != nil {
			return true, err
		}
	}
}

// fits says whether the hook can be run now; the error, that it never can.
func fits(body []byte, p hook.Pod, h hook.Hook) (bool, error) {
	var live corev1.Pod
	if err := json.Unmarshal(body, &live); err != nil {
		return false, fail.Errorf(fail.Corrupt, "decode pod %s: %w", p.ID(), err)
	}
	switch {
	case string(live.UID) != p.UID:
		return false, errors.New("another pod has taken its place")
	case live.Status.Phase == corev1.PodSucceeded || live.Status.Phase == corev1.PodFailed:
		return false, fmt.Errorf("%w (%s)", errFinished, live.Status.Phase)
	}
	for _, statuses := range [][]corev1.ContainerStatus{live.Status.ContainerStatuses, live.Status.InitContainerStatuses} {
		for _, s := range statuses {
			if s.Name == h.Container {
				return s.State.Running != nil && (s.Ready || !h.Ready), nil
			}
		}
	}
	return false, nil
}

// pause waits a moment; false: ctx has ended.
func pause(ctx context.Context) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(500 * time.Millisecond):
		return true
	}
}
