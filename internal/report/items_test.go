// SPDX-License-Identifier: Apache-2.0

package report_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"runtime"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"hozon.dev/hozon/internal/object"
	"hozon.dev/hozon/internal/report"
)

func many(n int) []report.Item {
	var items []report.Item
	for i := range n {
		it := report.Item{
			Ref:  object.Ref{Group: "apps", Resource: "deployments", Namespace: fmt.Sprintf("ns-%d", i/100), Name: fmt.Sprintf("some-application-%06d", i)},
			Kind: "Deployment", Version: "v1", Action: report.Created,
		}
		switch i % 50 {
		case 3:
			it.Action, it.Reason = report.Failed, fmt.Sprintf("no \"%d\"\n", i)
		case 4:
			it.Warning = "look at it"
		case 5:
			it.Ref, it.Kind, it.Version = object.Ref{Resource: "nodes", Name: ""}, "", ""
		}
		items = append(items, it)
	}
	return items
}

// TestItems: what goes in comes out, in order, also from JSON.
func TestItems(t *testing.T) {
	for _, n := range []int{0, 1, 5000} {
		want := many(n)
		list := report.ItemsOf(want...)
		if d := cmp.Diff(want, slices.Collect(list.All())); d != "" || list.Len() != n {
			t.Fatalf("%d items, -want +got:\n%s", list.Len(), d)
		}
		for range list.All() {
			break // a caller may stop
		}
		text, err := json.Marshal(list)
		if err != nil {
			t.Fatal(err)
		}
		var again report.Items
		if err := json.Unmarshal(text, &again); err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want, slices.Collect(again.All())); d != "" {
			t.Fatalf("from JSON, -want +got:\n%s", d)
		}
	}
}

func TestItemsMemory(t *testing.T) {
	const n = 100_000
	var before, after runtime.MemStats
	items := many(n)
	runtime.GC()
	runtime.ReadMemStats(&before)
	var list report.Items
	for _, i := range items {
		list.Add(i)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if got := int64(after.HeapAlloc) - int64(before.HeapAlloc); got > 20*n {
		t.Errorf("an item takes %d bytes", got/n)
	} else {
		t.Logf("an item takes %d bytes", got/n)
	}
	runtime.KeepAlive(&list)
	runtime.KeepAlive(items)
}

// A report that is written item by item has the same bytes as one that is written at once.
func TestWrite(t *testing.T) {
	items := report.ItemsOf(many(60)...)
	tests := map[string]report.Report{
		"empty":      {},
		"items":      {Items: items},
		"no items":   {Warnings: []report.Note{{Text: "w"}}, Counts: map[report.Action]int{report.Created: 1}},
		"everything": {Items: items, Errors: []report.Note{{Cluster: true, Text: "e"}}, Counts: map[report.Action]int{report.Created: 1}},
	}
	for name, rep := range tests {
		t.Run(name, func(t *testing.T) {
			for _, indent := range []string{"", "  "} {
				var want, got bytes.Buffer
				enc := json.NewEncoder(&want)
				enc.SetIndent("", indent)
				if err := enc.Encode(&rep); err != nil {
					t.Fatal(err)
				}
				if err := rep.Write(&got, indent != ""); err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(want.String(), got.String()); diff != "" {
					t.Errorf("-at once +item by item:\n%s", diff)
				}
			}
		})
	}
}
