// SPDX-License-Identifier: Apache-2.0

// Package fill has volumes filled with saved files by the agents of the nodes.
//
//	claims ──► mover: a pod that mounts them and waits ──► PodVolumeRestores ──► mover gone
//	a pod with volumes of its own, and an init container that waits ──► PodVolumeRestores
//
// Its nouns: a Filler is a server's way to its agents; a mover is a pod that exists so that claims are bound, and mounted on a node.
//
// Invariants:
//   - no claim is filled through a pod of somebody else's: nothing waits for a pod that its controller may replace;
//   - a mover may run wherever pods may that its claims were made for, needs no rights and no network, and is removed whatever happens; what a server leaves that is
//     killed is removed by Sweep;
//   - what goes wrong with one volume, or one pod, is told of it alone.
//
// It writes no files (the node agent does), and does not decide which volumes are filled.
package fill

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
	"hozon.dev/hozon/internal/object"
	"hozon.dev/hozon/internal/velero"
	"hozon.dev/hozon/internal/volume/order"
)

// Filler has volumes filled. Its fields are set before the first use and not changed.
type Filler struct {
	order.Desk[velerov1.PodVolumeRestore]
	// Start bounds the wait for a pod to run with its volumes mounted; 0: ten minutes.
	Start time.Duration
	// Again says that a run before has ordered volumes of the restore. What came to an end then is not filled once more: somebody may be using it.
	Again bool
}

// defaultStart is how long a pod may take to start; movedTime is how long a mover may take to go.
const (
	defaultStart = 10 * time.Minute
	movedTime    = time.Minute
)

// Done is told of each volume, one at a time: the PodVolumeRestore as it ended, nil if there was none, and why the volume is not filled.
type Done = func(i int, made *velerov1.PodVolumeRestore, err error)

// LabelMover marks pods that exist only so that volumes are mounted: node agents fill them.
const LabelMover = "hozon.dev/mover"

var podType = object.Type{Version: "v1", Resource: "pods", Kind: "Pod", Namespaced: true}

func all(wanted []*velerov1.PodVolumeRestore, done Done, err error) {
	for i := range wanted {
		done(i, nil, err)
	}
}

// Claims has claims of one namespace filled, through a mover that may run where pods like this one may. Of each, the annotation velero.io/pvc-name has the claim, and
// spec.volume a name that is its own. It returns when done was told of all, and the mover is gone.
func (f *Filler) Claims(ctx context.Context, like corev1.PodSpec, wanted []*velerov1.PodVolumeRestore, done Done) {
	if f.Again {
		var err error
		if wanted, done, err = f.unfilled(ctx, wanted, done); err != nil {
			all(wanted, done, err)
			return
		}
	}
	if len(wanted) == 0 {
		return
	}
	agents, err := order.FindAgents(ctx, f.Server)
	if err == nil {
		err = agents.Any()
	}
	if err != nil {
		all(wanted, done, err)
		return
	}
	made := mover(agents.Image, like, wanted)
	f.settle(ctx, agents.Config, made)
	body, err := json.Marshal(made)
	if err != nil {
		all(wanted, done, err)
		return
	}
	namespace := wanted[0].Spec.Pod.Namespace
	body, err = f.Server.Cluster.Create(ctx, podType, namespace, body, cluster.WriteOptions{FieldManager: "hozon"})
	if err != nil {
		all(wanted, done, fmt.Errorf("make the pod that mounts the claims: %w", err))
		return
	}
	var pod corev1.Pod
	if err := json.Unmarshal(body, &pod); err != nil {
		all(wanted, done, err)
		return
	}
	defer f.remove(context.WithoutCancel(ctx), &pod)
	f.through(ctx, &pod, moverRuns, wanted, func(i int, made *velerov1.PodVolumeRestore, err error) {
		if errors.Is(err, errGone) {
			err = fmt.Errorf("somebody deleted pod %s/%s, through which it was being filled: delete the claim, and restore again", namespace, pod.Name)
		}
		done(i, made, err)
	})
}

