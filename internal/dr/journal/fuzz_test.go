// SPDX-License-Identifier: Apache-2.0

package journal

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"hozon.dev/hozon/internal/fail"
)

// FuzzPeek reads any bytes as a journal. Opening it sees the same states, and what is recorded then is there the next time.
func FuzzPeek(f *testing.F) {
	f.Add([]byte("{\"Cluster\":\"prod\"}\n{\"time\":\"2026-01-01T00:00:00Z\",\"step\":\"stop etcd\",\"state\":\"begun\"}\n{\"step\":\"stop"))
	f.Add([]byte("{}\n\n"))
	f.Add([]byte("[]\n{\"step\":1}\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		name := filepath.Join(t.TempDir(), "journal")
		if err := os.WriteFile(name, text, 0o600); err != nil {
			t.Fatal(err)
		}
		var p plan
		peeked, err := Peek(name, &p)
		if err != nil {
			if !fail.Is(err, fail.Corrupt) {
				t.Errorf("%v is %v", err, fail.Of(err))
			}
			return
		}
		j, err := Open(name, time.Now, &p)
		if err != nil {
			t.Fatalf("it can be looked at, and not opened: %v", err)
		}
		for step, state := range peeked.states {
			if j.State(step) != state {
				t.Errorf("step %q is %q, was %q", step, j.State(step), state)
			}
		}
		if err := j.Record("one more", Done); err != nil {
			t.Fatal(err)
		}
		j.Close()
		if again, err := Peek(name, &p); err != nil || again.State("one more") != Done {
			t.Errorf("what was recorded is lost: %v", err)
		}
	})
}
