// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/google/uuid"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	velerov1 "hozon.dev/hozon/api/velero/v1"
	"hozon.dev/hozon/internal/controller"
	"hozon.dev/hozon/internal/velero"
)

// keeper leads the orders of one kind from New to their end. Its reconciliations end in milliseconds: what takes long is a task.
type keeper struct {
	*controller.Site
	node    string
	desk    *desk
	metrics *metrics
	empty   func() order
	list    func() client.ObjectList
	worker
}

// worker is what differs between the kinds.
type worker interface {
	// mine says whether an order is for this node, and can be begun now.
	mine(ctx context.Context, o order) (bool, error)
	// owner says whether who ordered it still waits for it; asked about orders that an agent has not survived.
	owner(ctx context.Context, o order) (bool, error)
	// ended says whether what is worked on has gone.
	ended(ctx context.Context, o order) (bool, error)
	// tidy removes what is not needed once an order is over. It may be called again and again.
	tidy(ctx context.Context, o order) error
	// work carries an order out. What it has done before an error counts.
	work(ctx context.Context, o order, p *progress) (outcome, error)
}

// outcome is what was done.
type outcome struct {
	snapshot, path     string
	bytes, incremental int64  // bytes < 0: as the progress says
	note               string // a warning
}

// Reconcile looks at an order and hands it to the desk, or takes it away.
func (k *keeper) Reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	o := k.empty()
	of := o.kind() + "/" + req.Name
	if err := k.Client.Get(ctx, req.NamespacedName, o.object()); apierrors.IsNotFound(err) {
		k.desk.stopNamed(of, errGone)
		k.metrics.forget(req.Name)
		return reconcile.Result{}, nil
	} else if err != nil {
		return reconcile.Result{}, err
	}
	s := o.status()
	if s.phase.final() {
		return stale(errors.Join(k.tidy(ctx, o), k.release(ctx, o)))
	}
	mine, err := k.mine(ctx, o)
	if err != nil || !mine {
		return reconcile.Result{}, err
	}
	uid := o.object().GetUID()
	switch {
	case !o.object().GetDeletionTimestamp().IsZero():
		if k.desk.stop(uid, errGone) {
			return reconcile.Result{RequeueAfter: time.Second}, nil
		}
		return stale(k.release(ctx, o))
	case o.cancelled():
		return stale(k.callOff(ctx, o))
	case k.desk.has(uid):
		gone, err := k.ended(ctx, o)
		if gone {
			k.desk.stop(uid, errPodGone)
		}
		return reconcile.Result{}, err
	case s.phase.left():
		return stale(k.takeOver(ctx, o))
	}
	return stale(k.submit(ctx, o, of, velero.Attempts(o.object()) > 0))
}

// stale turns what only says that the cache is behind into a result: the event that is on its way brings the object again.
func stale(err error) (reconcile.Result, error) {
	if apierrors.IsConflict(err) || apierrors.IsNotFound(err) {
		return reconcile.Result{}, nil
	}
	return reconcile.Result{}, err
}

// release takes Velero's finalizer off: its agent put it there for the sake of its pods.
func (k *keeper) release(ctx context.Context, o order) error {
	before := o.object().DeepCopyObject().(client.Object)
	if !controllerutil.RemoveFinalizer(o.object(), velerov1.FinalizerPodVolume) {
		return nil
	}
	return k.Client.Patch(ctx, o.object(), client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{}))
}

// callOff cancels. A task that runs writes the end down itself.
func (k *keeper) callOff(ctx context.Context, o order) error {
	s := o.status()
	if k.desk.stop(o.object().GetUID(), errCancelled) {
		if s.phase == canceling {
			return nil
		}
		s.phase = canceling
	} else {
		s.phase, s.ended = canceled, k.now()
		s.message = cmp.Or(s.message, "cancelled before it began")
	}
	o.setStatus(s)
	return k.Client.Update(ctx, o.object())
}

func (k *keeper) now() *metav1.Time { return &metav1.Time{Time: k.Now()} }

