// SPDX-License-Identifier: Apache-2.0

package crd

import (
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var age = regexp.MustCompile(`\b\d+[smhdy]\w*`)

// TestColumns prints an object of each kind with kubectl. Ages are cut to "AGE".
func TestColumns(t *testing.T) {
	c, k := server(t)
	ns := c.Namespace(t)
	want := map[string]string{
		"backups":                 "NAME AGE | full AGE",
		"restores":                "NAME AGE | full AGE",
		"schedules":               "NAME STATUS SCHEDULE LASTBACKUP AGE PAUSED | full New AGE AGE AGE true",
		"bsl":                     "NAME PHASE LAST VALIDATED AGE DEFAULT | full Available AGE AGE true",
		"vsl":                     "NAME AGE | full AGE",
		"backuprepositories":      "NAME AGE REPOSITORY TYPE | full AGE kopia",
		"deletebackuprequests":    "NAME BACKUPNAME STATUS | full AGE New",
		"downloadrequests":        "NAME AGE | full AGE",
		"ssr":                     "NAME AGE | full AGE",
		"podvolumebackups":        "NAME STATUS STARTED BYTES DONE TOTAL BYTES STORAGE LOCATION AGE NODE UPLOADER | full New AGE 7 7 AGE AGE kopia",
		"podvolumebackups -owide": "NAME STATUS STARTED BYTES DONE TOTAL BYTES INCREMENTAL BYTES STORAGE LOCATION AGE NODE UPLOADER | full New AGE 7 7 7 AGE AGE kopia",
		"podvolumerestores":       "NAME STATUS STARTED BYTES DONE TOTAL BYTES STORAGE LOCATION AGE NODE UPLOADER TYPE | full New AGE 7 7 AGE AGE AGE kopia",
		"datauploads":             "NAME STATUS STARTED BYTES DONE TOTAL BYTES STORAGE LOCATION AGE NODE | full New AGE 7 7 AGE AGE AGE",
		"datauploads -owide":      "NAME STATUS STARTED BYTES DONE TOTAL BYTES INCREMENTAL BYTES STORAGE LOCATION AGE NODE | full New AGE 7 7 7 AGE AGE AGE",
		"datadownloads":           "NAME STATUS STARTED BYTES DONE TOTAL BYTES STORAGE LOCATION AGE NODE | full New AGE 7 7 AGE AGE AGE",
	}
	for kind, crd := range kinds(t) {
		if _, err := create(t, k, typeOf(crd), ns, full(crd)); err != nil {
			t.Fatalf("%s: %v", kind, err)
		}
	}
	for what, table := range want {
		out, err := c.Kubectl(t.Context(), append([]string{"get", "-n", ns}, strings.Fields(what)...)...).CombinedOutput()
		if err != nil {
			t.Fatalf("kubectl get %s: %v\n%s", what, err, out)
		}
		lines := strings.Split(strings.TrimSpace(string(out)), "\n")
		for i, line := range lines {
			lines[i] = strings.Join(strings.Fields(age.ReplaceAllString(line, "AGE")), " ")
		}
		if diff := cmp.Diff(table, strings.Join(lines, " | ")); diff != "" {
			t.Errorf("kubectl get %s:\n%s", what, diff)
		}
	}
}
