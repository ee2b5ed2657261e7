// SPDX-License-Identifier: Apache-2.0

package v1

import "testing"

func TestLabelValue(t *testing.T) {
	for name, want := range map[string]string{
		"":      "",
		"short": "short",
		// 63 characters, the most that a label may have, and 70. The digits at the end are sha256sum's.
		"nightly-backup-of-everything-in-the-cluster-of-the-branch-in-sa":        "nightly-backup-of-everything-in-the-cluster-of-the-branch-in-sa",
		"nightly-backup-of-everything-in-the-cluster-of-the-branch-in-sapporo-1": "nightly-backup-of-everything-in-the-cluster-of-the-branch288ba6",
	} {
		if got := LabelValue(name); got != want {
			t.Errorf("LabelValue(%q) = %q, want %q", name, got, want)
		}
	}
}
