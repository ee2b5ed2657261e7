// SPDX-License-Identifier: Apache-2.0

package apply

import (
	"context"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	velerov1 "hozon.dev/hozon/api/velero/v1"
	"hozon.dev/hozon/internal/object"
	"hozon.dev/hozon/internal/plan"
	"hozon.dev/hozon/internal/plan/rule"
	"hozon.dev/hozon/internal/report"
)

// Options say how a plan is executed.
type Options struct {
	Target Target
	Env    rule.Env
	// Modify, if set, changes objects as the user has asked for; ref is the name in the backup.
	Modify func(o *unstructured.Unstructured, ref object.Ref) error
	// Policy says what becomes of objects that exist and differ.
	Policy velerov1.PolicyType
	// Status reports whether the saved status of a kind is written, too; nil: of none.
	Status func(group, resource string) bool
	// DryRun changes nothing, and reports what would happen: by the server's own dry run, where there is something to ask it about.
	DryRun bool
	// Types are all versions that the target serves; they lead from the kind in an ownerReference to a resource.
	Types []object.Type
	// Terminating bounds the wait for a namespace that is being deleted; 0: ten minutes.
	Terminating time.Duration
	// Ready bounds the wait for what a stage ends with (established definitions, visible pods); 0: one minute.
	Ready time.Duration
	// Concurrency, if not zero, fixes the number of calls under way.
	Concurrency int
	// Provision, if set, is asked before a volume is created that does not exist, by the volume's name in the backup: it may give it other content.
	Provision func(ctx context.Context, name string, pv *unstructured.Unstructured) (*unstructured.Unstructured, error)
	// Outcome is told what came of each object, one at a time.
	Outcome func(report.Item)
	// Warn is told what is worth a warning and concerns no single object, one at a time.
	Warn func(text string)
	Now  func() time.Time
}

// Job is a step and its saved object. Entry is nil for a namespace that the backup does not hold.
type Job struct {
	Step  plan.Step
	Entry *plan.Entry
	Body  []byte
}

// maxBytes bounds the saved bytes of the jobs under way; a larger job is alone. A job holds about ten times its saved bytes: decoded, encoded,
// answered, and once more for the managedFields.
const maxBytes = 4 << 20

// Run is the execution of one plan. Its stages run one after the other.
type Run struct {
	o     Options
	limit *limiter
	bytes *semaphore.Weighted
	kinds map[string]object.Type // "group/Kind" → the type in its preferred version
	has   map[place]bool         // what the target served before the run

	mu        sync.Mutex
	links     map[string]string // saved UID → UID in the target, of what others name as owner
	late      []lateLink
	paused    []pausedObject
	spaces    map[string]bool            // namespaces that this run has made, or would make
	held      map[string]*heldSpace      // namespaces that have to go first
	scalers   map[string]map[string]bool // namespace → "Kind/name" of what autoscalers there scale
	injecting func() bool                // whether the target has webhooks of a mesh; asked once
	stands    map[string]bool            // namespaces of the backup → whether the target has them
	promised  map[string]bool            // names that a dry run has said to be made, and that others ask for
	deferred  map[int]error              // item → why it has to be tried again
	progress  int                        // objects that were made or changed
	newest    uint64                     // highest resourceVersion of what the stage made of the watched kind
	known     map[place]*siblings
	places    []place // of known, the oldest first
	lists     lists
	watched   string // group-resource that the stage's barrier watches; set between stages only
	idle      int    // rounds in which nothing got on
	final     bool   // no further round: what fails now has failed
	starting  bool   // a webhook whose Service may still be starting could not be called in this round
	pods      bool   // pods, or what makes them, were made

	definitions []string // CustomResourceDefinitions of the stage
}