// unfilled tells of the claims of which a run before has seen the end, and returns the others.
func (f *Filler) unfilled(ctx context.Context, wanted []*velerov1.PodVolumeRestore, done Done) ([]*velerov1.PodVolumeRestore, Done, error) {
	orders, err := velero.VolumeRestores.List(ctx, f.Server, velerov1.LabelRestoreUID+"="+wanted[0].Labels[velerov1.LabelRestoreUID])
	if err != nil {
		return wanted, done, err
	}
	ended := map[string]*velerov1.PodVolumeRestore{}
	for _, o := range orders {
		switch s := o.Status; {
		case s.Phase == velerov1.PodVolumeRestorePhaseCompleted, s.Phase == velerov1.PodVolumeRestorePhaseFailed && s.Message != errAbandoned.Error():
			ended[claimOf(o)] = o
		}
	}
	var left []*velerov1.PodVolumeRestore
	var places []int
	for i, w := range wanted {
		switch o := ended[claimOf(w)]; {
		case o == nil:
			left, places = append(left, w), append(places, i)
		case o.Status.Phase == velerov1.PodVolumeRestorePhaseCompleted:
			done(i, o, nil)
		default:
			done(i, o, errors.New(o.Status.Message))
		}
	}
	return left, func(i int, made *velerov1.PodVolumeRestore, err error) { done(places[i], made, err) }, nil
}

// claimOf names the claim that a volume is, and what it is filled with.
func claimOf(o *velerov1.PodVolumeRestore) string {
	return o.Spec.Pod.Namespace + "/" + o.Annotations[velerov1.AnnotationPVCName] + "/" + o.Spec.SnapshotID
}

// Pod has volumes filled of a pod that has the init container of Wait. It returns when done was told of all.
func (f *Filler) Pod(ctx context.Context, namespace, name string, wanted []*velerov1.PodVolumeRestore, done Done) {
	body, err := f.Server.Cluster.Get(ctx, podType, namespace, name)
	var pod corev1.Pod
	if err == nil {
		err = json.Unmarshal(body, &pod)
	}
	if err != nil {
		all(wanted, done, err)
		return
	}
	f.through(ctx, &pod, waitRuns, wanted, done)
}

// Wait makes the init containers that hold pods until their volumes are filled. An error says that nobody can fill any volume.
func (f *Filler) Wait(ctx context.Context) (func(restoreUID string, spec *corev1.PodSpec, volumes []string) corev1.Container, error) {
	agents, err := order.FindAgents(ctx, f.Server)
	if err == nil {
		err = agents.Any()
	}
	if err != nil {
		return nil, err
	}
	set, err := f.waitSettings(ctx)
	if err != nil {
		return nil, err
	}
	return func(restoreUID string, spec *corev1.PodSpec, volumes []string) corev1.Container {
		c := wait(agents.Image, restoreUID, spec, volumes)
		set.apply(&c)
		return c
	}, nil
}

// errGone is why volumes of a pod are not filled that is not there any more.
var errGone = errors.New("the pod was deleted before its volumes were filled; if a controller made another one in its place, that has empty volumes")

// errFilled says that a pod has not waited in vain.
var errFilled = errors.New("its volumes were filled before")

