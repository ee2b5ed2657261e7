// SPDX-License-Identifier: Apache-2.0

package law

import (
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	velerov1 "hozon.dev/hozon/api/velero/v1"
	"hozon.dev/hozon/internal/archive"
	"hozon.dev/hozon/internal/backup"
	"hozon.dev/hozon/internal/blob/mem"
	"hozon.dev/hozon/internal/cluster"
	"hozon.dev/hozon/internal/cluster/clustertest"
	"hozon.dev/hozon/internal/fail"
	"hozon.dev/hozon/internal/object"
	"hozon.dev/hozon/internal/report"
	"hozon.dev/hozon/internal/restore"
	"hozon.dev/hozon/internal/store"
)

const gadgets = `{"apiVersion":"apiextensions.k8s.io/v1","kind":"CustomResourceDefinition","metadata":{"name":"gadgets.law.example.com"},
"spec":{"group":"law.example.com","scope":"Namespaced","names":{"plural":"gadgets","singular":"gadget","kind":"Gadget"},
"versions":[{"name":"v1","served":true,"storage":true,"schema":{"openAPIV3Schema":{"type":"object","x-kubernetes-preserve-unknown-fields":true,"properties":{"spec":{"type":"object","x-kubernetes-preserve-unknown-fields":true,"properties":{
"mode":{"type":"string","default":"auto"},
"limits":{"type":"object","default":{"low":1},"properties":{"low":{"type":"integer","default":1},"high":{"type":"integer","default":9}}},
"parts":{"type":"array","items":{"type":"object","properties":{"size":{"type":"integer","default":8},"head":{"type":"string","default":"hex"}}}}
}}}}}}]}}`

// quiet hears nothing.
type quiet struct{}

func (quiet) Step(string)    {}
func (quiet) Items(int, int) {}

// side is one of the two clusters.
type side struct {
	client *cluster.Client
	types  map[string]object.Type
}

func newSide(t *testing.T) *side {
	t.Helper()
	c := clustertest.Start(t, clustertest.Options{UnsafeNoFsync: true})
	client, err := cluster.Open(cluster.Options{Kubeconfig: c.Kubeconfig()})
	if err != nil {
		t.Fatal(err)
	}
	s := &side{client: client}
	s.discover(t)
	if _, err := client.Create(t.Context(), s.types["customresourcedefinitions.apiextensions.k8s.io"], "", []byte(gadgets), cluster.WriteOptions{}); err != nil {
		t.Fatal(err)
	}
	s.await(t, "gadgets.law.example.com")
	return s
}

// await waits until a new resource is served: a definition is in the discovery a little before its first request succeeds.
func (s *side) await(t *testing.T, resource string) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for time.Now().Before(deadline) {
		s.discover(t)
		typ, ok := s.types[resource]
		if !ok {
			continue
		}
		body, err := s.client.List(t.Context(), typ, cluster.ListOptions{Limit: 1})
		if err == nil {
			body.Close()
			return
		}
	}
	t.Fatalf("the API server does not serve %s", resource)
}

func (s *side) discover(t *testing.T) {
	t.Helper()
	types, _, err := s.client.Types(t.Context(), false)
	if err != nil {
		t.Fatal(err)
	}
	s.types = map[string]object.Type{}
	for _, typ := range types {
		s.types[typ.GroupResource()] = typ
	}
}

