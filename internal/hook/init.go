// SPDX-License-Identifier: Apache-2.0

package hook

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	velerov1 "hozon.dev/hozon/api/velero/v1"
)

// Init are the containers that a restore puts in front of a pod's own init containers.
type Init struct {
	From       string
	Containers []corev1.Container
	Problem    string // why they cannot be made; then there are none
}

// waitContainer is Velero's init container that holds a pod until its volumes are restored. It stays in front.
const waitContainer = "restore-wait"

// Init are the containers that hooks add to a pod.
func (s *Sets) Init(p Pod) []Init {
	if i, ok := initAnnotation(p); ok {
		return []Init{i}
	}
	var out []Init
	s.in(p, func(one set) {
		if len(one.init) > 0 {
			out = append(out, Init{From: one.name, Containers: one.init})
		}
	})
	return out
}

// initAnnotation reads a pod's annotations. A container that has no name gets one that is the same at each restore, so that restoring
// twice finds the pod as it was left.
func initAnnotation(p Pod) (Init, bool) {
	a := annotated{of: p.Annotations}
	if a.of[velerov1.HookInitCommand] == "" && a.of[velerov1.HookInitImage] == "" {
		return Init{}, false
	}
	out := Init{From: FromAnnotation}
	sum := sha256.Sum256([]byte(p.ID()))
	c := corev1.Container{
		Name:  cmp.Or(a.of[velerov1.HookInitName], "velero-restore-init-"+hex.EncodeToString(sum[:])[:5]),
		Image: a.of[velerov1.HookInitImage],
	}
	a.duration(velerov1.HookInitTimeout)
	if a.of[velerov1.HookInitCommand] != "" {
		c.Command = a.command(velerov1.HookInitCommand)
	}
	if c.Image == "" {
		a.wrong(velerov1.HookInitImage, "", "the image that the command runs in")
	}
	if out.Problem = a.problem; out.Problem == "" {
		out.Containers = []corev1.Container{c}
	}
	return out, true
}

// Insert puts containers in front of a pod's own init containers, but behind the one that waits for its volumes. Those that are there
// under their names already are left out.
func Insert(own, more []corev1.Container) []corev1.Container {
	at := 0
	if len(own) > 0 && own[0].Name == waitContainer {
		at = 1
	}
	var fresh []corev1.Container
	for _, c := range more {
		if !slices.ContainsFunc(own, func(o corev1.Container) bool { return o.Name == c.Name }) {
			fresh = append(fresh, filled(c))
		}
	}
	return slices.Insert(slices.Clone(own), at, fresh...)
}

// filled is a container as the API server will have it: a pod that was made with it equals the one that a later restore wants.
func filled(c corev1.Container) corev1.Container {
	c.TerminationMessagePath = cmp.Or(c.TerminationMessagePath, corev1.TerminationMessagePathDefault)
	c.TerminationMessagePolicy = cmp.Or(c.TerminationMessagePolicy, corev1.TerminationMessageReadFile)
	if c.ImagePullPolicy == "" {
		name := c.Image[strings.LastIndexByte(c.Image, '/')+1:]
		c.ImagePullPolicy = corev1.PullIfNotPresent
		if tag := strings.IndexAny(name, ":@"); tag < 0 || name[tag:] == ":latest" {
			c.ImagePullPolicy = corev1.PullAlways
		}
	}
	return c
}
