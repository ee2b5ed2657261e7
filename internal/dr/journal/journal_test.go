// SPDX-License-Identifier: Apache-2.0

package journal

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"hozon.dev/hozon/internal/fail"
)

type plan struct{ Cluster string }

// TestCutAnywhere cuts a journal after every byte: what was whole is there, what was not is as if it had not been begun, and it goes on from there.
func TestCutAnywhere(t *testing.T) {
	name := filepath.Join(t.TempDir(), "a", "journal")
	j, err := Create(name, time.Now, plan{"prod"})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []State{Begun, Done, Undone} {
		if err := j.Record("stop etcd", s); err != nil {
			t.Fatal(err)
		}
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	want := []State{"", Begun, Done, Undone}
	for cut := range text {
		file := filepath.Join(t.TempDir(), "journal")
		if err := os.WriteFile(file, text[:cut], 0o600); err != nil {
			t.Fatal(err)
		}
		lines := strings.Count(string(text[:cut]), "\n")
		var p plan
		j, err := Open(file, time.Now, &p)
		if lines == 0 {
			if !fail.Is(err, fail.Corrupt) {
				t.Fatalf("cut at %d: %v", cut, err)
			}
			continue
		}
		if err != nil || p.Cluster != "prod" || j.State("stop etcd") != want[lines-1] {
			t.Fatalf("cut at %d: %v, %+v, %q", cut, err, p, j.State("stop etcd"))
		}
		if err := j.Record("next", Begun); err != nil {
			t.Fatal(err)
		}
		j.Close()
		if j, err = Peek(file, &p); err != nil || j.State("next") != Begun || j.State("stop etcd") != want[lines-1] {
			t.Fatalf("cut at %d, then continued: %v", cut, err)
		}
	}
}

// TestOneAtATime is a journal that somebody else has open.
func TestOneAtATime(t *testing.T) {
	name := filepath.Join(t.TempDir(), "journal")
	j, err := Create(name, time.Now, plan{"prod"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Create(name, time.Now, plan{"prod"}); err == nil {
		t.Error("begun twice")
	}
	if _, err := Open(name, time.Now, &plan{}); !fail.Is(err, fail.Busy) {
		t.Errorf("opened twice: %v", err)
	}
	j.Close()
	if j, err = Open(name, time.Now, &plan{}); err != nil {
		t.Fatal(err)
	}
	j.Close()
}

func TestDamage(t *testing.T) {
	for name, text := range map[string]string{
		"no plan": "x\n", "a bad line": "{\"Cluster\": \"prod\"}\nx\n", "nothing": "",
	} {
		file := filepath.Join(t.TempDir(), "journal")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(file, time.Now, &plan{}); !fail.Is(err, fail.Corrupt) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
