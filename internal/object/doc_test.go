// SPDX-License-Identifier: Apache-2.0

package object

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the table into doc/normalisation.md")

// TestNormalisationPage: the page's table is that of the code.
func TestNormalisationPage(t *testing.T) {
	const page, begin, end = "../../doc/normalisation.md", "<!-- rules: begin -->\n", "<!-- rules: end -->"
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(text), begin)
	have, after, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatal("the page has no place for the table")
	}
	var want strings.Builder
	want.WriteString("| id | kinds | what does not count | why |\n|---|---|---|---|\n")
	for _, r := range Rules() {
		fmt.Fprintf(&want, "| %s | %s | %s | %s |\n", r.ID, r.Kinds, r.Field, r.Why)
	}
	if have == want.String() {
		return
	}
	if !*update {
		t.Fatal("the table in doc/normalisation.md is not that of the code: run go test ./internal/object -run NormalisationPage -update")
	}
	if err := os.WriteFile(page, []byte(before+begin+want.String()+end+after), 0o644); err != nil {
		t.Fatal(err)
	}
}