// submit puts an order before the desk.
func (k *keeper) submit(ctx context.Context, o order, of string, alone bool) error {
	key := client.ObjectKeyFromObject(o.object())
	waits := k.desk.submit(&task{uid: o.object().GetUID(), of: of, alone: alone, do: func(ctx, life context.Context) { k.fly(ctx, life, key, o.object()) }})
	k.metrics.queued()
	if s := o.status(); waits && s.accepted == nil {
		k.Log.Info("waits for its turn", "object", of, "volume", place(o))
		s.phase, s.accepted, s.node = accepted, k.now(), k.node
		o.setStatus(s)
		return k.Client.Update(ctx, o.object())
	}
	return nil
}

// takeOver is for orders that an agent has begun and did not survive.
func (k *keeper) takeOver(ctx context.Context, o order) error {
	s := o.status()
	text := ""
	switch wanted, err := k.owner(ctx, o); {
	case err != nil:
		return err
	case s.phase == canceling:
		s.phase, text = canceled, "cancelled; the node agent ended before it was"
	case !wanted:
		s.phase, text = failed, "the node agent ended while it worked on it, and nobody waits for it any more"
	case velero.Attempts(o.object()) >= velero.MaxAttempts:
		s.phase, text = failed, "the node agent ended three times while it worked on it: see why with `kubectl -n "+k.Namespace+" describe pods -l name=node-agent` "+
			"(its memory limit, most often: --node-agent-pod-mem-limit)"
	}
	if text == "" {
		k.Log.Warn("begin again what an agent did not survive", "object", o.kind()+"/"+o.object().GetName(), "volume", place(o), "attempts", velero.Attempts(o.object()))
		return k.submit(ctx, o, o.kind()+"/"+o.object().GetName(), true)
	}
	s.message, s.ended = place(o)+": "+text, k.now()
	o.setStatus(s)
	return k.Client.Update(ctx, o.object())
}

// fly carries an order out, and writes down what became of it.
func (k *keeper) fly(ctx, life context.Context, key client.ObjectKey, seen client.Object) {
	k.metrics.begun()
	o, run := k.empty(), uuid.NewString()
	log := k.Log.With("object", o.kind()+"/"+key.Name)
	last, cancel := outlive(life)
	defer cancel()
	claimed, err := k.claim(last, key, o, seen, run)
	if err != nil || !claimed {
		if err != nil && !apierrors.IsNotFound(err) {
			log.Warn("could not begin", "error", err)
		}
		if context.Cause(ctx) != errCancelled {
			return
		}
	}
	begin := k.Now()
	var out outcome
	p := &progress{}
	if claimed {
		log.Info("begins", "volume", place(o))
		stop := p.tell(ctx, k, o.object())
		out, err = k.work(ctx, o, p)
		stop()
	}
	end := k.end(ctx, o, out, err, p)
	took := k.Now().Sub(begin)
	k.metrics.ended(o, end.phase, took, end.progress.BytesDone)
	log.Info("ended", "volume", place(o), "phase", string(end.phase), "message", end.message, "seconds", took.Seconds(), "bytes", end.progress.BytesDone)
	err = k.change(last, key, o, func() bool {
		if o.object().GetUID() != seen.GetUID() || o.status().phase.final() || claimed && o.object().GetAnnotations()[velerov1.AnnotationRun] != run {
			return false
		}
		if end.phase == "" { // the process ends: the next one begins again, and this attempt does not count
			velero.SetAttempts(o.object(), max(0, velero.Attempts(o.object())-1))
		} else {
			controllerutil.RemoveFinalizer(o.object(), velerov1.FinalizerPodVolume)
		}
		now := o.status()
		end.accepted, end.started, end.node = now.accepted, now.started, now.node
		o.setStatus(end)
		return true
	})
	if err != nil && !apierrors.IsNotFound(err) {
		log.Error("could not write down what became of it", "error", err)
	}
}

// lastWord is how long an end is tried to be written once the process is to end; the kubelet gives a pod half a minute to go.
const lastWord = 15 * time.Second

