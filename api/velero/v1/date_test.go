// SPDX-License-Identifier: Apache-2.0

package v1

import (
	"encoding/json"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TestDates: a date that can be understood is, one that cannot is left out, and the rest of the status is read all the same.
func TestDates(t *testing.T) {
	want := metav1.NewTime(time.Date(2026, 11, 20, 12, 36, 21, 0, time.UTC))
	for text, date := range map[string]*metav1.Time{
		"2026-11-20T12:36:21Z": &want, "2026-11-20t12:36:21Z": &want, "2026-11-20T12:36:21z": &want, "2026-11-20T12:36:21+00:99": nil, "yesterday": nil,
	} {
		data := `{"status":{"phase":"Completed","startTimestamp":"` + text + `","progress":{"totalItems":3}}}`
		b := Backup{Status: BackupStatus{Warnings: 9}}
		if err := json.Unmarshal([]byte(data), &b); err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if got := b.Status.StartTimestamp; !got.Equal(date) || b.Status.Phase != BackupPhaseCompleted || b.Status.Progress == nil || b.Status.Progress.TotalItems != 3 {
			t.Errorf("%s: %+v", text, b.Status)
		}
	}
	deep := `{"status":{"phase":"Ready","recentMaintenance":[{"startTimestamp":"2026-11-20t12:36:21z"},{"startTimestamp":"+00:99"}]}}`
	var r BackupRepository
	if err := json.Unmarshal([]byte(deep), &r); err != nil || len(r.Status.RecentMaintenance) != 2 ||
		!r.Status.RecentMaintenance[0].StartTimestamp.Equal(&want) || r.Status.RecentMaintenance[1].StartTimestamp != nil {
		t.Errorf("%+v, %v", r.Status, err)
	}
	for _, bad := range []string{`{"status":{"errors":"x"}}`, `{"status":[]}`, `{"status":{"startTimestamp":7}}`, `{"status":{"startTimestamp":"yesterday","errors":"x"}}`} {
		var b Backup
		if err := json.Unmarshal([]byte(bad), &b); err == nil {
			t.Errorf("%s is taken: %+v", bad, b.Status)
		}
	}
}
