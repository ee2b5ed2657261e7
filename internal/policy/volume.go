// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"encoding/json"
	"slices"

	"k8s.io/apimachinery/pkg/api/resource"

	"hozon.dev/hozon/internal/fail"
)

// Volume is what conditions ask of a volume.
type Volume struct {
	Type         string // "csi", "nfs", …: the field of its source
	Capacity     *resource.Quantity
	StorageClass string
	NFS          *NFS
	CSI          *CSI
	Claim        Claim // zero if nobody has claimed it
}

// NFS is where an NFS volume is.
type NFS struct {
	Server string `json:"server"`
	Path   string `json:"path"`
}

// CSI is the driver of a volume.
type CSI struct {
	Driver           string            `json:"driver"`
	VolumeAttributes map[string]string `json:"volumeAttributes"`
}

// Claim is what counts of a PersistentVolumeClaim.
type Claim struct {
	Labels      map[string]string
	Phase       string
	VolumeMode  string
	AccessModes []string
}

// volumeTypes are the fields of a volume's source, in Velero's order.
var volumeTypes = []string{
	"awsElasticBlockStore", "azureDisk", "azureFile", "cinder", "cephfs", "configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "fc", "flocker",
	"flexVolume", "gitRepo", "glusterfs", "gcePersistentDisk", "hostPath", "iscsi", "local", "nfs", "photonPersistentDisk", "portworxVolume", "projected",
	"quobyte", "rbd", "scaleIO", "secret", "storageOS", "vsphereVolume",
}

// ReadVolume takes what counts out of the JSON of a PersistentVolume. A body that is none is fail.Corrupt.
func ReadVolume(body []byte) (Volume, error) {
	var pv struct {
		Spec map[string]json.RawMessage `json:"spec"`
	}
	var v Volume
	if err := json.Unmarshal(body, &pv); err != nil {
		return v, fail.Errorf(fail.Corrupt, "decode a PersistentVolume: %w", err)
	}
	for _, t := range volumeTypes {
		if _, ok := pv.Spec[t]; ok {
			v.Type = t
			break
		}
	}
	capacity := map[string]resource.Quantity{}
	for key, to := range map[string]any{"storageClassName": &v.StorageClass, "nfs": &v.NFS, "csi": &v.CSI, "capacity": &capacity} {
		if raw, ok := pv.Spec[key]; ok {
			if err := json.Unmarshal(raw, to); err != nil {
				return v, fail.Errorf(fail.Corrupt, "decode spec.%s of a PersistentVolume: %w", key, err)
			}
		}
	}
	if q, ok := capacity["storage"]; ok {
		v.Capacity = &q
	}
	return v, nil
}

// ReadClaim takes what counts out of the JSON of a PersistentVolumeClaim. A body that is none is fail.Corrupt.
func ReadClaim(body []byte) (Claim, error) {
	var pvc struct {
		Metadata struct {
			Labels map[string]string `json:"labels"`
		} `json:"metadata"`
		Spec struct {
			VolumeMode  string   `json:"volumeMode"`
			AccessModes []string `json:"accessModes"`
		} `json:"spec"`
		Status struct {
			Phase string `json:"phase"`
		} `json:"status"`
	}
	if err := json.Unmarshal(body, &pvc); err != nil {
		return Claim{}, fail.Errorf(fail.Corrupt, "decode a PersistentVolumeClaim: %w", err)
	}
	return Claim{Labels: pvc.Metadata.Labels, Phase: pvc.Status.Phase, VolumeMode: pvc.Spec.VolumeMode, AccessModes: pvc.Spec.AccessModes}, nil
}

func oneOf(values []string, of func(Volume) string) condition {
	return func(v Volume) bool { return slices.Contains(values, of(v)) }
}

func subset(want, have map[string]string) bool {
	for k, v := range want {
		if got, ok := have[k]; !ok || got != v {
			return false
		}
	}
	return true
}

func sameSet(a, b []string) bool {
	sorted := func(s []string) []string { return slices.Compact(slices.Sorted(slices.Values(s))) }
	return slices.Equal(sorted(a), sorted(b))
}