// outlive is a context that ends a while after another one: what was begun with the API server is brought to its end.
func outlive(life context.Context) (context.Context, context.CancelFunc) {
	last, cancel := context.WithCancel(context.WithoutCancel(life))
	stop := context.AfterFunc(life, func() { time.AfterFunc(lastWord, cancel) })
	return last, func() { stop(); cancel() }
}

// claim marks an order as begun by this run; false: somebody else has come before, or it is not wanted any more.
func (k *keeper) claim(ctx context.Context, key client.ObjectKey, o order, seen client.Object, run string) (bool, error) {
	done := false
	err := k.change(ctx, key, o, func() bool {
		s := o.status()
		done = o.object().GetUID() == seen.GetUID() && !s.phase.final() && !o.cancelled() && o.object().GetDeletionTimestamp().IsZero()
		if !done {
			return false
		}
		s.phase, s.node, s.message = inProgress, k.node, ""
		s.started = k.now()
		if s.accepted == nil {
			s.accepted = s.started
		}
		o.setStatus(s)
		velero.SetAttempts(o.object(), velero.Attempts(o.object())+1)
		velero.Annotate(o.object(), velerov1.AnnotationRun, run)
		return true
	})
	return done && err == nil, err
}

// end is the status of an order whose work is over. Without a phase: this process is over, and the work is not.
func (k *keeper) end(ctx context.Context, o order, out outcome, err error, p *progress) status {
	s := status{phase: completed, message: out.note, ended: k.now(), progress: p.now(), path: out.path, snapshot: out.snapshot, incremental: out.incremental}
	cause := context.Cause(ctx)
	switch {
	case errors.Is(cause, errCancelled):
		s.phase, s.message = canceled, "cancelled"
	case errors.Is(cause, errPodGone), errors.Is(cause, errGone):
		if err == nil || errors.Is(err, context.Canceled) {
			err = cause
		}
		s.phase, s.message = failed, place(o)+": "+err.Error()
	case err != nil && ctx.Err() != nil:
		return status{message: "the node agent was stopped; the next one begins again"}
	case err != nil:
		s.phase, s.message = failed, place(o)+": "+err.Error()
		if out.note != "" {
			s.message += "; " + out.note
		}
	default:
		s.progress = velerov1.DataMoveOperationProgress{TotalBytes: out.bytes, BytesDone: out.bytes}
	}
	s.message = short(s.message)
	return s
}

// short bounds a message: lists of columns and events are no place for more.
func short(text string) string {
	const most = 2000
	if len(text) > most {
		text = text[:most-3] + "..."
	}
	return text
}

// change reads an object anew and writes what edit makes of it, until it meets no other writer. Edit returns false if there is nothing to do.
func (k *keeper) change(ctx context.Context, key client.ObjectKey, o order, edit func() bool) error {
	wait := 50 * time.Millisecond
	for {
		err := k.Live.Get(ctx, key, o.object())
		if err == nil {
			if !edit() {
				return nil
			}
			err = k.Client.Update(ctx, o.object())
		}
		if err == nil || apierrors.IsNotFound(err) || apierrors.IsInvalid(err) || apierrors.IsForbidden(err) {
			return err
		}
		select {
		case <-ctx.Done():
			return errors.Join(err, context.Cause(ctx))
		case <-time.After(wait):
		}
		wait = min(2*wait, 2*time.Second)
	}
}

// ofPod are the orders about a pod.
func (k *keeper) ofPod(ctx context.Context, o client.Object) []reconcile.Request {
	list := k.list()
	if err := k.Client.List(ctx, list, client.InNamespace(k.Namespace)); err != nil {
		k.Log.Error("list what is to be done", "error", err)
		return nil
	}
	var found []reconcile.Request
	for _, one := range orders(list) {
		if of := one.pod(); of.Namespace == o.GetNamespace() && of.Name == o.GetName() {
			found = append(found, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(one.object())})
		}
	}
	return found
}
