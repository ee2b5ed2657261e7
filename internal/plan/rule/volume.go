// SPDX-License-Identifier: Apache-2.0

package rule

import (
	"encoding/json"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	velerov1 "hozon.dev/hozon/api/velero/v1"
	"hozon.dev/hozon/internal/object"
)

func inspectVolume(_ object.Ref, _ object.Head, body []byte, t *Traits) error {
	var pv struct {
		Spec struct {
			ReclaimPolicy string `json:"persistentVolumeReclaimPolicy"`
			ClaimRef      *struct {
				Namespace string `json:"namespace"`
				Name      string `json:"name"`
			} `json:"claimRef"`
		} `json:"spec"`
	}
	if err := json.Unmarshal(body, &pv); err != nil {
		return err
	}
	v := &Volume{Retain: pv.Spec.ReclaimPolicy != "Delete"}
	if c := pv.Spec.ClaimRef; c != nil {
		v.ClaimNamespace, v.ClaimName = c.Namespace, c.Name
	}
	t.More = &More{Volume: v}
	return nil
}

func inspectClaim(_ object.Ref, _ object.Head, body []byte, t *Traits) error {
	var pvc struct {
		Spec struct {
			VolumeName string `json:"volumeName"`
		} `json:"spec"`
	}
	if err := json.Unmarshal(body, &pvc); err != nil {
		return err
	}
	if name := pvc.Spec.VolumeName; name != "" {
		t.More = &More{Needs: []object.Ref{{Resource: "persistentvolumes", Name: name}}}
	}
	return nil
}

// transformVolume keeps which claim the volume is meant for, and forgets which one it was bound to: it becomes
// a volume that an administrator made for that claim.
func transformVolume(o *unstructured.Unstructured, env Env, _ *Taken) error {
	if ref := find(o.Object, "spec", "claimRef"); ref != nil {
		delete(ref, "uid")
		delete(ref, "resourceVersion")
		mapNamespace(ref, env, "namespace")
	}
	dropAnnotations(o, "pv.kubernetes.io/bound-by-controller", "pv.kubernetes.io/provisioned-by")
	if to, ok := env.Volumes[o.GetName()]; ok {
		annotations, err := child(o.Object, "metadata", "annotations")
		if err != nil {
			return err
		}
		annotations[velerov1.AnnotationOriginalPVName] = o.GetName()
		o.SetName(to)
	}
	return nil
}

// transformClaim forgets how the claim was bound.
func transformClaim(o *unstructured.Unstructured, env Env, _ *Taken) error {
	dropAnnotations(o,
		"pv.kubernetes.io/bind-completed", "pv.kubernetes.io/bound-by-controller",
		"volume.beta.kubernetes.io/storage-provisioner", "volume.kubernetes.io/storage-provisioner",
		"volume.kubernetes.io/selected-node", "velero.io/volume-snapshot-name", "velero.io/data-upload-name")
	spec := find(o.Object, "spec")
	filled(spec)
	if env.Reprovision {
		delete(spec, "volumeName")
	}
	if name, _ := spec["volumeName"].(string); env.Volumes[name] != "" {
		spec["volumeName"] = env.Volumes[name]
	}
	return nil
}

// filled forgets where the bytes of a bound claim came from, and by what its volume was found, as Velero does when it saves it: both are over, and the target may not have the source. Who
// asks for no class has chosen the volume by the selector, which stays, but for marks of earlier restores.
func filled(spec map[string]any) {
	if name, _ := spec["volumeName"].(string); name == "" {
		return
	}
	delete(spec, "dataSource")
	delete(spec, "dataSourceRef")
	if class, chosen := spec["storageClassName"].(string); !chosen || class != "" {
		delete(spec, "selector")
		return
	}
	match := find(spec, "selector", "matchLabels")
	for key := range match {
		if strings.HasPrefix(key, "velero.io/") {
			delete(match, key)
		}
	}
	if selector := find(spec, "selector"); selector != nil && len(match) == 0 {
		delete(selector, "matchLabels")
		if len(selector) == 0 {
			delete(spec, "selector")
		}
	}
}
