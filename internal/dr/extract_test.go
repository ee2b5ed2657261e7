// SPDX-License-Identifier: Apache-2.0

package dr

import (
	"bytes"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	velerov1 "hozon.dev/hozon/api/velero/v1"
	"hozon.dev/hozon/internal/archive"
	"hozon.dev/hozon/internal/backup"
	"hozon.dev/hozon/internal/blob/mem"
	"hozon.dev/hozon/internal/dr/decode"
	"hozon.dev/hozon/internal/fail"
	"hozon.dev/hozon/internal/store"
)

type silent struct{}

func (silent) Step(string)    {}
func (silent) Items(int, int) {}

func openStore(t testing.TB) *store.Store {
	t.Helper()
	s, err := store.Open(t.Context(), mem.New())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func extract(t testing.TB, s *store.Store, image *Image, name string) backup.Result {
	t.Helper()
	e := backup.Engine{Store: s, Now: time.Now, Tool: "test", Observe: silent{}}
	b := &velerov1.Backup{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "velero"}}
	result, err := e.Import(t.Context(), b, image, backup.Options{Run: name})
	if err != nil {
		t.Fatal(err)
	}
	return result
}

// TestExtract makes a backup out of a snapshot; it verifies like any other, and its items are what the API server had served.
func TestExtract(t *testing.T) {
	for _, name := range []string{"plain", "enc"} {
		t.Run(name, func(t *testing.T) {
			snapshot, keys, want := fixture(t, name)
			image, err := Open(t.Context(), bytes.NewReader(snapshot), int64(len(snapshot)), Options{Keys: keys})
			if err != nil {
				t.Fatal(err)
			}
			s := openStore(t)
			result := extract(t, s, image, "from-etcd")
			if p := result.Backup.Status.Phase; p != velerov1.BackupPhaseCompleted || result.Manifest.Items != len(want.Objects) {
				t.Errorf("%s with %d items", p, result.Manifest.Items)
			}
			if m := result.Manifest; m.Consistency.Mode != store.Exact || m.Consistency.ResourceVersion != strconv.FormatInt(image.Revision(), 10) || m.Cluster.UID == "" {
				t.Errorf("manifest: %+v, cluster %q", m.Consistency, m.Cluster.UID)
			}
			v, err := s.Verify(t.Context(), "from-etcd", func(int) {})
			if err != nil || !v.Intact() || !v.Manifest {
				t.Errorf("not intact: %+v, %v", v, err)
			}
			hashes := map[string]string{}
			for _, o := range want.Objects {
				hashes[strings.TrimPrefix(o.Namespace+"/"+o.Name, "/")+" "+o.Resource] = o.SHA256
			}
			r, err := s.Open(t.Context(), store.Backup, "from-etcd", store.Archive, 0, -1)
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			_, err = archive.Read(r, archive.ReadOptions{}, func(e archive.Entry) error {
				id := e.Ref.ID() + " " + e.Ref.GroupResource()
				if e.Unversioned && canonical(t, e.Body, false) != hashes[id] && e.Ref.Resource != "leases" {
					t.Errorf("%s differs", id)
				}
				return e.Err
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
}

// TestWithoutKeys has no keys, then wrong ones: what is encrypted is listed, the rest is extracted, and no secret is in any text.
func TestWithoutKeys(t *testing.T) {
	snapshot, _, want := fixture(t, "enc")
	wrong, err := decode.ReadKeyring([]byte(`
kind: EncryptionConfiguration
resources:
- resources: [secrets]
  providers: [{aescbc: {keys: [{name: key1, secret: "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="}]}}, {secretbox: {keys: [{name: box2, secret: "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="}]}}]
`))
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		keys *decode.Keyring
		want []string
	}{
		"none":  {nil, []string{`secrets: 7 cannot be decoded: encrypted by aescbc with key "key1": give`, `configmaps: 6 cannot be decoded: encrypted by secretbox with key "box1": give`}},
		"wrong": {wrong, []string{`secrets: 7 cannot be decoded: encrypted by aescbc with a key "key1" that is not`, `"box1", which the encryption configuration does not have`}},
	} {
		t.Run(name, func(t *testing.T) {
			image, err := Open(t.Context(), bytes.NewReader(snapshot), int64(len(snapshot)), Options{Keys: c.keys})
			if err != nil {
				t.Fatal(err)
			}
			result := extract(t, openStore(t), image, "half")
			if p := result.Backup.Status.Phase; p != velerov1.BackupPhasePartiallyFailed || result.Manifest.Items != len(want.Objects)-13 {
				t.Errorf("%s with %d items", p, result.Manifest.Items)
			}
			var texts []string
			for _, n := range result.Report.Errors {
				texts = append(texts, n.Text)
			}
			for _, w := range c.want {
				if !strings.Contains(strings.Join(texts, "\n"), w) {
					t.Errorf("%q is not said:\n%s", w, strings.Join(texts, "\n"))
				}
			}
		})
	}
}

func TestInspect(t *testing.T) {
	snapshot, _, want := fixture(t, "plain")
	image, err := Open(t.Context(), bytes.NewReader(snapshot), int64(len(snapshot)), Options{})
	if err != nil {
		t.Fatal(err)
	}
	inv, err := image.Inspect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if inv.Objects != len(want.Objects) || inv.Bookkeeping != 3 || len(inv.Troubles) != 0 || len(inv.Other) != 0 || !inv.Hashed {
		t.Errorf("%+v", inv)
	}
	for _, k := range inv.Kinds {
		if k.Objects != want.Counts[k.Resource] || k.Bytes == 0 {
			t.Errorf("%s: %d objects, %d bytes; want %d", k.Resource, k.Objects, k.Bytes, want.Counts[k.Resource])
		}
		delete(want.Counts, k.Resource)
	}
	if len(want.Counts) > 0 {
		t.Errorf("missing: %v", want.Counts)
	}
}

func TestPrefixes(t *testing.T) {
	snapshot, _, _ := fixture(t, "plain")
	for _, p := range []string{"registry", "/registry", "/registry/"} {
		if _, err := Open(t.Context(), bytes.NewReader(snapshot), int64(len(snapshot)), Options{Prefixes: []string{p}}); err != nil {
			t.Errorf("%s: %v", p, err)
		}
	}
	_, err := Open(t.Context(), bytes.NewReader(snapshot), int64(len(snapshot)), Options{Prefixes: []string{"/kubernetes.io"}})
	if !fail.Is(err, fail.Invalid) || !strings.Contains(err.Error(), "/registry/") {
		t.Errorf("a wrong prefix: %v", err)
	}
}

// TestSynthetic reads a database that bbolt itself wrote in etcd's form: it keeps BenchmarkExtract honest.
func TestSynthetic(t *testing.T) {
	f, size := synthetic(t, 500)
	image, err := Open(t.Context(), f, size, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if image.Hashed() {
		t.Error("a database file has no hash")
	}
	inv, err := image.Inspect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if inv.Objects != 502 || len(inv.Certificates) != 1 || inv.Certificates[0].Places != 125 || len(inv.Troubles) != 1 || inv.Troubles[0].Count != 2 {
		t.Errorf("%d objects, certificates %+v, troubles %+v", inv.Objects, inv.Certificates, inv.Troubles)
	}
	if len(inv.Other) != 1 || inv.Other[0].Prefix != "compact_rev_key" {
		t.Errorf("other: %+v", inv.Other)
	}
	result := extract(t, openStore(t), image, "copy")
	if len(result.Report.Warnings) != 1 || !strings.Contains(result.Report.Warnings[0].Text, "hash") {
		t.Errorf("warnings: %+v", result.Report.Warnings)
	}
}

// BenchmarkExtract is the way from a snapshot of 100,000 objects to a committed backup.
func BenchmarkExtract(b *testing.B) {
	f, size := synthetic(b, 100_000)
	b.SetBytes(size)
	b.ReportAllocs()
	before := processorTime(b)
	defer func() { b.ReportMetric((processorTime(b)-before).Seconds()/float64(b.N), "cpu-s/op") }()
	for b.Loop() {
		image, err := Open(b.Context(), f, size, Options{})
		if err != nil {
			b.Fatal(err)
		}
		result := extract(b, openStore(b), image, "big")
		if result.Manifest.Items < 100_000 {
			b.Fatal(result.Manifest.Items)
		}
	}
}

// processorTime is what the process has used, which tells more than the clock on a machine that is busy.
func processorTime(b *testing.B) time.Duration {
	b.Helper()
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
