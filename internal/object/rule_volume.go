// SPDX-License-Identifier: Apache-2.0

package object

const boundBy = "pv.kubernetes.io/bound-by-controller"

var volumeRules = []Rule{
	{ID: "claim-volume", Kinds: "PersistentVolumeClaim", Field: "spec.volumeName, if a controller bound one side (" + boundBy + ")", Why: "the volume is provisioned anew",
		apply: func(a, b map[string]any) {
			if hasKey(a, "metadata.annotations", boundBy) || hasKey(b, "metadata.annotations", boundBy) {
				drops("spec.volumeName")(a, b)
			}
		}},
	{ID: "claim-binding", Kinds: "PersistentVolumeClaim", Field: "annotations of binding and provisioning: pv.kubernetes.io/bind-completed, bound-by-controller, volume.kubernetes.io/storage-provisioner (also beta), selected-node, storage-resizer; velero.io/volume-snapshot-name, data-upload-name",
		Why: "set by controllers, the last two by Velero", apply: dropsKeys("metadata.annotations", "pv.kubernetes.io/bind-completed", boundBy,
			"volume.beta.kubernetes.io/storage-provisioner", "volume.kubernetes.io/storage-provisioner", "volume.kubernetes.io/selected-node",
			"volume.kubernetes.io/storage-resizer", "velero.io/volume-snapshot-name", "velero.io/data-upload-name")},
	{ID: "volume-claim", Kinds: "PersistentVolume", Field: "spec.claimRef.uid, spec.claimRef.resourceVersion", Why: "of the claim at the time",
		apply: drops("spec.claimRef.uid", "spec.claimRef.resourceVersion")},
	{ID: "volume-binding", Kinds: "PersistentVolume", Field: "annotations " + boundBy + ", pv.kubernetes.io/provisioned-by", Why: "set by controllers",
		apply: dropsKeys("metadata.annotations", boundBy, "pv.kubernetes.io/provisioned-by")},
}
