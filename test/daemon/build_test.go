// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
)

// writeModule makes a module whose program says word.
func writeModule(t *testing.T, dir, word string) {
	t.Helper()
	files := map[string]string{
		"go.mod":       "module example.test/say\n\ngo 1.26.0\n",
		"go.sum":       "",
		"main.go":      "package main\n\nimport \"os\"\n\nfunc main() { os.Stdout.WriteString(\"" + word + "\") }\n",
		"main_test.go": "package main\n",
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func build(t *testing.T, module string) string {
	t.Helper()
	binary, err := Build(t.Context(), "tools/build", module, ".", "say")
	if err != nil {
		t.Fatal(err)
	}
	return binary
}

func say(t *testing.T, binary string) string {
	t.Helper()
	out, err := exec.Command(binary).Output()
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// Compiles a small program twice, about 1 s.
func TestBuildCachesByContent(t *testing.T) {
	cache := t.TempDir()
	t.Setenv("HOZON_CACHE", cache)
	module := t.TempDir()
	writeModule(t, module, "one")

	var wg sync.WaitGroup
	paths := make([]string, 4)
	for i := range paths {
		wg.Go(func() { paths[i], _ = Build(t.Context(), "tools/build", module, ".", "say") })
	}
	wg.Wait()
	one := paths[0]
	for _, path := range paths {
		if path != one || path == "" {
			t.Fatalf("builds at the same time: %q", paths)
		}
	}
	if got := say(t, one); got != "one" {
		t.Errorf("it says %q", got)
	}
	if rel, err := filepath.Rel(cache, one); err != nil || !filepath.IsLocal(rel) {
		t.Errorf("%s is not in the cache", one)
	}
	before, err := os.Stat(one)
	if err != nil {
		t.Fatal(err)
	}
	if again := build(t, module); again != one {
		t.Errorf("built again as %s", again)
	}
	after, err := os.Stat(one)
	if err != nil || !os.SameFile(before, after) {
		t.Errorf("the cached binary was replaced (%v)", err)
	}

	writeModule(t, module, "two")
	two := build(t, module)
	if two == one {
		t.Error("a changed source has the same binary")
	}
	if got := say(t, two) + say(t, one); got != "twoone" {
		t.Errorf("they say %q", got)
	}
}

func TestBuildFails(t *testing.T) {
	t.Setenv("HOZON_CACHE", t.TempDir())
	module := t.TempDir()
	writeModule(t, module, `" + undefined + "`)
	for range 2 { // a failed build leaves nothing that looks like a binary
		if path, err := Build(t.Context(), "tools/build", module, ".", "say"); err == nil {
			t.Errorf("a broken program was built as %q", path)
		}
	}
}
