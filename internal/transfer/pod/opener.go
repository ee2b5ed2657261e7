// SPDX-License-Identifier: Apache-2.0

package pod

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"hozon.dev/hozon/internal/cluster"
	"hozon.dev/hozon/internal/fail"
	"hozon.dev/hozon/internal/object"
)

var (
	pods       = object.Type{Version: "v1", Resource: "pods", Kind: "Pod", Namespaced: true}
	claims     = object.Type{Version: "v1", Resource: "persistentvolumeclaims", Kind: "PersistentVolumeClaim", Namespaced: true}
	namespaces = object.Type{Version: "v1", Resource: "namespaces", Kind: "Namespace"}
)

// Ways in which a helper gets into a pod.
const (
	Auto      = "auto"      // Ephemeral if an image is named and the cluster allows it, else Copy
	Ephemeral = "container" // an ephemeral container of the image
	Copy      = "copy"      // this program, copied in by means of the container's shell
)

// Program is where an image has Hozon.
const Program = "/hozon"

// Opener opens places.
type Opener struct {
	Client *cluster.Client
	Image  string // of helpers; it has Program
	How    string // Auto, Ephemeral or Copy
	Self   string // this program's path, for Copy
	Say    func(format string, args ...any)
}

// A Session is a helper, ready to be run as often as need be.
type Session struct {
	opener    *Opener
	namespace string
	pod       string
	container string
	command   []string
	path      string
	end       func(context.Context) error
}

// Path is the place's path as the helper knows it.
func (s *Session) Path() string { return s.path }

// Close takes away what Open made.
func (s *Session) Close(ctx context.Context) error {
	if s.end == nil {
		return nil
	}
	return s.end(ctx)
}

// Open gets a helper to the place. With write, mounts that are read-only are of no use.
func (o *Opener) Open(ctx context.Context, p Place, write bool) (*Session, error) {
	pod, err := get[corev1.Pod](ctx, o.Client, pods, p.Namespace, p.Name)
	if err == nil {
		return o.openPod(ctx, pod, p)
	}
	if !fail.Is(err, fail.NotFound) {
		return nil, err
	}
	if p.Container != "" {
		return nil, o.notFound(ctx, p)
	}
	if _, err := get[corev1.PersistentVolumeClaim](ctx, o.Client, claims, p.Namespace, p.Name); err != nil {
		if fail.Is(err, fail.NotFound) {
			return nil, o.notFound(ctx, p)
		}
		return nil, err
	}
	return o.openClaim(ctx, p, write)
}

// notFound says what there is instead.
func (o *Opener) notFound(ctx context.Context, p Place) error {
	if _, err := get[corev1.Namespace](ctx, o.Client, namespaces, "", p.Namespace); fail.Is(err, fail.NotFound) {
		return fail.Errorf(fail.NotFound, "there is no namespace %s", p.Namespace)
	}
	have, err := list[corev1.Pod](ctx, o.Client, pods, p.Namespace)
	if err != nil {
		return err
	}
	var names []string
	for _, pod := range have {
		names = append(names, pod.Name)
	}
	return fail.Errorf(fail.NotFound, "namespace %s has no pod and no claim %s; its pods: %s", p.Namespace, p.Name, few(names))
}

func few(names []string) string {
	const most = 10
	switch {
	case len(names) == 0:
		return "none"
	case len(names) > most:
		return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
	}
	return strings.Join(names, ", ")
}