// get reads a thing; nil if it does not exist.
func (s *side) get(t *testing.T, th thing) *unstructured.Unstructured {
	t.Helper()
	body, err := s.client.Get(t.Context(), s.types[th.resource], th.namespace, th.name)
	if fail.Is(err, fail.NotFound) {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	var u unstructured.Unstructured
	if err := json.Unmarshal(body, &u.Object); err != nil {
		t.Fatal(err)
	}
	return &u
}

func (s *side) fill(t *testing.T, w *world) {
	t.Helper()
	for _, ns := range w.namespaces {
		body := fmt.Sprintf(`{"apiVersion":"v1","kind":"Namespace","metadata":{"name":%q}}`, ns)
		if _, err := s.client.Create(t.Context(), s.types["namespaces"], "", []byte(body), cluster.WriteOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	for _, th := range w.things {
		body, err := json.Marshal(th.object)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.client.Create(t.Context(), s.types[th.resource], th.namespace, body, cluster.WriteOptions{}); err != nil {
			t.Fatal(err)
		}
	}
}

// TestRestoreEqualsBackup is the law. It takes about a second a seed besides the start of two control planes; HOZON_LAW_RUNS=n tries
// n seeds, HOZON_SEED=n just that one.
func TestRestoreEqualsBackup(t *testing.T) {
	if testing.Short() {
		t.Skip("starts two control planes")
	}
	seeds := seeds(t)
	source, target := newSide(t), newSide(t)
	for _, seed := range seeds {
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) { try(t, source, target, seed) })
	}
}

func seeds(t *testing.T) []uint64 {
	t.Helper()
	number := func(name string) uint64 {
		n, err := strconv.ParseUint(os.Getenv(name), 10, 64)
		if err != nil && os.Getenv(name) != "" {
			t.Fatal(err)
		}
		return n
	}
	if seed := number("HOZON_SEED"); seed != 0 {
		return []uint64{seed}
	}
	first, runs := uint64(time.Now().UnixNano()), max(number("HOZON_LAW_RUNS"), 8)
	var out []uint64
	for i := range runs {
		out = append(out, first+i)
	}
	return out
}

func try(t *testing.T, source, target *side, seed uint64) {
	w := newWorld(seed, fmt.Sprintf("law%d", seed%1_000_000_000), 60)
	source.fill(t, w)
	spec := w.spec()
	s, err := store.Open(t.Context(), mem.New())
	if err != nil {
		t.Fatal(err)
	}
	asked := &velerov1.Backup{ObjectMeta: metav1.ObjectMeta{Name: "b", Namespace: "velero"}, Spec: spec}
	maker := backup.Engine{Cluster: source.client, Store: s, Now: time.Now, Tool: "law", Observe: quiet{}}
	made, err := maker.Run(t.Context(), asked, backup.Options{Run: "1"})
	if none := !anyWanted(w, spec); fail.Is(err, fail.Invalid) && none {
		return // filters that match nothing are refused
	}
	if err != nil {
		t.Fatalf("spec %+v: %v", spec, err)
	}
	if made.Backup.Status.Phase != velerov1.BackupPhaseCompleted {
		t.Fatalf("backup is %s: %+v", made.Backup.Status.Phase, made.Report.Errors)
	}
	checkArchive(t, s, w, spec)
	if v, err := s.Verify(t.Context(), "b", nil); err != nil || !v.Intact() {
		t.Fatalf("verify: %v, %+v", err, v)
	}
	first := bring(t, target, s, "r1")
	if errors, warnings := first.Totals(); errors+warnings > 0 {
		t.Errorf("first restore: %+v", first.Results())
	}
	compare(t, source, target, w, spec)
	second := bring(t, target, s, "r2")
	if errors, warnings := second.Totals(); errors+warnings > 0 || second.Counts[report.Created]+second.Counts[report.Updated] > 0 {
		t.Errorf("second restore changed something: %v %+v", second.Counts, second.Results())
	}
}

func anyWanted(w *world, spec velerov1.BackupSpec) bool {
	for _, th := range w.things {
		if w.wanted(spec, th) {
			return true
		}
	}
	return false
}

// checkArchive compares what the archive holds of the world with what the documentation says that it should.
func checkArchive(t *testing.T, s *store.Store, w *world, spec velerov1.BackupSpec) {
	t.Helper()
	r, err := s.Open(t.Context(), store.Backup, "b", store.Archive, 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	held := map[string]bool{}
	_, err = archive.Read(r, archive.ReadOptions{}, func(e archive.Entry) error {
		if e.Err != nil {
			t.Errorf("%s: %v", e.Path, e.Err)
		}
		held[e.Ref.GroupResource()+"|"+e.Ref.Namespace+"|"+e.Ref.Name] = true
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	want, got := map[string]bool{}, map[string]bool{}
	for _, th := range w.things {
		if w.wanted(spec, th) {
			want[th.id()] = true
		}
		if held[th.id()] {
			got[th.id()] = true
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		specText, _ := json.Marshal(spec)
		t.Errorf("archive (-want +got):\n%s\nspec %s", diff, specText)
	}
}

func bring(t *testing.T, target *side, s *store.Store, name string) report.Report {
	t.Helper()
	engine := restore.Engine{Target: target.client, Store: s, Now: time.Now}
	r := &velerov1.Restore{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "velero"}, Spec: velerov1.RestoreSpec{BackupName: "b"}}
	yes := true
	r.Spec.IncludeClusterResources = &yes
	result, err := engine.Run(t.Context(), r, restore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return *result.Report
}

// compare wants everything that was saved in the target as it is in the source, and nothing else of the world.
func compare(t *testing.T, source, target *side, w *world, spec velerov1.BackupSpec) {
	t.Helper()
	for _, th := range w.things {
		got := target.get(t, th)
		switch wanted := w.wanted(spec, th); {
		case !wanted && got != nil:
			t.Errorf("%s was restored and not saved", th.id())
		case wanted && got == nil:
			t.Errorf("%s was saved and not restored", th.id())
		case wanted:
			if same, differences := object.Same(source.get(t, th), got, object.SameOptions{}); !same {
				t.Errorf("%s differs: %v", th.id(), differences)
			}
		}
	}
}
