// SPDX-License-Identifier: Apache-2.0

package manifest

// ClassMap gives storage classes another name; "" leaves the class to the cluster's default.
type ClassMap map[string]string

const oldClass = "volume.beta.kubernetes.io/storage-class" // the annotation that was the field once

// MapClasses renames the storage classes of claims, of templates of claims, and of volumes.
func (m ClassMap) MapClasses(o map[string]any) {
	if len(m) == 0 {
		return
	}
	claimSpecs(o, func(_ string, spec map[string]any) { m.rename(spec, "storageClassName") })
	if spec, _ := podSpec(o); spec != nil {
		for _, v := range maps(spec, "volumes") {
			m.rename(mapAt(v, "ephemeral.volumeClaimTemplate.spec"), "storageClassName")
		}
	}
	switch kindOf(o) {
	case "PersistentVolume":
		m.rename(mapAt(o, "spec"), "storageClassName")
	case "PersistentVolumeClaim":
		m.rename(mapAt(o, "metadata.annotations"), oldClass)
	}
}

func (m ClassMap) rename(in map[string]any, key string) {
	name, _ := in[key].(string)
	to, ok := m[name]
	switch {
	case !ok || name == "":
	case to == "":
		delete(in, key)
	default:
		in[key] = to
	}
}
