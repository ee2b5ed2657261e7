// SPDX-License-Identifier: Apache-2.0

package lint

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

func tracked(t *testing.T, patterns ...string) []string {
	t.Helper()
	cmd := exec.Command("git", append([]string{"ls-files", "--"}, patterns...)...)
	cmd.Dir = root(t)
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("git ls-files: %v", err)
	}
	return strings.Fields(string(out))
}

var link = regexp.MustCompile(`\]\(([^)#]+)(#[^)]*)?\)`)

// TestLinks finds links in Markdown to files that do not exist.
func TestLinks(t *testing.T) {
	for _, page := range tracked(t, "*.md") {
		text, err := os.ReadFile(filepath.Join(root(t), page))
		if err != nil {
			continue // deleted in the work tree
		}
		for _, m := range link.FindAllStringSubmatch(string(text), -1) {
			if strings.Contains(m[1], "://") {
				continue
			}
			if _, err := os.Stat(filepath.Join(root(t), filepath.Dir(page), m[1])); err != nil {
				t.Errorf("%s links to %s, which does not exist", page, m[1])
			}
		}
	}
}

var forbiddenName = regexp.MustCompile(`(^|/)(util|utils|common|helper|helpers|misc|shared|base)/`)

// TestGoFiles checks what every Go file must have and no package may be called.
func TestGoFiles(t *testing.T) {
	for _, file := range tracked(t, "*.go") {
		if forbiddenName.MatchString(file) {
			t.Errorf("%s: a package is named after what it is for, not util, common, helper, misc, shared or base", file)
		}
		text, err := os.ReadFile(filepath.Join(root(t), file))
		if err != nil {
			continue // deleted in the work tree
		}
		if !strings.HasPrefix(string(text), "// SPDX-License-Identifier: Apache-2.0\n") && !strings.HasPrefix(string(text), "// Code generated") {
			t.Errorf("%s: the first line is not the licence identifier", file)
		}
	}
}

// TestPackageComments wants every package with code to say what it is for.
func TestPackageComments(t *testing.T) {
	cmd := exec.Command("go", "list", "-f", `{{if .GoFiles}}{{if not .Doc}}{{.ImportPath}}{{end}}{{end}}`, "./...")
	cmd.Dir = root(t)
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range strings.Fields(string(out)) {
		t.Errorf("%s has no package comment", p)
	}
}

// TestClock keeps the clock out of everything below the drivers: it is passed in.
func TestClock(t *testing.T) {
	for _, file := range tracked(t, "internal/*.go", "api/*.go") {
		if strings.HasSuffix(file, "_test.go") || strings.HasPrefix(file, "internal/cli/") || strings.HasPrefix(file, "internal/cluster/") ||
			strings.HasPrefix(file, "internal/apply/") || strings.HasPrefix(file, "internal/blob/") {
			continue
		}
		text, err := os.ReadFile(filepath.Join(root(t), file))
		if err != nil {
			continue
		}
		if strings.Contains(string(text), "time.Now()") {
			t.Errorf("%s calls time.Now: take the time, or a clock, as a parameter", file)
		}
	}
}

var testName = regexp.MustCompile("`((?:Test|Fuzz)[A-Za-z0-9]+)`")

// TestProofs wants every test that a document names to exist.
func TestProofs(t *testing.T) {
	exists := map[string]bool{}
	for _, file := range tracked(t, "*_test.go") {
		text, err := os.ReadFile(filepath.Join(root(t), file))
		if err != nil {
			continue // deleted in the work tree
		}
		for _, m := range regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)[A-Za-z0-9]+)\(`).FindAllStringSubmatch(string(text), -1) {
			exists[m[1]] = true
		}
	}
	for _, page := range tracked(t, "*.md") {
		text, err := os.ReadFile(filepath.Join(root(t), page))
		if err != nil {
			continue
		}
		for _, m := range testName.FindAllStringSubmatch(string(text), -1) {
			if !exists[m[1]] {
				t.Errorf("%s names %s, which does not exist", page, m[1])
			}
		}
	}
}
