// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"hozon.dev/hozon/internal/hook"
	"hozon.dev/hozon/internal/object"
	"hozon.dev/hozon/internal/perform"
	"hozon.dev/hozon/internal/report"
	"hozon.dev/hozon/internal/store"
)

// thawTime bounds the post hooks of a run that was ended. What they do not get done is done by the next.
const thawTime = 2 * time.Minute

// hooks are the state of a run's hooks, in the order in which it is filled.
type hooks struct {
	sets     *hook.Sets
	unlooked bool     // no pod was looked at: the first one that has hooks ends the listing
	hooked   []hooked // the ordered ones first
	ordered  int      // so many of them
	owes     bool     // a debt is recorded

	mu      sync.Mutex
	results []report.Hook
	refused map[object.Ref]string // pods that are not saved, since a pre hook of theirs has failed
	thawed  chan struct{}         // closed when the post hooks have come to their end; nil: they were not begun
}

// freeze runs the pre hooks, after it has recorded that post hooks are owed. When it returns, everything can be listed.
func (r *run) freeze(ctx context.Context) error {
	r.refused = map[object.Ref]string{}
	var owed []hook.Pod
	ordered := 0
	for i, h := range r.hooked {
		if len(h.pre) == 0 || len(h.post) == 0 {
			continue
		}
		owed = append(owed, h.pod)
		if i < r.ordered {
			ordered++
		}
	}
	if len(owed) > 0 {
		r.owes = true // also when the answer is lost
		if err := r.Store.PutDebt(ctx, store.Debt{Backup: r.backup.Name, Run: r.options.Run, Cluster: r.clusterUID, Ordered: ordered, Pods: owed}); err != nil {
			return err
		}
	}
	if !slices.ContainsFunc(r.hooked, func(h hooked) bool { return len(h.pre) > 0 }) {
		return nil
	}
	r.Observe.Step("Running hooks before the backup")
	r.each(ctx, func(ctx context.Context, h *hooked) {
		if len(h.pre) == 0 || ctx.Err() != nil {
			return
		}
		h.begun = slices.ContainsFunc(h.pre, func(p hook.Hook) bool { return p.Problem == "" })
		results, ok := r.runner().Pod(ctx, h.pod, h.pre)
		r.keepHooks(results)
		if !ok {
			r.mu.Lock()
			r.refused[podType.Ref(h.pod.Namespace, h.pod.Name)] = "a hook before its backup has failed"
			r.mu.Unlock()
		}
	})
	return context.Cause(ctx)
}

func (r *run) runner() perform.Runner { return perform.Runner{Exec: r.Cluster, Now: r.Now} }

func (r *run) keepHooks(results []report.Hook) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.results = append(r.results, results...)
}

// each calls fn with the pods that have hooks: with the ordered ones one after the other, then with the others side by side.
func (r *run) each(ctx context.Context, fn func(context.Context, *hooked)) {
	for i := range r.hooked[:r.ordered] {
		fn(ctx, &r.hooked[i])
	}
	inParallel(len(r.hooked)-r.ordered, func(i int) { fn(ctx, &r.hooked[r.ordered+i]) })
}

// eachThawed is as each, but every pod waits for its volumes first, and keeps no other waiting meanwhile unless that one is ordered behind it.
func (r *run) eachThawed(ctx context.Context, fn func(context.Context, *hooked)) {
	for i := range r.hooked[:r.ordered] {
		r.awaitFiles(r.hooked[i].pod.ID())
		fn(ctx, &r.hooked[i])
	}
	var wg sync.WaitGroup
	places := make(chan struct{}, side)
	for i := r.ordered; i < len(r.hooked); i++ {
		wg.Go(func() {
			r.awaitFiles(r.hooked[i].pod.ID())
			places <- struct{}{}
			defer func() { <-places }()
			fn(ctx, &r.hooked[i])
		})
	}
	wg.Wait()
}

func inParallel(n int, fn func(int)) {
	var wg sync.WaitGroup
	places := make(chan struct{}, side)
	for i := range n {
		places <- struct{}{}
		wg.Go(func() {
			defer func() { <-places }()
			fn(i)
		})
	}
	wg.Wait()
}

// thaw begins with the post hooks, once, and returns: everything is listed, or the run has failed. Then only those are run that are owed.
func (r *run) thaw(ctx context.Context, listed bool) {
	if !r.beginThaw() {
		return
	}
	end, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		time.AfterFunc(thawTime, func() { cancel(fmt.Errorf("the post hooks took longer than %s after the run was ended", thawTime)) })
	})
	go func() {
		defer close(r.thawed)
		defer cancel(nil)
		defer stop()
		r.eachThawed(end, func(ctx context.Context, h *hooked) { r.runPost(ctx, h, listed) })
		if !r.owes || end.Err() != nil {
			return
		}
		if err := r.Store.DropDebt(end, r.backup.Name, r.options.Run); err != nil {
			r.log.warn(err.Error()) // the hooks run once more, then
		}
	}()
}

func (r *run) beginThaw() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.thawed != nil || len(r.hooked) == 0 {
		return false
	}
	r.thawed = make(chan struct{})
	return true
}

func (r *run) runPost(ctx context.Context, h *hooked, listed bool) {
	if len(h.post) == 0 {
		return
	}
	if !h.begun && (len(h.pre) > 0 || !listed) {
		var skipped []report.Hook
		for _, one := range h.post {
			skipped = append(skipped, perform.Skipped(h.pod, one, "no hook was run in the pod before"))
		}
		r.keepHooks(skipped)
		return
	}
	results, _ := r.runner().Pod(ctx, h.pod, h.post)
	r.keepHooks(results)
}

// awaitThaw waits for the post hooks and returns what came of all hooks, in the order in which they were started.
func (r *run) awaitThaw() []report.Hook {
	r.mu.Lock()
	thawed := r.thawed
	r.mu.Unlock()
	if thawed != nil {
		<-thawed
	}
	slices.SortStableFunc(r.results, func(a, b report.Hook) int {
		switch {
		case a.Started == nil && b.Started == nil:
			return 0
		case a.Started == nil:
			return 1
		case b.Started == nil:
			return -1
		}
		return a.Started.Compare(*b.Started)
	})
	return r.results
}

// tellHooks makes the report of the hooks, and of the pods that are missing for them.
func (r *run) tellHooks() {
	r.report.Hooks = r.awaitThaw()
	for _, h := range r.report.Hooks {
		text := h.String()
		switch {
		case h.Outcome == report.HookFailed && h.Late:
			r.report.Warn(h.Namespace, "%s", text)
			r.log.warn(text)
		case h.Outcome == report.HookFailed:
			r.report.Err(h.Namespace, "%s", text)
			r.log.err(text)
		default:
			r.log.info(text)
		}
	}
	for ref, why := range r.refused {
		r.report.Add(report.Item{Ref: ref, Kind: podType.Kind, Version: podType.Version, Action: report.Failed, Reason: "not saved: " + why})
		r.log.err("not saved: "+why, "object", ref.String())
	}
	st := r.backup.Status.HookStatus
	st.HooksAttempted, st.HooksFailed = report.HookTotals(r.report.Hooks)
}

// unthawed waits for the post hooks of a run that has failed, and returns what went wrong with them: nobody will read a report.
func (r *run) unthawed() error {
	var errs []error
	for _, h := range r.awaitThaw() {
		if h.Stage == report.Post && h.Outcome == report.HookFailed {
			errs = append(errs, errors.New(h.String()))
		}
	}
	return errors.Join(errs...)
}
