// SPDX-License-Identifier: Apache-2.0

// Package lint holds the rules of the house that no linter knows, as tests.
package lint

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

const module = "hozon.dev/hozon/"

// place is where a package stands in the rank table of ARCHITECTURE.md.
type place struct {
	rank   int
	row    int
	chain  int // packages of one row and one chain may import to the left
	link   int // position in the chain
	forbid []string
}

type listed struct {
	ImportPath string
	GoFiles    []string
	Imports    []string
}

func root(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// TestRanks compares the rank table with what the packages import.
func TestRanks(t *testing.T) {
	table := readTable(t)
	packages := goList(t)
	used := map[string]bool{}
	for _, p := range packages {
		if len(p.GoFiles) == 0 {
			continue
		}
		name := strings.TrimPrefix(p.ImportPath, module)
		family, at, ok := find(table, name)
		if !ok {
			t.Errorf("%s is in no row of the rank table in ARCHITECTURE.md", name)
			continue
		}
		used[family] = true
		for _, imp := range p.Imports {
			for _, f := range at.forbid {
				if imp == f || strings.HasPrefix(imp, f+"/") && f != "os" && f != "net" {
					t.Errorf("%s imports %s, which the row of %s forbids", name, imp, family)
				}
			}
			if other, own := strings.CutPrefix(imp, module); own {
				checkImport(t, table, name, other)
			}
		}
	}
	for family := range table {
		if !used[family] {
			t.Errorf("the rank table names %s, which has no package", family)
		}
	}
}

func checkImport(t *testing.T, table map[string]place, from, to string) {
	t.Helper()
	fromFamily, a, _ := find(table, from)
	toFamily, b, ok := find(table, to)
	switch {
	case !ok: // reported where that package itself is looked at
	case fromFamily == toFamily, strings.HasPrefix(fromFamily+"/", toFamily+"/"):
	case b.rank < a.rank:
	case a.row == b.row && a.chain == b.chain && b.link < a.link:
	case a.rank == 9 && b.rank == 9:
	default:
		t.Errorf("%s (rank %d) imports %s (rank %d)", from, a.rank, to, b.rank)
	}
}

// find returns the row of the nearest listed parent of a package.
func find(table map[string]place, name string) (string, place, bool) {
	for {
		if p, ok := table[name]; ok {
			return name, p, true
		}
		i := strings.LastIndexByte(name, '/')
		if i < 0 {
			return "", place{}, false
		}
		name = name[:i]
	}
}

var (
	rowPattern  = regexp.MustCompile(`^\| (\d) [a-z]+ \| (.*) \| (.*) ?\|$`)
	codePattern = regexp.MustCompile("`([^`]+)`")
)

func readTable(t *testing.T) map[string]place {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root(t), "ARCHITECTURE.md"))
	if err != nil {
		t.Fatal(err)
	}
	table := map[string]place{}
	lines := bufio.NewScanner(bytes.NewReader(text))
	for row := 0; lines.Scan(); row++ {
		m := rowPattern.FindStringSubmatch(lines.Text())
		if m == nil {
			continue
		}
		rank, _ := strconv.Atoi(m[1])
		var forbid []string
		for _, f := range codePattern.FindAllStringSubmatch(m[3], -1) {
			forbid = append(forbid, f[1])
		}
		for chain, part := range strings.Split(m[2], ", ") {
			for link, p := range codePattern.FindAllStringSubmatch(part, -1) {
				table[p[1]] = place{rank: rank, row: row, chain: chain, link: link, forbid: forbid}
			}
		}
	}
	if len(table) < 10 {
		t.Fatalf("found only %d packages in the rank table: has its form changed?", len(table))
	}
	return table
}

func goList(t *testing.T) []listed {
	t.Helper()
	cmd := exec.Command("go", "list", "-json=ImportPath,GoFiles,Imports", "./...")
	cmd.Dir = root(t)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var packages []listed
	dec := json.NewDecoder(bytes.NewReader(out))
	for {
		var p listed
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return packages
		} else if err != nil {
			t.Fatal(err)
		}
		packages = append(packages, p)
	}
}
