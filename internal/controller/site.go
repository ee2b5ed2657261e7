// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"log/slog"
	"time"

	"github.com/google/uuid"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	velerov1 "hozon.dev/hozon/api/velero/v1"
	"hozon.dev/hozon/internal/velero"
)

// Site is what every controller works with. Its fields are set before the first use and not changed.
type Site struct {
	Client    client.Client // reads from the cache, writes to the API server
	Live      client.Reader // reads from the API server
	Events    events.EventRecorder
	Now       func() time.Time
	Log       *slog.Logger
	Namespace string
}

// tell records an event about an object: type Normal or Warning, a reason of one word, what was done, and a text.
func (s *Site) tell(about client.Object, kind, reason, action, text string) {
	const most = 1024 // the API server's limit on notes
	if len(text) > most {
		text = text[:most-3] + "..."
	}
	s.Events.Eventf(about, nil, kind, reason, action, "%s", text)
}

func (s *Site) normal(about client.Object, reason, action, text string) {
	s.tell(about, corev1.EventTypeNormal, reason, action, text)
}

func (s *Site) warning(about client.Object, reason, action, text string) {
	s.tell(about, corev1.EventTypeWarning, reason, action, text)
}

func (s *Site) key(name string) client.ObjectKey {
	return client.ObjectKey{Namespace: s.Namespace, Name: name}
}

// change reads an object anew and writes what edit makes of it, again and again until it meets no other writer. Edit returns false if there
// is nothing to do, now that it sees the object. While the API server does not answer, it tries on until ctx ends.
func (s *Site) change(ctx context.Context, o client.Object, edit func() bool) error {
	key := client.ObjectKeyFromObject(o)
	wait := 100 * time.Millisecond
	for {
		err := s.Live.Get(ctx, key, o)
		if err == nil {
			if !edit() {
				return nil
			}
			err = s.Client.Update(ctx, o)
		}
		if err == nil || final(err) {
			return err
		}
		if !apierrors.IsConflict(err) {
			s.Log.Warn("write again later", "object", key.String(), "error", err)
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(wait):
		}
		wait = min(2*wait, 5*time.Second)
	}
}

// rest waits a while after an end that the API server refused: the object is still there, and will be taken up again at once.
func (s *Site) rest(ctx context.Context, err error) {
	if err == nil || apierrors.IsNotFound(err) {
		return
	}
	select {
	case <-ctx.Done():
	case <-time.After(soon):
	}
}

// final says that the API server has refused for good.
func final(err error) bool {
	return apierrors.IsNotFound(err) || apierrors.IsInvalid(err) || apierrors.IsForbidden(err) || apierrors.IsRequestEntityTooLargeError(err)
}

// stale turns what only says that the cache is behind into a result: the event that is on its way brings the object again.
func stale(err error) (reconcile.Result, error) {
	if apierrors.IsConflict(err) || apierrors.IsNotFound(err) || apierrors.IsAlreadyExists(err) {
		return reconcile.Result{}, nil
	}
	return reconcile.Result{}, err
}

func after(d time.Duration) reconcile.Result {
	return reconcile.Result{RequeueAfter: max(d, time.Millisecond)}
}

// annotate sets an annotation.
func label(o client.Object, key, value string) {
	m := o.GetLabels()
	if m == nil {
		m = map[string]string{}
	}
	m[key] = value
	o.SetLabels(m)
}

// nextRun marks the object as carried out by a new run, and returns its id.
func nextRun(o client.Object) string {
	id := uuid.NewString()
	velero.Annotate(o, velerov1.AnnotationRun, id)
	velero.SetAttempts(o, velero.Attempts(o)+1)
	return id
}

func run(o client.Object) string { return o.GetAnnotations()[velerov1.AnnotationRun] }

func cancelled(o client.Object) bool { return o.GetAnnotations()[velerov1.AnnotationCancel] == "true" }
