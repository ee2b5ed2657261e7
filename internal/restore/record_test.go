// SPDX-License-Identifier: Apache-2.0

package restore

import (
	"bytes"
	"encoding/json"
	"io"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/gzip"

	"hozon.dev/hozon/internal/object"
	"hozon.dev/hozon/internal/report"
)

// A report that is written item by item has the same bytes as one that is written at once.
func TestWriteReport(t *testing.T) {
	item := report.Item{Ref: object.Ref{Resource: "pods", Namespace: "a", Name: "<b>"}, Kind: "Pod", Version: "v1", Action: report.Created}
	failed := report.Item{Ref: object.Ref{Group: "apps", Resource: "deployments"}, Action: report.Failed, Reason: "\"no\"\n"}
	tests := map[string]report.Report{
		"empty":      {},
		"items":      {Items: []report.Item{item}},
		"no items":   {Warnings: []report.Note{{Text: "w"}}, Counts: map[report.Action]int{report.Created: 1}},
		"everything": {Items: []report.Item{item, failed}, Errors: []report.Note{{Cluster: true, Text: "e"}}, Counts: map[report.Action]int{report.Created: 1}},
	}
	for name, rep := range tests {
		t.Run(name, func(t *testing.T) {
			var want, packed bytes.Buffer
			if err := json.NewEncoder(&want).Encode(&rep); err != nil {
				t.Fatal(err)
			}
			if err := writeReport(&packed, &rep); err != nil {
				t.Fatal(err)
			}
			gz, err := gzip.NewReader(&packed)
			if err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(gz)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want.String(), string(got)); diff != "" {
				t.Errorf("-at once +item by item:\n%s", diff)
			}
		})
	}
}
