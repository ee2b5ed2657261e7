// SPDX-License-Identifier: Apache-2.0

package rule

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"hozon.dev/hozon/internal/object"
)

func inspectPod(ref object.Ref, head object.Head, body []byte, t *Traits) error {
	var pod struct {
		Spec struct {
			PriorityClassName string `json:"priorityClassName"`
			Volumes           []struct {
				PersistentVolumeClaim *struct {
					ClaimName string `json:"claimName"`
				} `json:"persistentVolumeClaim"`
			} `json:"volumes"`
		} `json:"spec"`
		Status struct {
			Phase string `json:"phase"`
		} `json:"status"`
	}
	if err := json.Unmarshal(body, &pod); err != nil {
		return err
	}
	if _, ok := head.Annotation("kubernetes.io/config.mirror"); ok {
		t.Skip = "mirror pod: its kubelet makes it from a file"
	}
	if phase := pod.Status.Phase; phase == "Succeeded" || phase == "Failed" {
		t.Skip = "the pod has ended (" + phase + ")"
	}
	var needs []object.Ref
	if class := pod.Spec.PriorityClassName; class != "" {
		needs = append(needs, object.Ref{Group: "scheduling.k8s.io", Resource: "priorityclasses", Name: class})
	}
	for _, v := range pod.Spec.Volumes {
		if c := v.PersistentVolumeClaim; c != nil {
			needs = append(needs, object.Ref{Resource: "persistentvolumeclaims", Namespace: ref.Namespace, Name: c.ClaimName})
		}
	}
	if needs != nil {
		t.More = &More{Needs: needs}
	}
	return nil
}

// transformPod frees a pod from the node it ran on and from the token volume of old clusters.
func transformPod(o *unstructured.Unstructured, _ Env, t *Taken) error {
	spec := find(o.Object, "spec")
	if spec == nil {
		return fmt.Errorf("pod without a spec")
	}
	delete(spec, "nodeName")
	delete(spec, "priority") // computed from the priority class as the target has it
	if spec["ephemeralContainers"] != nil {
		delete(spec, "ephemeralContainers")
		t.Warnings = append(t.Warnings, "its ephemeral containers are left out: the API server does not take them on creation")
	}
	account, _ := spec["serviceAccountName"].(string)
	if account == "" {
		account = "default"
	}
	dropTokenVolumes(spec, account+"-token-")
	return nil
}

// dropTokenVolumes removes the volumes made from a service account's generated token secret, which the restore leaves out.
func dropTokenVolumes(spec map[string]any, prefix string) {
	token := func(m any) bool {
		e, _ := m.(map[string]any)
		name, _ := e["name"].(string)
		return strings.HasPrefix(name, prefix)
	}
	drop := func(m map[string]any, key string) {
		if list, ok := m[key].([]any); ok {
			m[key] = slices.DeleteFunc(list, token)
		}
	}
	drop(spec, "volumes")
	for _, key := range []string{"containers", "initContainers"} {
		for _, c := range maps(spec, key) {
			drop(c, "volumeMounts")
		}
	}
}
