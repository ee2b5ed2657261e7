// SPDX-License-Identifier: Apache-2.0

package restore_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd"

	velerov1 "hozon.dev/hozon/api/velero/v1"
	"hozon.dev/hozon/internal/archive"
	"hozon.dev/hozon/internal/blob"
	"hozon.dev/hozon/internal/blob/mem"
	"hozon.dev/hozon/internal/cluster"
	"hozon.dev/hozon/internal/cluster/clustertest"
	"hozon.dev/hozon/internal/fail"
	"hozon.dev/hozon/internal/object"
	"hozon.dev/hozon/internal/report"
	"hozon.dev/hozon/internal/restore"
	"hozon.dev/hozon/internal/store"
)

func TestMain(m *testing.M) { clustertest.Main(m) }

func client(t *testing.T, c *clustertest.Cluster) *cluster.Client {
	t.Helper()
	cfg, err := clientcmd.BuildConfigFromFlags("", c.Kubeconfig())
	if err != nil {
		t.Fatal(err)
	}
	k, err := cluster.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// backup writes a backup of these objects. Without an index it looks like one of Velero's.
func backup(t *testing.T, b blob.Bucket, name string, index bool, objects [][]byte) *store.Store {
	t.Helper()
	s, err := store.Open(t.Context(), b)
	if err != nil {
		t.Fatal(err)
	}
	ctx, draft, err := s.Begin(t.Context(), store.Backup, name, "run")
	if err != nil {
		t.Fatal(err)
	}
	var w *archive.Writer
	var sum archive.Summary
	_, err = draft.Put(ctx, store.Archive, func(out io.Writer) error {
		w = archive.NewWriter(out, archive.Options{Modified: time.Unix(0, 0)})
		lane, seen := w.Lane(), map[object.Ref]bool{}
		for _, body := range objects {
			head, err := object.Scan(body)
			if err != nil {
				return err
			}
			group, version := path.Split(head.APIVersion)
			ref := object.Ref{Group: strings.TrimSuffix(group, "/"), Resource: strings.ToLower(head.Kind) + "s", Namespace: head.Namespace, Name: head.Name}
			if err := lane.Add(archive.Item{Ref: ref, Version: version, Kind: head.Kind, Preferred: !seen[ref], Body: body}); err != nil {
				return err
			}
			seen[ref] = true // of several versions the first is the preferred one
		}
		if err := lane.Close(); err != nil {
			return err
		}
		var err error
		sum, err = w.Close()
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	var table archive.IndexSummary
	_, err = draft.Put(ctx, store.Index, func(out io.Writer) (err error) {
		table, err = w.WriteIndex(out)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	start := metav1.Now()
	record := velerov1.Backup{
		TypeMeta: metav1.TypeMeta{APIVersion: velerov1.APIVersion, Kind: "Backup"}, ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{velerov1.LabelScheduleName: "nightly"}},
		Status: velerov1.BackupStatus{Phase: velerov1.BackupPhaseCompleted, FormatVersion: velerov1.FormatVersion, StartTimestamp: &start},
	}
	m := store.Manifest{Format: store.ManifestFormat, Backup: name, Items: sum.Items}
	for _, b := range table.Blocks {
		m.Index = append(m.Index, store.ManifestIndexBlock{
			Resource: b.First.GroupResource(), Namespace: b.First.Namespace, Name: b.First.Name, Version: b.Version,
			Offset: b.Offset, Length: b.Length, Lines: b.Lines,
		})
	}
	if err := draft.CommitBackup(ctx, &m, record); err != nil {
		t.Fatal(err)
	}
	if !index {
		for _, f := range []store.File{store.ManifestFile, store.Index} {
			if err := b.Delete(t.Context(), "backups/"+name+"/"+f.Of(name)); err != nil {
				t.Fatal(err)
			}
		}
	}
	return s
}

func configMap(ns, name, value string) []byte {
	return fmt.Appendf(nil, `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":%q,"namespace":%q,"managedFields":[{"manager":"m","operation":"Update","apiVersion":"v1","time":"2020-01-01T00:00:00Z","fieldsType":"FieldsV1","fieldsV1":{"f:data":{".":{},"f:k":{}}}}]},"data":{"k":%q}}`, name, ns, value)
}

func run(t *testing.T, k *cluster.Client, s *store.Store, name string, spec velerov1.RestoreSpec, o restore.Options) (restore.Result, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	e := restore.Engine{Target: k, Store: s, Now: time.Now}
	return e.Run(ctx, &velerov1.Restore{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: spec}, o)
}

// completed runs a restore that has to succeed.
func completed(t *testing.T, k *cluster.Client, s *store.Store, name string, spec velerov1.RestoreSpec) restore.Result {
	t.Helper()
	r, err := run(t, k, s, name, spec, restore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if r.Restore.Status.Phase != velerov1.RestorePhaseCompleted || r.Restore.Status.Warnings != 0 {
		t.Fatalf("phase %s: %+v", r.Restore.Status.Phase, r.Report.Results())
	}
	return r
}

// TestWaysToRead restores the same objects from memory, by the index, and by passes over the archive.
func TestWaysToRead(t *testing.T) { // 36 MB of objects, so that no way can keep them all
	c := clustertest.Shared(t)
	for _, tc := range []struct {
		name  string
		index bool
		count int
		size  int
	}{
		{"kept", false, 20, 100},
		{"kept with an index", true, 20, 100},
		{"by the index", true, 6, 900 << 10},
		{"by passes", false, 40, 900 << 10},
	} {
		t.Run(tc.name, func(t *testing.T) {
			k, ns := client(t, c), c.Namespace(t)
			var objects [][]byte
			for i := range tc.count {
				objects = append(objects, configMap(ns, fmt.Sprintf("cm-%d", i), strings.Repeat(string(rune('a'+i%26)), tc.size)))
			}
			s := backup(t, mem.New(), "b", tc.index, objects)
			before := k.Calls()
			r := completed(t, k, s, "r", velerov1.RestoreSpec{BackupName: "b"})
			if got := r.Report.Counts[report.Created]; got != tc.count {
				t.Errorf("%d created, want %d", got, tc.count)
			}
			if got := k.Calls()["update"] - before["update"]; got != int64(tc.count) {
				t.Errorf("%d PUTs of managedFields", got)
			}
			completed(t, k, s, "r2", velerov1.RestoreSpec{BackupName: "b"})
			body, err := k.Get(t.Context(), object.Type{Version: "v1", Resource: "configmaps"}, ns, "cm-3")
			if err != nil || !bytes.Contains(body, []byte(strings.Repeat("d", tc.size))) {
				t.Errorf("cm-3 has other data: %v", err)
			}
		})
	}
}

// TestRecords: a restore leaves its files, a dry one and a cancelled one leave nothing.
func TestRecords(t *testing.T) {
	c := clustertest.Shared(t)
	k, ns := client(t, c), c.Namespace(t)
	b := mem.New()
	s := backup(t, b, "b", true, [][]byte{configMap(ns, "a", "v"), configMap(ns, "b", "v")})
	dry, err := run(t, k, s, "r", velerov1.RestoreSpec{BackupName: "b"}, restore.Options{DryRun: true})
	if err != nil || dry.Report.Counts[report.Created] != 2 {
		t.Fatalf("dry run: %v, %v", err, dry.Report.Counts)
	}
	completed(t, k, s, "r", velerov1.RestoreSpec{BackupName: "b"})
	record, err := s.Restore(t.Context(), "r")
	if err != nil {
		t.Fatal(err)
	}
	if st := record.Status; st.Phase != velerov1.RestorePhaseCompleted || st.Progress == nil || st.Progress.ItemsRestored != 3 || st.CompletionTimestamp == nil {
		t.Errorf("recorded status %+v", st)
	}
	var list map[string][]string
	if err := s.ReadJSON(t.Context(), store.Restore, "r", store.RestoreResourceList, &list); err != nil {
		t.Fatal(err)
	}
	want := []string{ns + "/a(created)", ns + "/b(created)"}
	if !slices.Equal(list["v1/ConfigMap"], want) {
		t.Errorf("resource list %v, want %v", list, want)
	}
	var full report.Report
	if err := s.ReadJSON(t.Context(), store.Restore, "r", store.RestoreReport, &full); err != nil || full.Items.Len() != 3 {
		t.Errorf("report %+v, %v", full, err)
	}
	log, err := s.OpenText(t.Context(), store.Restore, "r", store.RestoreLogs)
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(log)
	if err != nil || !strings.Contains(string(text), "configmaps/"+ns+"/a created") {
		t.Errorf("log %q, %v", text, err)
	}
	if _, err := run(t, k, s, "r", velerov1.RestoreSpec{BackupName: "b"}, restore.Options{}); !fail.Is(err, fail.Exists) {
		t.Errorf("the same name again: %v", err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	reason := errors.New("stopped by the user")
	e := restore.Engine{Target: k, Store: s, Now: time.Now, Observe: canceller{func() { cancel(reason) }}}
	_, err = e.Run(ctx, &velerov1.Restore{ObjectMeta: metav1.ObjectMeta{Name: "cancelled"}, Spec: velerov1.RestoreSpec{BackupName: "b"}}, restore.Options{})
	if !errors.Is(err, reason) {
		t.Errorf("cancelled: %v", err)
	}
	names, err := s.Restores(t.Context())
	if err != nil || !slices.Equal(names, []string{"r"}) {
		t.Errorf("restores %v, %v", names, err)
	}
	err = b.List(t.Context(), "restores/cancelled/", false, func(i blob.Info) error { return fmt.Errorf("%s is left", i.Key) })
	if err != nil {
		t.Error(err)
	}
}

// canceller ends a run when its second stage begins.
type canceller struct{ cancel func() }

func (c canceller) Stage(title string, _ int) {
	if title != "reading" {
		c.cancel()
	}
}
func (canceller) Item(report.Item) {}

// TestRefused: what cannot be meant is refused before anything is done.
func TestRefused(t *testing.T) {
	c := clustertest.Shared(t)
	k, ns := client(t, c), c.Namespace(t)
	b := mem.New()
	s := backup(t, b, "b", true, [][]byte{configMap(ns, "a", "v")})
	other := backup(t, mem.New(), "b", true, [][]byte{configMap(ns, "forged", "v")})
	for _, tc := range []struct {
		name string
		spec velerov1.RestoreSpec
		kind fail.Kind
		text string
	}{
		{"Bad_Name", velerov1.RestoreSpec{BackupName: "b"}, fail.Invalid, "name"},
		{"none", velerov1.RestoreSpec{}, fail.Invalid, "Either a backup or schedule must be specified"},
		{"missing", velerov1.RestoreSpec{BackupName: "nope"}, fail.NotFound, `"nope" does not exist`},
		{"schedule", velerov1.RestoreSpec{ScheduleName: "nope"}, fail.Invalid, "No backups found for schedule"},
		{"policy", velerov1.RestoreSpec{BackupName: "b", ExistingResourcePolicy: "maybe"}, fail.Invalid, "Invalid ExistingResourcePolicy: maybe"},
		{"mapping", velerov1.RestoreSpec{BackupName: "b", NamespaceMapping: map[string]string{"a": "x", "b": "x"}}, fail.Invalid, "merge two namespaces"},
	} {
		r, err := run(t, k, s, tc.name, tc.spec, restore.Options{})
		if !fail.Is(err, tc.kind) || !strings.Contains(fmt.Sprint(err), tc.text) {
			t.Errorf("%s: %v, want %v with %q", tc.name, err, tc.kind, tc.text)
		}
		if p := r.Restore.Status.Phase; p != velerov1.RestorePhaseFailedValidation && p != velerov1.RestorePhaseFailed {
			t.Errorf("%s: phase %s", tc.name, p)
		}
	}
	if names, err := s.Restores(t.Context()); err != nil || len(names) != 0 {
		t.Errorf("recorded %v, %v", names, err)
	}
	forged, err := other.Open(t.Context(), store.Backup, "b", store.Archive, 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	defer forged.Close()
	if _, err := b.Put(t.Context(), "backups/b/b.tar.gz", forged, blob.PutOptions{}); err != nil {
		t.Fatal(err)
	}
	r, err := run(t, k, s, "forged", velerov1.RestoreSpec{BackupName: "b"}, restore.Options{})
	if !fail.Is(err, fail.Corrupt) || r.Restore.Status.Phase != velerov1.RestorePhaseFailed {
		t.Errorf("an archive of another backup: %v, phase %s", err, r.Restore.Status.Phase)
	}
	if r.Report.Counts[report.Created] != 0 {
		t.Error("something was created")
	}
}

func TestSchedule(t *testing.T) {
	c := clustertest.Shared(t)
	k, ns := client(t, c), c.Namespace(t)
	s := backup(t, mem.New(), "b", true, [][]byte{configMap(ns, "a", "v")})
	if r := completed(t, k, s, "r", velerov1.RestoreSpec{ScheduleName: "nightly"}); r.Restore.Spec.BackupName != "b" {
		t.Errorf("restored from %q", r.Restore.Spec.BackupName)
	}
}

// TestCalls bounds the API calls of a restore without conflicts.
func TestCalls(t *testing.T) {
	c := clustertest.Shared(t)
	k, ns := client(t, c), c.Namespace(t)
	const n = 2000
	var objects [][]byte
	for i := range n {
		objects = append(objects, configMap(ns, fmt.Sprintf("cm-%d", i), strings.Repeat("x", 500)))
	}
	s := backup(t, mem.New(), "b", true, objects)
	before, start := k.Calls()["total"], time.Now()
	completed(t, k, s, "r", velerov1.RestoreSpec{BackupName: "b"})
	took, calls := time.Since(start), k.Calls()["total"]-before
	if perObject := float64(calls) / n; perObject > 2.05 {
		t.Errorf("%.3f calls an object", perObject)
	}
	t.Logf("%d objects in %v (%.0f/s), %d calls", n, took, n/took.Seconds(), calls)
}

func decode(t *testing.T, body []byte) map[string]any {
	t.Helper()
	var o map[string]any
	if err := json.Unmarshal(body, &o); err != nil {
		t.Fatal(err)
	}
	return o
}

// TestUnknownResource: a kind that nobody knows restores nothing; it is refused before anything is done, and its name is said.
func TestUnknownResource(t *testing.T) {
	c := clustertest.Shared(t)
	k, ns := client(t, c), c.Namespace(t)
	s := backup(t, mem.New(), "b", true, [][]byte{configMap(ns, "a", "v")})
	r, err := run(t, k, s, "r", velerov1.RestoreSpec{BackupName: "b", IncludedResources: []string{"configmaps", "confgmaps"}}, restore.Options{})
	if !fail.Is(err, fail.Invalid) || !strings.Contains(err.Error(), "confgmaps") || strings.Contains(err.Error(), "no configmaps") {
		t.Errorf("error %v", err)
	}
	if r.Report.Items.Len() > 0 {
		t.Errorf("%d objects were touched", r.Report.Items.Len())
	}
	completed(t, k, s, "fine", velerov1.RestoreSpec{BackupName: "b", IncludedResources: []string{"configmaps", "none*"}, ExcludedResources: []string{"nobody.example.com"}})
}

// TestModifiers: what is wrong with the ConfigMap refuses the restore before anything is done, and says where.
func TestModifiers(t *testing.T) {
	c := clustertest.Shared(t)
	k, ns := client(t, c), c.Namespace(t)
	s := backup(t, mem.New(), "b", true, [][]byte{configMap(ns, "a", "v")})
	asked := func(name string) (restore.Result, error) {
		e := restore.Engine{Target: k, Store: s, Now: time.Now}
		return e.Run(t.Context(), &velerov1.Restore{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: ns}, Spec: velerov1.RestoreSpec{
			BackupName: "b", IncludedResources: []string{"configmaps"}, ResourceModifier: &corev1.TypedLocalObjectReference{Kind: "ConfigMap", Name: name},
		}}, restore.Options{})
	}
	maps := object.Type{Version: "v1", Resource: "configmaps", Kind: "ConfigMap", Namespaced: true}
	for name, tc := range map[string]struct{ text, want string }{
		"none": {"", "failed to get resource modifiers configmap " + ns + "/none"},
		"bad":  {"version: v1\nresourceModifierRules:\n- conditions: {groupResource: pods}\n  patchez: []", "configmap " + ns + "/bad: key rules.yaml, line 4: unknown field \"patchez\""},
	} {
		if tc.text != "" {
			body := fmt.Appendf(nil, `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":%q},"data":{"rules.yaml":%q}}`, name, tc.text)
			if _, err := k.Create(t.Context(), maps, ns, body, cluster.WriteOptions{}); err != nil {
				t.Fatal(err)
			}
		}
		r, err := asked(name)
		if !fail.Is(err, fail.Invalid) || !strings.Contains(err.Error(), tc.want) || r.Restore.Status.Phase != velerov1.RestorePhaseFailedValidation {
			t.Errorf("%s: %v, phase %s", name, err, r.Restore.Status.Phase)
		}
	}
	if _, err := k.Get(t.Context(), maps, ns, "a"); !fail.Is(err, fail.NotFound) {
		t.Errorf("something was restored: %v", err)
	}
}
