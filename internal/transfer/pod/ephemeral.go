// SPDX-License-Identifier: Apache-2.0

package pod

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"hozon.dev/hozon/internal/cluster"
	"hozon.dev/hozon/internal/fail"
)

// beside makes sure that an ephemeral container of ours runs beside a container.
func (o *Opener) beside(ctx context.Context, s *Session, pod corev1.Pod, container, id string) error {
	if o.Image == "" {
		return fail.Errorf(fail.Invalid, "an ephemeral container needs an image with Hozon: name it with --helper-image")
	}
	s.container = o.running(pod, container)
	if s.container == "" {
		var err error
		if s.container, err = o.add(ctx, pod, container); err != nil {
			return fmt.Errorf("add an ephemeral container to pod %s/%s: %w", pod.Namespace, pod.Name, err)
		}
	}
	s.command = []string{Program, "volume", "helper", "serve", "--container-id=" + id}
	return nil
}

// running returns the name of an ephemeral container of ours from before.
func (o *Opener) running(pod corev1.Pod, container string) string {
	for _, e := range pod.Spec.EphemeralContainers {
		if e.TargetContainerName != container || e.Image != o.Image || !strings.HasPrefix(e.Name, "hozon-") {
			continue
		}
		i := slices.IndexFunc(pod.Status.EphemeralContainerStatuses, func(s corev1.ContainerStatus) bool { return s.Name == e.Name })
		if i >= 0 && pod.Status.EphemeralContainerStatuses[i].State.Running != nil {
			return e.Name
		}
	}
	return ""
}

func (o *Opener) add(ctx context.Context, pod corev1.Pod, container string) (string, error) {
	name := newName()
	// Root with the right to look at other users' processes sees all files. Where the namespace forbids it, the application's own user
	// sees those of the application.
	err := o.patch(ctx, pod, name, container, rooted())
	if fail.Is(err, fail.Denied) && strings.Contains(err.Error(), "PodSecurity") {
		err = o.patch(ctx, pod, name, container, restricted(pod, container))
	}
	if err != nil {
		return "", err
	}
	return name, poll(ctx, "the ephemeral container "+name, func() (bool, error) {
		now, err := get[corev1.Pod](ctx, o.Client, pods, pod.Namespace, pod.Name)
		if err != nil {
			return false, err
		}
		return started(now.Status.EphemeralContainerStatuses, name)
	})
}

// started reports whether a container runs, or why it never will.
func started(statuses []corev1.ContainerStatus, name string) (bool, error) {
	for _, s := range statuses {
		switch {
		case s.Name != name:
		case s.State.Running != nil:
			return true, nil
		case s.State.Terminated != nil:
			t := s.State.Terminated
			return false, fail.Errorf(fail.Invalid, "it ended with code %d: %s %s; does the image have %s?", t.ExitCode, t.Reason, t.Message, Program)
		case s.State.Waiting != nil && slices.Contains(hopeless, s.State.Waiting.Reason):
			return false, fail.Errorf(fail.NotFound, "image %s: %s %s; name another one with --helper-image", s.Image, s.State.Waiting.Reason, s.State.Waiting.Message)
		}
	}
	return false, nil
}

var hopeless = []string{"ErrImagePull", "ImagePullBackOff", "ErrImageNeverPull", "InvalidImageName", "CreateContainerError", "CreateContainerConfigError", "RunContainerError"}

func (o *Opener) patch(ctx context.Context, pod corev1.Pod, name, container string, security *corev1.SecurityContext) error {
	ephemeral := corev1.EphemeralContainer{
		EphemeralContainerCommon: corev1.EphemeralContainerCommon{
			Name: name, Image: o.Image, ImagePullPolicy: corev1.PullIfNotPresent,
			Command: []string{Program, "volume", "helper", "wait"}, SecurityContext: security,
		},
		TargetContainerName: container,
	}
	body, err := json.Marshal(map[string]any{"spec": map[string]any{"ephemeralContainers": []corev1.EphemeralContainer{ephemeral}}})
	if err != nil {
		return err
	}
	_, err = o.Client.Patch(ctx, pods, pod.Namespace, pod.Name, types.StrategicMergePatchType, body,
		cluster.WriteOptions{Subresource: "ephemeralcontainers", FieldManager: "hozon"})
	return err
}

func rooted() *corev1.SecurityContext {
	root, no := int64(0), false
	return &corev1.SecurityContext{
		RunAsUser: &root, RunAsGroup: &root, RunAsNonRoot: &no,
		Capabilities: &corev1.Capabilities{Add: []corev1.Capability{"SYS_PTRACE"}},
	}
}

// restricted is what the strictest Pod Security level allows.
func restricted(pod corev1.Pod, container string) *corev1.SecurityContext {
	yes, no := true, false
	s := &corev1.SecurityContext{
		RunAsNonRoot: &yes, AllowPrivilegeEscalation: &no,
		Capabilities:   &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
		SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
	}
	if p := pod.Spec.SecurityContext; p != nil {
		s.RunAsUser, s.RunAsGroup = p.RunAsUser, p.RunAsGroup
	}
	for _, c := range pod.Spec.Containers {
		if c.Name == container && c.SecurityContext != nil {
			if c.SecurityContext.RunAsUser != nil {
				s.RunAsUser = c.SecurityContext.RunAsUser
			}
			if c.SecurityContext.RunAsGroup != nil {
				s.RunAsGroup = c.SecurityContext.RunAsGroup
			}
		}
	}
	return s
}
