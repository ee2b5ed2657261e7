// SPDX-License-Identifier: Apache-2.0

package store

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"hozon.dev/hozon/internal/blob"
	"hozon.dev/hozon/internal/blob/mem"
	"hozon.dev/hozon/internal/fail"
	"hozon.dev/hozon/internal/hook"
)

// TestDebts: a debt shows when its run is over, and is dropped by who paid it, not by who paid an older one.
func TestDebts(t *testing.T) {
	bucket := mem.New()
	s, err := Open(t.Context(), bucket)
	if err != nil {
		t.Fatal(err)
	}
	ctx, draft, err := s.Begin(t.Context(), Backup, "b", "run-2")
	if err != nil {
		t.Fatal(err)
	}
	owed := Debt{Backup: "b", Run: "run-2", Cluster: "c", Ordered: 1, Pods: []hook.Pod{{Namespace: "shop", Name: "db", UID: "1"}}}
	if err := s.PutDebt(ctx, owed); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Debt(ctx, "b"); !fail.Is(err, fail.NotFound) {
		t.Errorf("while its run lives: %v", err)
	}
	if err := draft.Abort(ctx); err != nil {
		t.Fatal(err)
	}
	got, err := s.Debt(t.Context(), "b")
	if diff := cmp.Diff(owed, got); diff != "" || err != nil {
		t.Errorf("%v -want +got:\n%s", err, diff)
	}
	if err := s.DropDebt(t.Context(), "b", "run-1"); err != nil {
		t.Fatal(err)
	}
	if names, err := s.Debtors(t.Context()); err != nil || strings.Join(names, " ") != "b" {
		t.Errorf("debtors %q, %v", names, err)
	}
	for range 2 { // the second time there is none
		if err := s.DropDebt(t.Context(), "b", "run-2"); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.Debt(t.Context(), "b"); !fail.Is(err, fail.NotFound) {
		t.Errorf("when it was paid: %v", err)
	}
}

// TestHostileDebts: what somebody else wrote is refused, and names that cannot be are passed over.
func TestHostileDebts(t *testing.T) {
	bucket := mem.New()
	s, err := Open(t.Context(), bucket)
	if err != nil {
		t.Fatal(err)
	}
	for key, text := range map[string]string{
		"a.json": `{"backup":"b"}`, "c.json": `[`, "d.json": "", "UPPER.json": "{}", "x": `{"backup":"x","run":"r"}`,
	} {
		if _, err := bucket.Put(t.Context(), debtsPrefix+key, strings.NewReader(text), blob.PutOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	names, err := s.Debtors(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if name == "UPPER" {
			t.Error("a name that no backup has")
		}
		if _, err := s.Debt(t.Context(), name); !fail.Is(err, fail.Corrupt) && !fail.Is(err, fail.NotFound) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := s.Debt(t.Context(), "../runs/backup-b"); !fail.Is(err, fail.Invalid) {
		t.Errorf("a path: %v", err)
	}
}
