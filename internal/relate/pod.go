// SPDX-License-Identifier: Apache-2.0

package relate

import (
	"strings"

	"hozon.dev/hozon/internal/object"
)

type pod struct {
	Spec struct {
		PriorityClassName string      `json:"priorityClassName"`
		Volumes           []podVolume `json:"volumes"`
	} `json:"spec"`
	Status struct {
		Phase string `json:"phase"`
	} `json:"status"`
}

type podVolume struct {
	Name  string `json:"name"`
	Claim *struct {
		ClaimName string `json:"claimName"`
	} `json:"persistentVolumeClaim"`
	Ephemeral *struct{} `json:"ephemeral"`
}

// needsOfPod: the claims in spec.volumes, the claims <pod>-<volume> that ephemeral volumes get, and
// the PriorityClass.
func needsOfPod(ref object.Ref, body []byte, emit func(object.Ref)) error {
	var p pod
	if err := decode("pod "+ref.ID(), body, &p); err != nil {
		return err
	}
	for _, claim := range p.claims(ref) {
		emit(claim)
	}
	if name := p.Spec.PriorityClassName; name != "" {
		emit(priorities.named("", name))
	}
	return nil
}

// claims are those that the pod mounts.
func (p pod) claims(ref object.Ref) []object.Ref {
	var out []object.Ref
	for _, v := range p.Spec.Volumes {
		switch {
		case v.Claim != nil && v.Claim.ClaimName != "":
			out = append(out, claims.named(strings.Clone(ref.Namespace), v.Claim.ClaimName))
		case v.Ephemeral != nil:
			out = append(out, claims.named(strings.Clone(ref.Namespace), ref.Name+"-"+v.Name))
		}
	}
	return out
}
