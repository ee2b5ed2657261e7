// SPDX-License-Identifier: Apache-2.0

package rule

import (
	"encoding/json"
	"fmt"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"hozon.dev/hozon/internal/object"
)

// Annotations by which Velero's archives say more of a snapshot than the object does.
const handleAnnotation = "velero.io/csi-volumesnapshot-handle"

// secretKeys are the pairs of annotations, or parameters, that name a Secret which a snapshot, or its class, needs.
var secretKeys = [][2]string{
	{"csi.storage.k8s.io/snapshotter-list-secret-name", "csi.storage.k8s.io/snapshotter-list-secret-namespace"},
	{"csi.storage.k8s.io/snapshotter-secret-name", "csi.storage.k8s.io/snapshotter-secret-namespace"},
	{"snapshot.storage.kubernetes.io/deletion-secret-name", "snapshot.storage.kubernetes.io/deletion-secret-namespace"},
}

// inspectSnapshot finds what a VolumeSnapshot, its content or its class needs.
func inspectSnapshot(ref object.Ref, _ object.Head, body []byte, t *Traits) error {
	var s struct {
		Metadata struct {
			Annotations map[string]string `json:"annotations"`
		} `json:"metadata"`
		Spec struct {
			Class string `json:"volumeSnapshotClassName"`
		} `json:"spec"`
		Parameters map[string]string `json:"parameters"`
		Status     struct {
			Content string `json:"boundVolumeSnapshotContentName"`
		} `json:"status"`
	}
	if err := json.Unmarshal(body, &s); err != nil {
		return err
	}
	var needs []object.Ref
	need := func(resource, name string) {
		if name != "" {
			needs = append(needs, object.Ref{Group: ref.Group, Resource: resource, Name: name})
		}
	}
	if ref.Namespace != "" {
		need("volumesnapshotcontents", s.Status.Content)
		need("volumesnapshotclasses", s.Spec.Class)
	}
	for _, from := range []map[string]string{s.Metadata.Annotations, s.Parameters} {
		for _, key := range secretKeys {
			if from[key[0]] != "" && from[key[1]] != "" {
				needs = append(needs, object.Ref{Resource: "secrets", Namespace: from[key[1]], Name: from[key[0]]})
			}
		}
	}
	if needs != nil {
		t.More = &More{Needs: needs}
	}
	return nil
}

// transformSnapshot makes a VolumeSnapshot one of the content that it was bound to, which is restored beside it.
func transformSnapshot(o *unstructured.Unstructured, _ Env, t *Taken) error {
	status, _ := t.Status.(map[string]any)
	content, _ := status["boundVolumeSnapshotContentName"].(string)
	if content == "" {
		return nil // it was never taken: the target takes it
	}
	spec, err := child(o.Object, "spec")
	if err != nil {
		return err
	}
	spec["source"] = map[string]any{"volumeSnapshotContentName": content}
	return nil
}

// transformContent makes the content of a snapshot one that stands for the snapshot in the storage, and that does not take it along when it is deleted.
func transformContent(o *unstructured.Unstructured, env Env, t *Taken) error {
	spec := find(o.Object, "spec")
	if spec == nil {
		return fmt.Errorf("VolumeSnapshotContent without a spec")
	}
	status, _ := t.Status.(map[string]any)
	handle := o.GetAnnotations()[handleAnnotation]
	if handle == "" {
		handle, _ = status["snapshotHandle"].(string)
	}
	if handle == "" {
		handle, _ = find(spec, "source")["snapshotHandle"].(string)
	}
	if handle == "" {
		return fmt.Errorf("VolumeSnapshotContent without a snapshot handle: its snapshot was not taken")
	}
	spec["source"] = map[string]any{"snapshotHandle": handle}
	spec["deletionPolicy"] = "Retain"
	if ref := find(spec, "volumeSnapshotRef"); ref != nil {
		delete(ref, "uid")
		delete(ref, "resourceVersion")
		mapNamespace(ref, env, "namespace")
	}
	return nil
}

// inspectUpload leaves DataUploads out: they are the work of a data mover of the source.
func inspectUpload(_ object.Ref, _ object.Head, _ []byte, t *Traits) error {
	t.Skip = "it is the work of a data mover, whose data this version does not restore"
	return nil
}
