// SPDX-License-Identifier: Apache-2.0

package server

import (
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/yaml"

	velerov1 "hozon.dev/hozon/api/velero/v1"
)

var metricName = regexp.MustCompile(`\b(velero|hozon)_[a-z_]+`)

// TestServerRule looks for the metrics of the alerts among those that a server has that did something.
func TestServerRule(t *testing.T) {
	text, err := os.ReadFile("../../deploy/monitoring/prometheusrule.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var rule struct {
		Spec struct {
			Groups []struct {
				Rules []struct{ Alert, Expr string }
			}
		}
	}
	if err := yaml.UnmarshalStrict(text, &struct {
		APIVersion, Kind string
		Metadata, Spec   any
	}{}); err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(text, &rule); err != nil {
		t.Fatal(err)
	}
	w := newWorld(t)
	w.create(w.schedule("nightly", "@every 24h"))
	w.archive("prod", time.Now().Add(-time.Hour), 1000)
	w.serve()
	w.create(w.backup("a"))
	w.awaitBackup("a", velerov1.BackupPhaseCompleted)
	w.awaitMetrics([]string{`velero_backup_success_total{schedule=""} 1`})
	w.awaitMetrics([]string{`hozon_control_plane_backup_failures{backup_location_name="default",control_plane="prod"} 0`})
	lines := w.http("/metrics")
	alerts := 0
	for _, g := range rule.Spec.Groups {
		for _, r := range g.Rules {
			alerts++
			names := metricName.FindAllString(r.Expr, -1)
			if len(names) == 0 && !strings.Contains(r.Expr, "kube_") { // those of kube-state-metrics are not ours to have
				t.Errorf("alert %s has no metric: %s", r.Alert, r.Expr)
			}
			for _, name := range names {
				if !strings.Contains(lines, name) {
					t.Errorf("alert %s: there is no metric %s in\n%s", r.Alert, name, lines)
				}
			}
		}
	}
	if alerts < 5 {
		t.Errorf("found %d alerts: has the form of the file changed?", alerts)
	}
}
