// SPDX-License-Identifier: Apache-2.0

package restore

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"hozon.dev/hozon/internal/object"
	"hozon.dev/hozon/internal/report"
)

// waits makes a pod wait for its volumes, if it has any that are to be filled. A pod that was saved while it waited for another restore does not wait for that one.
func (r *run) waits(target object.Ref, body []byte) []byte {
	f := &r.files
	if !isPod(target) || body == nil {
		return body
	}
	s := f.savers[r.source(target)]
	wanted := s != nil && s.seen && len(s.own()) > 0
	if !wanted && !bytes.Contains(body, []byte(`"restore-wait"`)) && !bytes.Contains(body, []byte(`"restic-wait"`)) {
		return body
	}
	var containers []corev1.Container
	if wanted && f.wait != nil {
		var names []string
		for _, v := range s.own() {
			names = append(names, v.Spec.Volume)
		}
		slices.Sort(names)
		containers = append(containers, f.wait(string(r.restore.UID), &s.spec, names))
	}
	out, err := replaceWait(body, containers)
	if err != nil {
		return body // what is wrong with the pod is said when it is to be made
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(containers) > 0 {
		f.waiting[target] = s
	} else if wanted && !s.told {
		s.told = true
		for _, v := range s.own() {
			f.notes = append(f.notes, report.Note{Namespace: target.Namespace, Text: fmt.Sprintf("volume %s of pod %s stays empty: %v", v.Spec.Volume, target.ID(), f.none)})
		}
	}
	return out
}

// waitNames are the init containers that hold pods until their volumes are filled, Velero's first ones too.
var waitNames = []string{"restore-wait", "restic-wait"}

// replaceWait puts containers in front of a pod's init containers, and takes those out that waited for other restores.
func replaceWait(body []byte, containers []corev1.Container) ([]byte, error) {
	var pod, spec map[string]json.RawMessage
	if err := json.Unmarshal(body, &pod); err != nil {
		return nil, err
	}
	if err := json.Unmarshal(pod["spec"], &spec); err != nil {
		return nil, err
	}
	var old []json.RawMessage
	if own := spec["initContainers"]; len(own) > 0 {
		if err := json.Unmarshal(own, &old); err != nil {
			return nil, err
		}
	}
	var all []json.RawMessage
	for _, c := range containers {
		text, err := json.Marshal(c)
		if err != nil {
			return nil, err
		}
		all = append(all, text)
	}
	for _, c := range old {
		var named struct{ Name string }
		if json.Unmarshal(c, &named) == nil && slices.Contains(waitNames, named.Name) {
			continue
		}
		all = append(all, c)
	}
	delete(spec, "initContainers")
	var err error
	if len(all) > 0 {
		if spec["initContainers"], err = json.Marshal(all); err != nil {
			return nil, err
		}
	}
	if pod["spec"], err = json.Marshal(spec); err != nil {
		return nil, err
	}
	return json.Marshal(pod)
}
