// SPDX-License-Identifier: Apache-2.0

package rule

import (
	"encoding/json"
	"hash/fnv"

	"hozon.dev/hozon/internal/object"
)

// inspectWorkload notes the pod template, by which one sees whether saved pods still belong to a live controller.
func inspectWorkload(_ object.Ref, _ object.Head, body []byte, t *Traits) error {
	hash, err := TemplateHash(body)
	if err == nil && hash != 0 {
		t.More = &More{Template: hash}
	}
	return err
}

// TemplateHash is a hash of spec.template, whatever the order of its fields; 0 if there is none.
func TemplateHash(body []byte) (uint64, error) {
	var o struct {
		Spec struct {
			Template any `json:"template"`
		} `json:"spec"`
	}
	if err := json.Unmarshal(body, &o); err != nil || o.Spec.Template == nil {
		return 0, err
	}
	sorted, err := json.Marshal(o.Spec.Template)
	if err != nil {
		return 0, err
	}
	h := fnv.New64a()
	h.Write(sorted)
	return h.Sum64(), nil
}
