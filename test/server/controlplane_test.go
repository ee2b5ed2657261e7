// SPDX-License-Identifier: Apache-2.0

package server

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// shelf writes a file where the archives of a cluster's control plane lie.
func (w *world) shelf(cluster, file, text string) {
	w.t.Helper()
	dir := filepath.Join(w.s3.BucketDir(w.ns), "metadata/hozon/clusters", cluster)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		w.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o600); err != nil {
		w.t.Fatal(err)
	}
}

// archive is one of a control plane, with its record.
func (w *world) archive(cluster string, at time.Time, size int) {
	w.t.Helper()
	name := cluster + "_backup_" + at.UTC().Format("2006-01-02T150405Z0700") + ".tar.gz.age"
	w.shelf(cluster, name, "sealed")
	w.shelf(cluster, name+".json", fmt.Sprintf(`{"format": 1, "cluster": %q, "created": %q, "size": %d, "sealed": true}`, cluster, at.UTC().Format(time.RFC3339), size))
}

// TestServerControlPlanes: archives of control planes that others make are counted by what is stored of them, and so are the runs that failed since.
func TestServerControlPlanes(t *testing.T) {
	w := newWorld(t)
	first := time.Date(2026, 11, 20, 2, 0, 0, 0, time.UTC)
	w.archive("prod", first, 1000)
	w.archive("prod", first.Add(time.Hour), 2000)
	w.shelf("prod", "prod_backup_2026-11-20T040000Z.tar.gz.age", "cut off: it has no record")
	w.shelf("prod", "prod_backup_2026-11-20T050000Z.tar.gz.age.failed", `{"cluster": "prod"}`)
	w.shelf("broken", "broken_backup_2026-11-20T050000Z.tar.gz.json", "no record")
	w.serve("--store-validation-frequency", "1s")
	line := func(name string, value float64) string {
		return `hozon_control_plane_backup_` + name + `{backup_location_name="default",control_plane="prod"} ` + strconv.FormatFloat(value, 'g', -1, 64)
	}
	lines := w.awaitMetrics([]string{
		line("total", 2), line("failures", 1), line("size_bytes", 2000), line("sealed", 1), line("last_successful_timestamp", float64(first.Add(time.Hour).Unix())),
	})
	if strings.Contains(strings.Join(lines, "\n"), "broken") {
		t.Errorf("a record that cannot be read counts: %v", lines)
	}
	if all := w.http("/metrics"); !strings.Contains(all, `hozon_control_plane_backup_last_age_seconds{backup_location_name="default",control_plane="prod"} `) {
		t.Errorf("no age in\n%s", all)
	}
	w.archive("prod", first.Add(4*time.Hour), 3000)
	w.awaitMetrics([]string{line("total", 3), line("failures", 0), line("size_bytes", 3000), line("last_successful_timestamp", float64(first.Add(4*time.Hour).Unix()))})
}
