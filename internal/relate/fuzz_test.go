// SPDX-License-Identifier: Apache-2.0

package relate

import (
	"testing"

	"hozon.dev/hozon/internal/fail"
	"hozon.dev/hozon/internal/object"
)

// FuzzNeeds reads any bytes as an object of each kind whose needs are known, also by way of a Set.
func FuzzNeeds(f *testing.F) {
	f.Add([]byte(`{"metadata":{"name":"a","namespace":"n"},"spec":{"priorityClassName":"p","volumes":[{"name":"v","persistentVolumeClaim":{"claimName":"c"}},{"name":"e","ephemeral":{}}]},"status":{"phase":"Running"}}`))
	f.Add([]byte(`{"metadata":{"name":"a","namespace":"n","labels":{"group":"g"}},"spec":{"volumeName":"pv"}}`))
	f.Add([]byte(`{"metadata":{"name":"a"},"roleRef":{"kind":"ClusterRole","name":"r"},"subjects":[{"kind":"ServiceAccount","name":"s","namespace":"n"}]}`))
	f.Add([]byte(`{"spec":{"claimRef":{"name":"c","namespace":"n"}}}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		head, err := object.Scan(body)
		if err != nil {
			return
		}
		set := Set{GroupLabel: "group"}
		for _, k := range []kind{pods, claims, volumes, serviceAccounts, bindings, definitions} {
			ref := k.named(head.Namespace, head.Name)
			err := Needs(ref, head, body, func(need object.Ref) {
				if need.Resource == "" || need.Name == "" {
					t.Errorf("%s needs %+v", ref, need)
				}
			})
			for _, err := range []error{err, set.Pass(ref, head, body), set.Add(ref, head, body)} {
				if err != nil && !fail.Is(err, fail.Corrupt) {
					t.Errorf("%s: %v is %v", ref, err, fail.Of(err))
				}
			}
			if _, err := set.Needed(ref, head, body); err != nil && !fail.Is(err, fail.Corrupt) {
				t.Errorf("%s: %v is %v", ref, err, fail.Of(err))
			}
		}
		set.Late()
	})
}
