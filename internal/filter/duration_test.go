// SPDX-License-Identifier: Apache-2.0

package filter

import (
	"slices"
	"testing"

	velerov1 "hozon.dev/hozon/api/velero/v1"
)

// TestCheckDurations finds durations that are none at every depth of a spec.
func TestCheckDurations(t *testing.T) {
	bad := velerov1.Duration{Bad: "soon"}
	spec := velerov1.BackupSpec{TTL: bad}
	spec.Hooks.Resources = []velerov1.BackupResourceHookSpec{{}, {PostHooks: []velerov1.BackupResourceHook{{}, {Exec: &velerov1.ExecHook{Timeout: bad}}}}}
	const text = ` is "soon": expected a duration, such as 90s, 10m or 720h`
	want := []string{"spec.ttl" + text, "spec.hooks.resources[1].post[1].exec.timeout" + text}
	if got := ValidateBackup(spec); len(got) != 2 || !slices.Contains(got, want[0]) || !slices.Contains(got, want[1]) {
		t.Errorf("%q", got)
	}
	if got := CheckDurations("spec", velerov1.BackupStorageLocationSpec{BackupSyncPeriod: &bad}); !slices.Equal(got, []string{"spec.backupSyncPeriod" + text}) {
		t.Errorf("%q", got)
	}
	if got := CheckDurations("spec", velerov1.RestoreSpec{}); len(got) > 0 {
		t.Errorf("nothing is wrong, but: %q", got)
	}
}
