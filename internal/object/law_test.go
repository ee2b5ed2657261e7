// SPDX-License-Identifier: Apache-2.0

package object

import (
	"encoding/json"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// randomObjects makes two states of one object: that of some rule's case with random changes, of all rules.
func randomObjects(t *testing.T, r *rand.Rand) (a, b *unstructured.Unstructured) {
	t.Helper()
	ids := slices.Sorted(maps.Keys(ruleCases))
	pick := func() struct{ object, ignored, real, at string } {
		cases := ruleCases[ids[r.IntN(len(ids))]]
		return cases[r.IntN(len(cases))]
	}
	base := parse(t, pick().object)
	change := func(u *unstructured.Unstructured) *unstructured.Unstructured {
		for range r.IntN(4) {
			c := pick()
			u = with(t, u, []string{c.ignored, c.real, c.ignored}[r.IntN(3)])
		}
		return u
	}
	base = change(base)
	if r.IntN(2) == 0 {
		extra, err := json.Marshal(map[string]any{"spec": map[string]any{"random": randomValue(r, 3)}})
		if err != nil {
			t.Fatal(err)
		}
		base = with(t, base, string(extra))
	}
	return base, change(base)
}

// stripped is what every server sets, taken away.
const stripped = `{"metadata":{"uid":null,"resourceVersion":null,"generation":null,"creationTimestamp":null,"deletionTimestamp":null,"deletionGracePeriodSeconds":null,
	"selfLink":null,"generateName":null,"managedFields":null,"labels":{"velero.io/backup-name":null,"velero.io/restore-name":null}},"status":null}`

func TestSameLaws(t *testing.T) {
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 0))
	equal := 0
	for range 3000 {
		a, b := randomObjects(t, r)
		before := a.DeepCopy()
		if ok, found := Same(a, a.DeepCopy(), SameOptions{}); !ok {
			t.Fatalf("seed %d: an object differs from itself: %v in %v", seed, found, a)
		}
		ok, found := Same(a, b, SameOptions{Max: 1000})
		back, mirrored := Same(b, a, SameOptions{Max: 1000})
		for i, d := range mirrored {
			mirrored[i].A, mirrored[i].B = d.B, d.A
		}
		if diff := cmp.Diff(found, mirrored); ok != back || diff != "" {
			t.Fatalf("seed %d: not symmetric: %s", seed, diff)
		}
		if ok != (len(found) == 0) {
			t.Fatalf("seed %d: %v with %v", seed, ok, found)
		}
		if ok {
			equal++
		}
		if ok, found := Same(a, with(t, a, stripped), SameOptions{}); !ok {
			t.Fatalf("seed %d: stripping server fields counts: %v in %v", seed, found, a)
		}
		if diff := cmp.Diff(before.Object, a.Object); diff != "" {
			t.Fatalf("seed %d: Same changed its argument: %s", seed, diff)
		}
	}
	if equal == 0 || equal == 3000 {
		t.Errorf("seed %d: %d of 3000 pairs are the same: the law is not tested", seed, equal)
	}
}
