// SPDX-License-Identifier: Apache-2.0

package plan_test

import (
	"fmt"
	"runtime"
	"testing"

	"github.com/google/go-cmp/cmp"

	"hozon.dev/hozon/internal/object"
	"hozon.dev/hozon/internal/plan"
	"hozon.dev/hozon/internal/plan/rule"
)

// TestEntries: what is packed comes out as it went in, also where UIDs are no UUIDs.
func TestEntries(t *testing.T) {
	uids := []string{
		"", "0b9e8c4e-3a55-4c8b-9d0e-0123456789ab", "0B9E8C4E-3A55-4C8B-9D0E-0123456789AB", "00000000-0000-0000-0000-000000000000",
		"ffffffff-ffff-ffff-0000-000000000000", "0b9e8c4e-3a55-4c8b-9d0e-0123456789a", "0b9e8c4e-3a55-4c8b-9d0e-0123456789ag", "x",
	}
	var want []plan.Entry
	for i, uid := range uids {
		for k := range 400 {
			e := plan.Entry{
				Ref:     object.Ref{Group: "apps", Resource: "deployments", Namespace: fmt.Sprintf("ns-%d", k%7), Name: fmt.Sprintf("name-%d-%d", i, k)},
				Version: "v1", Kind: "Deployment", Preferred: k%2 == 0, Matched: k%3 == 0, Traits: rule.Traits{UID: uid},
			}
			for o := range k % 3 {
				e.Traits.Owners = append(e.Traits.Owners, rule.Owner{Group: "g", Kind: fmt.Sprintf("K%d", o), Name: "o", UID: uids[(i+o)%len(uids)], Controller: o == 0})
			}
			if k%5 == 0 {
				e.Traits.Skip = fmt.Sprintf("because %d", k%2)
			}
			if k%11 == 0 {
				e.Traits.More = &rule.More{Needs: []object.Ref{{Resource: "persistentvolumeclaims", Namespace: e.Ref.Namespace, Name: "c"}}, Template: uint64(k)}
			}
			if k%13 == 0 {
				e.Ref = object.Ref{Resource: "nodes", Name: e.Ref.Name}
			}
			want = append(want, e)
		}
	}
	var packed plan.Entries
	for _, e := range want {
		packed.Add(e)
	}
	if packed.Len() != len(want) {
		t.Fatalf("%d entries, want %d", packed.Len(), len(want))
	}
	for i := range want {
		if d := cmp.Diff(want[i], packed.At(i)); d != "" {
			t.Fatalf("entry %d (-want +got):\n%s", i, d)
		}
	}
	kinds := 0
	for range packed.Kinds() {
		kinds++
	}
	if kinds != 2 {
		t.Errorf("%d kinds, want 2", kinds)
	}
}

// TestEntriesMemory holds the promise of the package comment of restore: 120 bytes and the name.
func TestEntriesMemory(t *testing.T) {
	const n = 100_000
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	var packed plan.Entries
	for i := range n {
		e := plan.Entry{
			Ref:     object.Ref{Resource: "pods", Namespace: fmt.Sprintf("ns-%d", i/1000), Name: fmt.Sprintf("some-application-%06d", i)},
			Version: "v1", Kind: "Pod", Preferred: true, Matched: true, Traits: rule.Traits{UID: fmt.Sprintf("0b9e8c4e-3a55-4c8b-9d0e-%012x", i)},
		}
		e.Traits.Owners = []rule.Owner{{Group: "apps", Kind: "ReplicaSet", Name: "some-application", UID: e.Traits.UID, Controller: true}}
		packed.Add(e)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if got := int64(after.HeapAlloc-before.HeapAlloc) / n; got > 120+24+16 {
		t.Errorf("an entry with an owner takes %d bytes", got)
	} else {
		t.Logf("an entry with an owner takes %d bytes", got)
	}
	runtime.KeepAlive(&packed)
}
