// SPDX-License-Identifier: Apache-2.0

package fill

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"hozon.dev/hozon/internal/cluster"
	"hozon.dev/hozon/internal/fail"
	"hozon.dev/hozon/internal/object"
)

// moverRuns says that a mover has its claims mounted, or what it waits for.
func moverRuns(p *corev1.Pod) (bool, string) { return runs(p, p.Status.ContainerStatuses, "mover") }

// waitRuns says that a pod waits for its volumes, which are mounted, or what it waits for.
func waitRuns(p *corev1.Pod) (bool, string) {
	for _, s := range p.Status.InitContainerStatuses {
		if t := s.State.Terminated; s.Name == WaitContainer && t != nil && t.ExitCode == 0 {
			return true, filledBefore
		}
	}
	return runs(p, p.Status.InitContainerStatuses, WaitContainer)
}

// filledBefore is the reason of a pod that does not wait any more.
const filledBefore = "filled"

func runs(p *corev1.Pod, statuses []corev1.ContainerStatus, container string) (bool, string) {
	why := ""
	for _, c := range p.Status.Conditions {
		if c.Type == corev1.PodScheduled && c.Status != corev1.ConditionTrue {
			why = "it is on no node: " + cmp.Or(c.Message, c.Reason)
		}
	}
	for _, s := range statuses {
		if s.Name != container {
			continue
		}
		if s.State.Running != nil {
			return true, ""
		}
		if w := s.State.Waiting; w != nil && why == "" {
			why = w.Reason
			if w.Message != "" {
				why += ": " + w.Message
			}
		}
	}
	return false, why
}

// awaitPod waits until a pod is as runs wants it. The claims that it waits for are the reason that is given when it does not get there.
func (f *Filler) awaitPod(ctx context.Context, pod *corev1.Pod, runs func(*corev1.Pod) (bool, string)) (*corev1.Pod, error) {
	limit := f.Start
	if limit == 0 {
		limit = defaultStart
	}
	why := ""
	bound, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	live, err := f.followPod(bound, pod, func(p *corev1.Pod) (bool, error) {
		if p.Status.Phase == corev1.PodSucceeded || p.Status.Phase == corev1.PodFailed {
			return false, fmt.Errorf("pod %s/%s has ended: %s", p.Namespace, p.Name, cmp.Or(p.Status.Message, p.Status.Reason, string(p.Status.Phase)))
		}
		ok, reason := runs(p)
		why = reason
		if reason == filledBefore {
			return false, errFilled
		}
		return ok, nil
	})
	switch {
	case err == nil:
		return live, nil
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case bound.Err() != nil:
		return nil, fail.Errorf(fail.Unknown, "pod %s/%s did not start with its volumes within %s%s%s", pod.Namespace, pod.Name, limit, colon(why), f.remedy(ctx, pod, why))
	}
	return nil, err
}

func colon(text string) string {
	if text == "" {
		return ""
	}
	return ": " + text
}

var claimType = object.Type{Version: "v1", Resource: "persistentvolumeclaims", Kind: "PersistentVolumeClaim", Namespaced: true}

// remedy is the way out for a pod that does not start.
func (f *Filler) remedy(ctx context.Context, pod *corev1.Pod, why string) string {
	if strings.Contains(why, "didn't match Pod's node affinity/selector") { // the scheduler's words; claims that wait for the pod are no cause then
		return "; the saved pod asks for a node (nodeSelector, node affinity) that this cluster does not have: give one these labels, and restore again"
	}
	return f.unbound(ctx, pod)
}

// unbound names the claims of a pod that have no volume, and the way out.
func (f *Filler) unbound(ctx context.Context, pod *corev1.Pod) string {
	text := ""
	for _, v := range pod.Spec.Volumes {
		if v.PersistentVolumeClaim == nil {
			continue
		}
		body, err := f.Server.Cluster.Get(ctx, claimType, pod.Namespace, v.PersistentVolumeClaim.ClaimName)
		var c corev1.PersistentVolumeClaim
		if err != nil || json.Unmarshal(body, &c) != nil || c.Status.Phase == corev1.ClaimBound {
			continue
		}
		class := "no storage class"
		if c.Spec.StorageClassName != nil && *c.Spec.StorageClassName != "" {
			class = "storage class " + *c.Spec.StorageClassName
		}
		text += fmt.Sprintf("; claim %s (%s) is %s: give the cluster a volume for it, or map the class with a change-storage-class ConfigMap, and restore again", c.Name, class, c.Status.Phase)
	}
	return text
}

// followPod waits until enough is true of a pod, and returns it as it is then; errGone if it is deleted or another one has its name.
func (f *Filler) followPod(ctx context.Context, pod *corev1.Pod, enough func(*corev1.Pod) (bool, error)) (*corev1.Pod, error) {
	for {
		live, err := f.read(ctx, pod)
		if err == nil {
			var ok bool
			if ok, err = enough(live); ok || err != nil {
				return live, err
			}
			live, err = f.watch(ctx, live, enough)
			if live != nil || err != nil && !errors.Is(err, io.EOF) {
				return live, err
			}
		}
		switch {
		case ctx.Err() != nil:
			return nil, context.Cause(ctx)
		case err != nil && !errors.Is(err, io.EOF) && !fail.Is(err, fail.Transient):
			return nil, err
		}
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-time.After(200 * time.Millisecond):
		}
	}
}

func (f *Filler) read(ctx context.Context, pod *corev1.Pod) (*corev1.Pod, error) {
	body, err := f.Server.Cluster.Get(ctx, podType, pod.Namespace, pod.Name)
	if fail.Is(err, fail.NotFound) {
		return nil, errGone
	}
	if err != nil {
		return nil, err
	}
	return same(body, pod)
}

func same(body []byte, pod *corev1.Pod) (*corev1.Pod, error) {
	var live corev1.Pod
	if err := json.Unmarshal(body, &live); err != nil {
		return nil, err
	}
	if live.UID != pod.UID {
		return nil, errGone
	}
	return &live, nil
}

// watch waits for a change after which enough is true; io.EOF: the watch has ended, and the pod has to be read again.
func (f *Filler) watch(ctx context.Context, live *corev1.Pod, enough func(*corev1.Pod) (bool, error)) (*corev1.Pod, error) {
	events, err := f.Server.Cluster.Watch(ctx, podType, live.Namespace, live.ResourceVersion, cluster.WatchOptions{FieldSelector: "metadata.name=" + live.Name})
	if err != nil {
		return nil, io.EOF
	}
	defer events.Close()
	for {
		e, err := events.Next()
		if err != nil {
			return nil, io.EOF
		}
		if e.Type == "DELETED" {
			return nil, errGone
		}
		p, err := same(e.Object, live)
		if err != nil {
			return nil, err
		}
		if ok, err := enough(p); ok || err != nil {
			return p, err
		}
	}
}

// watchPod calls gone when a pod is deleted or ends while its volumes are being filled.
func (f *Filler) watchPod(ctx context.Context, pod *corev1.Pod, gone context.CancelCauseFunc) {
	_, err := f.followPod(ctx, pod, func(p *corev1.Pod) (bool, error) {
		if p.DeletionTimestamp != nil {
			return false, errGone
		}
		if p.Status.Phase == corev1.PodSucceeded || p.Status.Phase == corev1.PodFailed {
			return false, fmt.Errorf("pod %s/%s has ended: %s", p.Namespace, p.Name, cmp.Or(p.Status.Message, p.Status.Reason, string(p.Status.Phase)))
		}
		return false, nil
	})
	if err != nil && ctx.Err() == nil {
		gone(err)
	}
}