// New prepares the execution of a plan.
func New(o Options) *Run {
	if o.Terminating == 0 {
		o.Terminating = 10 * time.Minute
	}
	if o.Ready == 0 {
		o.Ready = time.Minute
	}
	r := &Run{
		o: o, limit: newLimiter(o.Concurrency, o.Now), bytes: semaphore.NewWeighted(maxBytes), kinds: map[string]object.Type{},
		links: map[string]string{}, deferred: map[int]error{}, known: map[place]*siblings{}, has: map[place]bool{},
		spaces: map[string]bool{}, held: map[string]*heldSpace{}, scalers: map[string]map[string]bool{}, promised: map[string]bool{}, stands: map[string]bool{},
	}
	for _, t := range o.Types {
		r.has[place{t.GroupVersion(), t.Resource, ""}] = true
		if _, ok := r.kinds[t.Group+"/"+t.Kind]; !ok || t.Preferred {
			r.kinds[t.Group+"/"+t.Kind] = t
		}
	}
	return r
}

// served reports whether the target had the kind before the run.
func (r *Run) served(t object.Type) bool { return r.has[place{t.GroupVersion(), t.Resource, ""}] }

// Stage executes the jobs that feed hands to do, side by side, then waits for what the level asks for. Bodies must not be changed
// after they were handed over. Stage returns the error of feed, or the cause of a cancelled context.
func (r *Run) Stage(ctx context.Context, level plan.Level, feed func(do func(Job) error) error) error {
	barrier := r.barrier(ctx, level)
	defer barrier.close()
	if err := r.all(ctx, feed); err != nil {
		return err
	}
	barrier.wait(ctx)
	return context.Cause(ctx)
}

// all executes jobs and returns when every one has come to an end.
func (r *Run) all(ctx context.Context, feed func(do func(Job) error) error) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	return feed(func(j Job) error {
		weight := min(int64(len(j.Body)), maxBytes)
		if err := r.bytes.Acquire(ctx, weight); err != nil {
			return context.Cause(ctx)
		}
		if err := r.limit.acquire(ctx); err != nil {
			r.bytes.Release(weight)
			return err
		}
		wg.Go(func() {
			defer r.bytes.Release(weight)
			defer r.limit.release()
			r.do(ctx, j)
		})
		return nil
	})
}

// Deferred are the items that failed in a way that may pass when the rest is there (a webhook whose backend is not up, a
// quota, a missing service account), if the last round moved anything; else they are reported as failed, and there are none.
// The caller feeds them to Again, until there are none.
func (r *Run) Deferred() []int {
	r.mu.Lock()
	defer r.mu.Unlock()
	items := make([]int, 0, len(r.deferred))
	for i := range r.deferred {
		items = append(items, i)
	}
	return items
}

// Again tries deferred items once more, after a pause in which the target can take notice of what is new; the pauses grow as
// long as nothing gets on. After two rounds in which nothing did, the next is the last.
func (r *Run) Again(ctx context.Context, feed func(do func(Job) error) error) error {
	if !sleep(ctx, againPause<<r.idle) {
		return context.Cause(ctx)
	}
	r.mu.Lock()
	before := r.progress
	clear(r.deferred)
	r.mu.Unlock()
	if err := r.all(ctx, feed); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.idle++; r.progress != before {
		r.idle = 0
	}
	most := maxIdle
	if r.starting {
		most = maxStarts
	}
	r.final, r.starting = r.idle >= most, false
	return nil
}

// outcome reports what came of a job.
func (r *Run) outcome(j Job, action report.Action, reason, warning string) {
	item := report.Item{Ref: j.Step.Target, Action: action, Reason: reason, Warning: warning}
	if j.Entry != nil {
		item.Kind, item.Version = j.Entry.Kind, j.Entry.Version
	} else {
		item.Kind, item.Version = "Namespace", "v1"
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if action == report.Created || action == report.Updated {
		r.progress++
		r.pods = r.pods || item.Kind == "Pod" || item.Kind == "Deployment" || item.Kind == "StatefulSet"
	}
	if action == report.Created && item.Ref.Resource == "namespaces" && item.Ref.Group == "" {
		r.spaces[item.Ref.Name] = true
	}
	r.o.Outcome(item)
}

// fails reports a job as failed, or puts it off to a later round.
func (r *Run) fails(j Job, err error) {
	r.mu.Lock()
	again := !r.final && !r.o.DryRun && j.Step.Item >= 0 && passing(err)
	if again {
		r.deferred[j.Step.Item] = err
		r.starting = r.starting || r.pods && starting(err)
	}
	r.mu.Unlock()
	if !again {
		r.outcome(j, report.Failed, message(err), "")
	}
}
