// SPDX-License-Identifier: Apache-2.0

package relate

import "hozon.dev/hozon/internal/object"

type binding struct {
	Subjects []struct {
		Kind      string `json:"kind"`
		Namespace string `json:"namespace"`
		Name      string `json:"name"`
	} `json:"subjects"`
	RoleRef struct {
		Kind string `json:"kind"`
		Name string `json:"name"`
	} `json:"roleRef"`
}

func readBinding(ref object.Ref, body []byte) (binding, error) {
	var b binding
	return b, decode("clusterrolebinding "+ref.ID(), body, &b)
}

// needsOfBinding: the ClusterRole that it grants.
func needsOfBinding(ref object.Ref, body []byte, emit func(object.Ref)) error {
	b, err := readBinding(ref, body)
	if err != nil {
		return err
	}
	if b.RoleRef.Kind == "ClusterRole" && b.RoleRef.Name != "" {
		emit(roles.named("", b.RoleRef.Name))
	}
	return nil
}

// names says whether the binding names one of the accounts. Groups that hold them do not count.
func (b binding) names(accounts map[account]struct{}) bool {
	for _, s := range b.Subjects {
		if s.Kind != "ServiceAccount" {
			continue
		}
		if _, ok := accounts[account{s.Namespace, s.Name}]; ok {
			return true
		}
	}
	return false
}