func (o *Opener) openPod(ctx context.Context, pod corev1.Pod, p Place) (*Session, error) {
	if pod.Status.Phase != corev1.PodRunning || pod.DeletionTimestamp != nil {
		phase := string(pod.Status.Phase)
		if pod.DeletionTimestamp != nil {
			phase = "being deleted"
		}
		return nil, fail.Errorf(fail.Busy, "pod %s/%s is %s: files are copied from pods that run; if they are on a claim, name the claim instead of the pod",
			pod.Namespace, pod.Name, phase)
	}
	container, id, err := target(pod, p.Container)
	if err != nil {
		return nil, err
	}
	s := &Session{opener: o, namespace: pod.Namespace, pod: pod.Name, path: p.Path}
	if o.How == Copy || o.How == Auto && o.Image == "" {
		return s, o.copyIn(ctx, s, container)
	}
	err = o.beside(ctx, s, pod, container, id)
	if err == nil || o.How != Auto {
		return s, err
	}
	o.Say("No ephemeral container (%v); trying to copy the helper in.", err)
	if e := o.copyIn(ctx, s, container); e != nil {
		return nil, errors.Join(err, e)
	}
	return s, nil
}

// target returns the name of the container that is meant, and its id.
func target(pod corev1.Pod, want string) (name, id string, err error) {
	var names []string
	for _, c := range pod.Spec.Containers {
		names = append(names, c.Name)
	}
	if want == "" {
		want = pod.Annotations["kubectl.kubernetes.io/default-container"]
	}
	if want == "" && len(names) > 0 {
		want = names[0]
	}
	if !slices.Contains(names, want) {
		return "", "", fail.Errorf(fail.NotFound, "pod %s/%s has no container %s; it has %s", pod.Namespace, pod.Name, want, few(names))
	}
	for _, s := range pod.Status.ContainerStatuses {
		if s.Name == want && s.State.Running != nil {
			_, id, _ = strings.Cut(s.ContainerID, "://")
			return want, id, nil
		}
	}
	return "", "", fail.Errorf(fail.Busy, "container %s of pod %s/%s does not run", want, pod.Namespace, pod.Name)
}

// copyIn puts this program into a container that has a shell.
func (o *Opener) copyIn(ctx context.Context, s *Session, container string) error {
	s.container = container
	path, err := o.upload(ctx, s)
	if err != nil {
		return fmt.Errorf("copy the helper into pod %s/%s: %w", s.namespace, s.pod, err)
	}
	s.command = []string{path, "volume", "helper", "serve"}
	s.end = func(ctx context.Context) error {
		return s.exec(ctx, []string{"rm", "-f", path}, nil, io.Discard)
	}
	return nil
}

func get[T any](ctx context.Context, c *cluster.Client, t object.Type, namespace, name string) (T, error) {
	var v T
	body, err := c.Get(ctx, t, namespace, name)
	if err != nil {
		return v, err
	}
	return v, decode(body, &v, t, name)
}

func decode(body []byte, v any, t object.Type, name string) error {
	if err := json.Unmarshal(body, v); err != nil {
		return fmt.Errorf("read %s %s: %w", t.Resource, name, err)
	}
	return nil
}

func list[T any](ctx context.Context, c *cluster.Client, t object.Type, namespace string) ([]T, error) {
	body, err := c.List(ctx, t, cluster.ListOptions{Namespace: namespace})
	if err != nil {
		return nil, err
	}
	defer body.Close()
	var l struct{ Items []T }
	if err := json.NewDecoder(body).Decode(&l); err != nil {
		return nil, fmt.Errorf("list %s: %w", t.Resource, err)
	}
	return l.Items, nil
}

func create(ctx context.Context, c *cluster.Client, t object.Type, o metav1.Object) error {
	body, err := json.Marshal(o)
	if err != nil {
		return err
	}
	_, err = c.Create(ctx, t, o.GetNamespace(), body, cluster.WriteOptions{FieldManager: "hozon"})
	return err
}

// newName is a name that is not taken.
func newName() string { return "hozon-" + strings.ToLower(rand.Text()[:8]) }

// startTimeout bounds the start of a container, with the pull of its image.
const startTimeout = 3 * time.Minute

// poll asks every half second until f says that it is so.
func poll(ctx context.Context, what string, f func() (bool, error)) error {
	ctx, cancel := context.WithTimeoutCause(ctx, startTimeout, fail.Errorf(fail.Transient, "%s does not start within %s", what, startTimeout))
	defer cancel()
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		done, err := f()
		if done || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}
	}
}
