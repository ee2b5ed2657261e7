// SPDX-License-Identifier: Apache-2.0

package rule

import (
	"encoding/json"
	"hash/fnv"

	"hozon.dev/hozon/internal/object"
)

// inspectWorkload notes the pod template, by which one sees whether saved pods still belong to a live controller, and the selector, by which one
// sees whether they ever can.
func inspectWorkload(_ object.Ref, _ object.Head, body []byte, t *Traits) error {
	template, selector, err := Workload(body)
	if err == nil && template != 0 {
		t.More = &More{Template: template, Selector: selector}
	}
	return err
}

// Workload hashes spec.template and spec.selector, whatever the order of their fields; 0 if there is none.
func Workload(body []byte) (template, selector uint64, err error) {
	var o struct {
		Spec struct {
			Template any `json:"template"`
			Selector any `json:"selector"`
		} `json:"spec"`
	}
	if err = json.Unmarshal(body, &o); err != nil || o.Spec.Template == nil {
		return 0, 0, err
	}
	if template, err = hash(o.Spec.Template); err != nil {
		return 0, 0, err
	}
	selector, err = hash(o.Spec.Selector)
	return template, selector, err
}

func hash(v any) (uint64, error) {
	sorted, err := json.Marshal(v)
	if err != nil {
		return 0, err
	}
	h := fnv.New64a()
	h.Write(sorted)
	return h.Sum64(), nil
}
