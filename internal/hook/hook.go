// SPDX-License-Identifier: Apache-2.0

// Package hook decides which commands run in which pods around a backup, and in restored pods.
//
// Nouns: a Hook is one command for one container of one pod; a Pod is what counts of a pod; Sets are the hooks of a Backup's or a
// Restore's spec, ready to be asked; an Init is what a restore puts in front of a pod's containers.
//
// The rules are Velero's: the annotations of a pod replace what the spec has for the same stage, a hook without a container runs in the first
// one, a command that begins with "[" is a JSON list and any other text one program. One thing is stricter: a hook that cannot be run as it
// is written (a timeout that is no duration, a container that the pod does not have) has a Problem, and is not run in some other way.
//
// It runs nothing (package perform), and knows no cluster.
package hook

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	velerov1 "hozon.dev/hozon/api/velero/v1"
	"hozon.dev/hozon/internal/fail"
	"hozon.dev/hozon/internal/report"
)

// DefaultTimeout bounds a hook that names no timeout.
const DefaultTimeout = 30 * time.Second

// Hook is one command for one container of one pod.
type Hook struct {
	Stage     report.HookStage
	From      string // "annotation", or the name of the set in the spec
	Container string
	Command   []string
	OnError   velerov1.HookErrorMode
	Timeout   time.Duration // of the command, above zero
	// Problem says why the hook cannot be run; it then has failed.
	Problem string

	// Of hooks in restored pods only:
	Wait  time.Duration // for the container to run; 0: as long as the caller waits
	Ready bool          // wait until it is ready, not only running
}

// Pod is what counts of a pod.
type Pod struct {
	Namespace   string            `json:"namespace"`
	Name        string            `json:"name"`
	UID         string            `json:"uid"`
	Labels      map[string]string `json:"-"`
	Annotations map[string]string `json:"-"`
	Phase       corev1.PodPhase   `json:"-"`
	Containers  []string          `json:"-"` // those that run with it; init containers do not
}

// Read takes what counts out of a pod's JSON. A body that is no pod is fail.Corrupt.
func Read(body []byte) (Pod, error) {
	var p corev1.Pod
	if err := json.Unmarshal(body, &p); err != nil {
		return Pod{}, fail.Errorf(fail.Corrupt, "decode a pod: %w", err)
	}
	out := Pod{Namespace: p.Namespace, Name: p.Name, UID: string(p.UID), Labels: p.Labels, Annotations: p.Annotations, Phase: p.Status.Phase}
	for _, c := range p.Spec.Containers {
		out.Containers = append(out.Containers, c.Name)
	}
	for _, c := range p.Spec.InitContainers {
		if c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways {
			out.Containers = append(out.Containers, c.Name)
		}
	}
	return out, nil
}

// Finished says that no command can run in the pod any more.
func (p Pod) Finished() bool { return p.Phase == corev1.PodSucceeded || p.Phase == corev1.PodFailed }

// ID is "namespace/name".
func (p Pod) ID() string { return p.Namespace + "/" + p.Name }

// FromAnnotation is the From of hooks that a pod's annotations define.
const FromAnnotation = "annotation"

// fit completes a hook for a pod, and checks it against it.
func (h Hook) fit(p Pod) Hook {
	if h.Timeout == 0 {
		h.Timeout = DefaultTimeout
	}
	if h.Container == "" && len(p.Containers) > 0 {
		h.Container = p.Containers[0]
	}
	if h.Problem == "" && !slices.Contains(p.Containers, h.Container) {
		h.Problem = fmt.Sprintf("pod %s has no container %q: it has %s", p.ID(), h.Container, strings.Join(p.Containers, ", "))
	}
	return h
}
