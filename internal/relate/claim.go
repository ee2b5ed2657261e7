// SPDX-License-Identifier: Apache-2.0

package relate

import "hozon.dev/hozon/internal/object"

type claim struct {
	Spec struct {
		VolumeName string `json:"volumeName"`
	} `json:"spec"`
}

// needsOfClaim: the volume, once there is one.
func needsOfClaim(ref object.Ref, body []byte, emit func(object.Ref)) error {
	var c claim
	if err := decode("claim "+ref.ID(), body, &c); err != nil {
		return err
	}
	if c.Spec.VolumeName != "" {
		emit(volumes.named("", c.Spec.VolumeName))
	}
	return nil
}
