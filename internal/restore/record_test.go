// SPDX-License-Identifier: Apache-2.0

package restore

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"hozon.dev/hozon/internal/object"
	"hozon.dev/hozon/internal/report"
)

func TestWriteResourceList(t *testing.T) {
	pod := report.Item{Ref: object.Ref{Resource: "pods", Namespace: "a", Name: "<b>"}, Kind: "Pod", Version: "v1", Action: report.Created}
	other := pod
	other.Ref.Name, other.Action = "a", report.Unchanged
	failed := report.Item{Ref: object.Ref{Group: "apps", Resource: "deployments", Namespace: "a-b", Name: "d"}, Kind: "Deployment", Version: "v1", Action: report.Failed}
	unread := report.Item{Ref: object.Ref{Resource: "pods", Namespace: "a", Name: "x"}, Action: report.Failed}
	tests := map[string]struct {
		items report.Items
		want  map[string][]string
	}{
		"empty": {report.Items{}, map[string][]string{}},
		"items": {report.ItemsOf(pod, failed, unread, other), map[string][]string{
			"v1/Pod": {"a/<b>(created)", "a/a(skipped)"}, "apps/v1/Deployment": {"a-b/d(failed)"},
		}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var want, got bytes.Buffer
			if err := json.NewEncoder(&want).Encode(tt.want); err != nil {
				t.Fatal(err)
			}
			if err := writeResourceList(&got, &report.Report{Items: tt.items}); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want.String(), got.String()); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}
