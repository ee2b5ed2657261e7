// SPDX-License-Identifier: Apache-2.0

package peer

import (
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	velerov1 "hozon.dev/hozon/api/velero/v1"
	"hozon.dev/hozon/internal/report"
	"hozon.dev/hozon/test/conformance"
	"hozon.dev/hozon/test/s3server"
)

// TestConformancePeer has the restore cases judge Hozon and the real Velero, and prints in which ways each case holds. What does not hold of
// Velero is no failure of the test. With HOZON_PEER (`make conformance SUT=velero`) only.
func TestConformancePeer(t *testing.T) {
	if os.Getenv("HOZON_PEER") == "" {
		t.Skip("needs the real velero: make conformance SUT=velero")
	}
	hozon, err := conformance.NewHozon(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	columns := []conformance.Column{{Name: "Hozon", SUT: hozon}, {Name: "Velero " + Version, SUT: newSUT(t)}}
	for i := range columns {
		c := &columns[i]
		hooks := conformance.NewHooks()
		defer hooks.Close()
		suite := conformance.Suite{SUT: c.SUT, Source: conformance.NewSite(t), Target: conformance.NewSite(t), Hooks: hooks, Log: t.Logf}
		if only := os.Getenv("HOZON_CASES"); only != "" {
			suite.Only = strings.Fields(only)
		}
		if v, ok := c.SUT.(*sut); ok {
			for _, site := range []*conformance.Site{suite.Source, suite.Target} {
				if err := v.velero.Install(t.Context(), site.Cluster); err != nil {
					t.Fatal(err)
				}
			}
		}
		if c.Verdicts, err = suite.Run(t.Context()); err != nil {
			t.Fatalf("%s: %v", c.Name, err)
		}
		for id, ways := range c.Verdicts {
			for way, fails := range ways {
				for _, text := range fails {
					t.Logf("%s: %s, %s: %.300s", c.Name, id, way, text)
					if c.SUT == conformance.SUT(hozon) {
						t.Fail()
					}
				}
			}
		}
	}
	fmt.Print("\n" + conformance.Table(columns...) + "\n")
}

// sut is the real Velero as what the suite puts to the test.
type sut struct {
	velero Velero
	bucket Bucket
	dir    string // of the bucket
	logs   func() string
	server *Server
}

func newSUT(t *testing.T) *sut {
	t.Helper()
	velero, err := Build(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	s3 := s3server.Start(t)
	if err := s3.CreateBucket("store"); err != nil {
		t.Fatal(err)
	}
	s := &sut{
		velero: velero, dir: s3.BucketDir("store"), logs: t.TempDir,
		bucket: Bucket{Name: "store", Endpoint: s3.Endpoint, Region: "us-east-1", AccessKey: s3.AccessKey, SecretKey: s3.SecretKey},
	}
	t.Cleanup(s.stop)
	return s
}

func (s *sut) stop() {
	if s.server != nil {
		s.server.Stop()
		s.server = nil
	}
}

// Enter implements conformance.SUT.
func (s *sut) Enter(ctx context.Context, site *conformance.Site) error {
	s.stop()
	var err error
	flags := []string{"--terminating-resource-timeout=15s", "--resource-timeout=1m"}
	if s.server, err = s.velero.Start(ctx, site.Cluster, Config{Dir: s.logs(), Temp: s.logs(), Flags: flags, Bucket: s.bucket}); err != nil {
		return err
	}
	record, err := os.ReadFile(filepath.Join(s.dir, "backups", "conf", "velero-backup.json"))
	if os.IsNotExist(err) {
		return nil
	}
	if err != nil {
		return err
	}
	if _, err := request(ctx, site.Cluster, http.MethodGet, path("backups")+"/conf", nil, http.StatusOK); err == nil {
		return nil // the server has found it itself
	}
	return s.server.Announce(ctx, record)
}

// Can implements conformance.SUT.
func (s *sut) Can(way conformance.Way) bool { return way != conformance.Recreate }

// Foresees implements conformance.SUT.
func (s *sut) Foresees() bool { return false }

// Backup implements conformance.SUT.
func (s *sut) Backup(ctx context.Context, name string, spec velerov1.BackupSpec) error {
	o, err := plain(spec)
	if err != nil {
		return err
	}
	o["storageLocation"], o["ttl"] = locationName, "720h0m0s"
	_, err = s.server.job(ctx, "backups", "Backup", name, o)
	return err
}

func plain(spec any) (object, error) {
	body, err := json.Marshal(spec)
	if err != nil {
		return nil, err
	}
	var o object
	err = json.Unmarshal(body, &o)
	return o, err
}

// Restore implements conformance.SUT.
func (s *sut) Restore(ctx context.Context, name string, spec velerov1.RestoreSpec) (conformance.Outcome, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Minute)
	defer cancel()
	o, err := plain(spec)
	if err != nil {
		return conformance.Outcome{}, err
	}
	whole := object{"apiVersion": "velero.io/v1", "kind": "Restore", "metadata": object{"name": name}, "spec": o}
	if err := post(ctx, s.server.cluster, path("restores"), whole); err != nil {
		return conformance.Outcome{}, err
	}
	end, err := s.server.follow(ctx, "restores", name, nil, func(st status) bool { return slices.Contains(final, st.Phase) })
	if err != nil {
		return conformance.Outcome{}, err
	}
	if end.Phase == "FailedValidation" {
		return conformance.Outcome{}, fmt.Errorf("restore %s: %s", name, end)
	}
	return s.told(name, end.Phase)
}

// told reads what Velero wrote about a restore.
func (s *sut) told(name, phase string) (conformance.Outcome, error) {
	var results report.Results
	if err := s.read(name, "restore-"+name+"-results.gz", &results); err != nil {
		return conformance.Outcome{}, err
	}
	out := conformance.Told(results)
	out.Phase = phase
	var list map[string][]string
	if err := s.read(name, "restore-"+name+"-resource-list.json.gz", &list); err != nil {
		return out, err
	}
	for kind, names := range list {
		for _, n := range names {
			if strings.HasSuffix(n, "(created)") || strings.HasSuffix(n, "(updated)") {
				out.Changed = append(out.Changed, kind+" "+n)
			}
		}
	}
	return out, nil
}

func (s *sut) read(name, file string, v any) error {
	f, err := os.Open(filepath.Join(s.dir, "restores", name, file))
	if err != nil {
		return err
	}
	defer f.Close()
	gz, err := gzip.NewReader(f)
	if err != nil {
		return err
	}
	return json.NewDecoder(gz).Decode(v)
}