// through has volumes filled that a pod has mounted, as soon as runs says that it has.
func (f *Filler) through(ctx context.Context, pod *corev1.Pod, runs func(*corev1.Pod) (bool, string), wanted []*velerov1.PodVolumeRestore, done Done) {
	live, err := f.awaitPod(ctx, pod, runs)
	if errors.Is(err, errFilled) {
		all(wanted, done, nil)
		return
	}
	if err != nil {
		all(wanted, done, err)
		return
	}
	agents, err := order.FindAgents(ctx, f.Server)
	if err == nil {
		err = agents.Check(live.Spec.NodeName)
	}
	if err != nil {
		all(wanted, done, err)
		return
	}
	var given []order.Order[velerov1.PodVolumeRestore]
	var places []int
	for i, w := range wanted {
		made, err := f.create(ctx, live, w)
		if err != nil {
			done(i, nil, err)
			continue
		}
		given, places = append(given, order.Order[velerov1.PodVolumeRestore]{Object: made, Node: live.Spec.NodeName}), append(places, i)
	}
	bound, gone := context.WithCancelCause(ctx)
	defer gone(nil)
	go f.watchPod(bound, live, gone)
	f.Await(bound, velerov1.LabelPodUID+"="+string(live.UID), given, func(i int, made *velerov1.PodVolumeRestore, err error) { done(places[i], made, err) })
}

// create orders one volume of a pod.
func (f *Filler) create(ctx context.Context, pod *corev1.Pod, wanted *velerov1.PodVolumeRestore) (*velerov1.PodVolumeRestore, error) {
	o := wanted.DeepCopy()
	o.TypeMeta = velero.VolumeRestores.TypeMeta()
	o.Namespace, o.Name = f.Server.Namespace, order.Name(o.GenerateName)
	o.Spec.Pod = corev1.ObjectReference{Kind: "Pod", Namespace: pod.Namespace, Name: pod.Name, UID: pod.UID}
	o.Labels[velerov1.LabelPodUID] = string(pod.UID)
	return f.Create(ctx, o)
}

// Sweep ends what nobody waits for any more of a restore: PodVolumeRestores that are under way, and movers in all namespaces.
func (f *Filler) Sweep(ctx context.Context, restoreUID string) error {
	selector := velerov1.LabelRestoreUID + "=" + restoreUID
	orders, err := velero.VolumeRestores.List(ctx, f.Server, selector)
	if err != nil {
		return err
	}
	given := make([]order.Order[velerov1.PodVolumeRestore], len(orders))
	for i, o := range orders {
		given[i] = order.Order[velerov1.PodVolumeRestore]{Object: o, Node: o.Status.Node}
	}
	f.Stop(ctx, selector, given, errAbandoned)
	return f.sweepMovers(ctx, restoreUID)
}

var errAbandoned = errors.New("the run that it belonged to has come to nothing")

func (f *Filler) sweepMovers(ctx context.Context, restoreUID string) error {
	selector := LabelMover + "=true," + velerov1.LabelRestoreUID + "=" + restoreUID
	body, err := f.Server.Cluster.List(ctx, podType, cluster.ListOptions{LabelSelector: selector})
	if err != nil {
		return fmt.Errorf("look for the pods that mounted claims of the restore: %w", err)
	}
	defer body.Close()
	var left []corev1.Pod
	_, err = object.Split(body, nil, func(item []byte) error {
		var p corev1.Pod
		if err := json.Unmarshal(item, &p); err != nil {
			return err
		}
		left = append(left, p)
		return nil
	})
	for i := range left {
		f.remove(ctx, &left[i])
	}
	return err
}

// remove removes a mover, and waits until its volumes are free.
func (f *Filler) remove(ctx context.Context, pod *corev1.Pod) {
	ctx, cancel := context.WithTimeout(ctx, movedTime)
	defer cancel()
	err := f.Server.Cluster.Delete(ctx, podType, pod.Namespace, pod.Name, cluster.DeleteOptions{UID: string(pod.UID), GracePeriod: new(int64(1))})
	if err == nil {
		_, err = f.followPod(ctx, pod, func(*corev1.Pod) (bool, error) { return false, nil })
	}
	if err != nil && !errors.Is(err, errGone) && !fail.Is(err, fail.NotFound) {
		f.Log.Warn("a pod that mounted claims is still there", "object", pod.Namespace+"/"+pod.Name, "error", err)
	}
}
