// SPDX-License-Identifier: Apache-2.0

package apply

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"

	"hozon.dev/hozon/internal/cluster"
	"hozon.dev/hozon/internal/object"
	"hozon.dev/hozon/internal/plan"
)

var (
	definitionType = object.Type{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions", Kind: "CustomResourceDefinition"}
	podType        = object.Type{Version: "v1", Resource: "pods", Kind: "Pod", Namespaced: true}
	replicaSetType = object.Type{Group: "apps", Version: "v1", Resource: "replicasets", Kind: "ReplicaSet", Namespaced: true}
)

// barrier is what a stage ends with. It is set up before the stage, so that it misses nothing.
type barrier interface {
	// wait returns when the stage's objects are what the next ones need; what does not come in time is a warning.
	wait(ctx context.Context)
	close()
}

type noBarrier struct{}

func (noBarrier) wait(context.Context) {}
func (noBarrier) close()               {}

func (r *Run) barrier(ctx context.Context, level plan.Level) barrier {
	r.mu.Lock()
	r.newest, r.definitions = 0, nil
	r.mu.Unlock()
	if r.o.DryRun {
		return noBarrier{}
	}
	r.watched = ""
	switch level {
	case plan.Definitions:
		return established{r}
	case plan.Pods: // and ControllerRevisions, which nobody has to see
		r.watched = podType.GroupResource()
		return r.watch(ctx, podType)
	case plan.ReplicaSets: // and LimitRanges
		r.watched = replicaSetType.GroupResource()
		return r.watch(ctx, replicaSetType)
	}
	return noBarrier{}
}

func (r *Run) warn(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.o.Warn != nil {
		r.o.Warn(fmt.Sprintf(format, args...))
	}
}

// visible waits until a watcher has been told of the stage's last object: controllers, which learn by watching, have then
// been told of all of them.
type visible struct {
	run    *Run
	t      object.Type
	cancel context.CancelFunc
	seen   chan uint64   // resourceVersions, rising; holds the last
	done   chan struct{} // closed when the watch has ended
	err    error         // why; valid after done
}

func (r *Run) watch(ctx context.Context, t object.Type) barrier {
	ctx, cancel := context.WithCancel(ctx)
	v := &visible{run: r, t: t, cancel: cancel, seen: make(chan uint64, 1), done: make(chan struct{})}
	version, err := r.revision(ctx, t)
	if err != nil {
		v.err = err
		close(v.done)
		return v
	}
	go func() {
		defer close(v.done)
		v.err = v.follow(ctx, version)
	}()
	return v
}

// revision is the resourceVersion of a kind now.
func (r *Run) revision(ctx context.Context, t object.Type) (string, error) {
	page, err := r.o.Target.List(ctx, t, cluster.ListOptions{Limit: 1})
	if err != nil {
		return "", err
	}
	defer page.Close()
	data, err := io.ReadAll(io.LimitReader(page, maxSiblings))
	if err != nil {
		return "", err
	}
	var list struct {
		Metadata struct {
			ResourceVersion string `json:"resourceVersion"`
		} `json:"metadata"`
	}
	if err := json.Unmarshal(data, &list); err != nil {
		return "", fmt.Errorf("list %s: %w", t.GroupResource(), err)
	}
	return list.Metadata.ResourceVersion, nil
}

// follow reads changes of this run's objects until ctx ends.
func (v *visible) follow(ctx context.Context, version string) error {
	labels := v.run.o.Env.Labels()
	var selector []string
	for _, key := range slices.Sorted(maps.Keys(labels)) {
		selector = append(selector, key+"="+labels[key])
	}
	for ctx.Err() == nil {
		w, err := v.run.o.Target.Watch(ctx, v.t, "", version, cluster.WatchOptions{LabelSelector: strings.Join(selector, ",")})
		if err != nil {
			return err
		}
		for {
			event, err := w.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				w.Close()
				return err
			}
			if head, err := object.Scan(event.Object); err == nil {
				version = head.ResourceVersion
				v.tell(version)
			}
		}
		w.Close()
	}
	return context.Cause(ctx)
}

// tell replaces what waits in the channel by the newer version.
func (v *visible) tell(version string) {
	n, err := strconv.ParseUint(version, 10, 64)
	if err != nil {
		return
	}
	select {
	case <-v.seen:
	default:
	}
	v.seen <- n
}

func (v *visible) wait(ctx context.Context) {
	v.run.mu.Lock()
	newest := v.run.newest
	v.run.mu.Unlock()
	if newest == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, v.run.o.Ready)
	defer cancel()
	for {
		select {
		case version := <-v.seen:
			if version >= newest {
				return
			}
		case <-v.done:
			v.run.warn("could not watch %s (%v): controllers may replace some of them", v.t.GroupResource(), v.err)
			return
		case <-ctx.Done():
			v.run.warn("the restored %s were not seen by a watch in time: controllers may replace some of them", v.t.GroupResource())
			return
		}
	}
}

func (v *visible) close() {
	v.cancel()
	<-v.done
}

// established waits until the stage's definitions are served.
type established struct{ run *Run }

func (e established) close() {}

func (e established) wait(ctx context.Context) {
	e.run.mu.Lock()
	pending := map[string]string{} // name → what it still lacks
	for _, name := range e.run.definitions {
		pending[name] = "no condition Established"
	}
	e.run.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, e.run.o.Ready)
	defer cancel()
	for len(pending) > 0 && ctx.Err() == nil {
		if err := e.follow(ctx, pending); err != nil && ctx.Err() == nil {
			e.run.warn("could not watch customresourcedefinitions: %v", err)
			return
		}
	}
	for _, name := range slices.Sorted(maps.Keys(pending)) {
		e.run.warn("customresourcedefinitions.apiextensions.k8s.io/%s is not established: %s", name, pending[name])
	}
}

// follow removes what is established from pending. A watch without a version begins with everything that exists.
func (e established) follow(ctx context.Context, pending map[string]string) error {
	w, err := e.run.o.Target.Watch(ctx, definitionType, "", "", cluster.WatchOptions{})
	if err != nil {
		return err
	}
	defer w.Close()
	for len(pending) > 0 {
		event, err := w.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		var crd struct {
			Metadata struct {
				Name string `json:"name"`
			} `json:"metadata"`
			Status struct {
				Conditions []struct{ Type, Status, Message string } `json:"conditions"`
			} `json:"status"`
		}
		if err := json.Unmarshal(event.Object, &crd); err != nil {
			return err
		}
		if _, ok := pending[crd.Metadata.Name]; !ok {
			continue
		}
		for _, c := range crd.Status.Conditions {
			if c.Type == "Established" && c.Status == "True" {
				delete(pending, crd.Metadata.Name)
				break
			}
			if c.Status == "False" {
				pending[crd.Metadata.Name] = c.Message
			}
		}
	}
	return nil
}
