// SPDX-License-Identifier: Apache-2.0

package sops_test

import (
	"bytes"
	"crypto/rand"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"filippo.io/age"
	"github.com/google/go-cmp/cmp"
	utiljson "k8s.io/apimachinery/pkg/util/json"
	"sigs.k8s.io/yaml"

	"hozon.dev/hozon/internal/fail"
	"hozon.dev/hozon/internal/sops"
	"hozon.dev/hozon/test/daemon"
)

func identity(t testing.TB) *age.X25519Identity {
	t.Helper()
	id, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func sealer(t testing.TB, ids ...*age.X25519Identity) *sops.Sealer {
	t.Helper()
	var names []string
	for _, id := range ids {
		names = append(names, id.Recipient().String())
	}
	recipients, err := sops.ParseRecipients(names)
	if err != nil {
		t.Fatal(err)
	}
	return &sops.Sealer{Recipients: recipients, Now: time.Now, Rand: rand.Reader}
}

func example() map[string]any {
	return map[string]any{
		"apiVersion": "v1", "kind": "Secret", "immutable": true, "type": "example.com/x",
		"metadata":   map[string]any{"name": "a", "namespace": "b", "annotations": map[string]any{"n": "1", "e": "", "multi": "a\nb\n", "time": "2001-12-14T21:59:43Z", "data": "also"}},
		"data":       map[string]any{"password": "c2VjcmV0", "empty": "", ".hidden": "aGlkZGVu", "y": "eQ=="},
		"stringData": map[string]any{"text": "pass: word\n"},
		"more":       []any{int64(1), 1.5, false, map[string]any{"data": []any{"x", int64(2), true, 0.25, 3.0}}},
	}
}

// whole makes 3.0 what it is after a way through YAML.
func whole(o map[string]any) map[string]any {
	o["more"].([]any)[3].(map[string]any)["data"].([]any)[4] = int64(3)
	return o
}

func TestSealOpen(t *testing.T) {
	a, b := identity(t), identity(t)
	text, err := sealer(t, a, b).Seal(example())
	if err != nil {
		t.Fatal(err)
	}
	for _, plain := range []string{"c2VjcmV0", "aGlkZGVu", "pass: word", "also"} {
		if bytes.Contains(text, []byte(plain)) {
			t.Errorf("%q is in clear text in\n%s", plain, text)
		}
	}
	for _, id := range []age.Identity{a, b} {
		got, err := sops.Open(text, []age.Identity{identity(t), id})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(whole(example()), got); diff != "" {
			t.Error(diff)
		}
	}
	if _, err := sops.Open(text, nil); !fail.Is(err, fail.Denied) || !strings.Contains(err.Error(), "--age-identity") {
		t.Error(err)
	}
	if _, err := sops.Open(text, []age.Identity{identity(t)}); !fail.Is(err, fail.Denied) || !strings.Contains(err.Error(), a.Recipient().String()) {
		t.Error(err)
	}
}

// TestTampered: whatever is changed is seen.
func TestTampered(t *testing.T) {
	id := identity(t)
	text, err := sealer(t, id).Seal(example())
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(text), "\n")
	find := func(prefix string) int {
		for i, l := range lines {
			if strings.HasPrefix(strings.TrimSpace(l), prefix) {
				return i
			}
		}
		t.Fatalf("no line %q in\n%s", prefix, text)
		return 0
	}
	value := func(i int) string { _, v, _ := strings.Cut(lines[i], ": "); return v }
	password, hidden := find("password:"), find(".hidden:")
	tests := map[string]func(l []string) []string{
		"a plain value":    func(l []string) []string { l[find(`name:`)] = "  name: other"; return l },
		"a value left out": func(l []string) []string { return append(l[:password], l[password+1:]...) },
		"values exchanged": func(l []string) []string {
			l[password], l[hidden] = "  password: "+value(hidden), "  .hidden: "+value(password)
			return l
		},
		"a value in clear": func(l []string) []string { l[password] = "  password: eA=="; return l },
		"a key renamed":    func(l []string) []string { l[password] = "  passwort: " + value(password); return l },
		"the time of the MAC": func(l []string) []string {
			l[find("lastmodified:")] = `  lastmodified: "2020-01-01T00:00:00Z"`
			return l
		},
	}
	for name, change := range tests {
		changed := strings.Join(change(append([]string(nil), lines...)), "\n")
		if _, err := sops.Open([]byte(changed), []age.Identity{id}); !fail.Is(err, fail.Corrupt) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestPeer: the program SOPS reads what is written here, and the other way round.
func TestPeer(t *testing.T) {
	if testing.Short() {
		t.Skip("builds SOPS")
	}
	binary, err := daemon.Build(t.Context(), "tools/build", "tools/sops", "github.com/getsops/sops/v3/cmd/sops", "sops")
	if err != nil {
		t.Fatal(err)
	}
	id := identity(t)
	text, err := sealer(t, id).Seal(example())
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	run := func(args ...string) []byte {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), binary, args...)
		cmd.Env = append(os.Environ(), "SOPS_AGE_KEY="+id.String(), "HOME="+dir)
		var errs bytes.Buffer
		cmd.Stderr = &errs
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("sops %q: %v: %s", args, err, errs.Bytes())
		}
		return out
	}
	file := filepath.Join(dir, "secret.yaml")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	plain := run("-d", file)
	data, err := yaml.YAMLToJSON(plain)
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := utiljson.Unmarshal(data, &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(whole(example()), got); diff != "" {
		t.Errorf("as SOPS reads it: %s", diff)
	}
	for _, rule := range [][]string{nil, {"--encrypted-regex", "^(data|stringData)$"}, {"--unencrypted-regex", "^(kind|apiVersion|metadata)$"}} {
		if err := os.WriteFile(file, plain, 0o600); err != nil {
			t.Fatal(err)
		}
		theirs := run(append(append([]string{"-e", "--age", id.Recipient().String()}, rule...), file)...)
		back, err := sops.Open(theirs, []age.Identity{id})
		if err != nil {
			t.Fatalf("%v: %v in\n%s", rule, err, theirs)
		}
		if !reflect.DeepEqual(back, whole(example())) {
			t.Errorf("%v: %s", rule, cmp.Diff(whole(example()), back))
		}
	}
}

// FuzzOpen: no document makes the reader panic.
func FuzzOpen(f *testing.F) {
	id := identity(f)
	text, err := sealer(f, id).Seal(example())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Fuzz(func(t *testing.T, text []byte) {
		if o, err := sops.Open(text, []age.Identity{id}); err == nil && o == nil {
			t.Error("neither an object nor an error")
		}
	})
}
