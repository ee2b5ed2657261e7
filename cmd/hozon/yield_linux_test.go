// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestYield looks at the niceness of all threads of a process of its own: of the test's it could not be taken back.
func TestYield(t *testing.T) {
	if os.Getenv("HOZON_TEST_YIELD") == "" {
		for _, tt := range []struct {
			begin []string
			want  string
		}{{nil, "10"}, {[]string{"nice", "-n", "3"}, "3"}} {
			argv := append(tt.begin, os.Args[0], "-test.run=^TestYield$", "-test.v")
			cmd := exec.Command(argv[0], argv[1:]...)
			cmd.Env = append(os.Environ(), "HOZON_TEST_YIELD="+tt.want)
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%v: %s", argv, out)
			}
		}
		return
	}
	yield()
	stats, err := filepath.Glob("/proc/self/task/*/stat")
	if err != nil || len(stats) == 0 {
		t.Fatal(stats, err)
	}
	for _, name := range stats {
		text, err := os.ReadFile(name)
		if os.IsNotExist(err) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		_, rest, _ := strings.Cut(string(text), ") ")
		const nice = 16 // fields after the name, from the state on
		if fields := strings.Fields(rest); len(fields) <= nice || fields[nice] != os.Getenv("HOZON_TEST_YIELD") {
			t.Errorf("%s: %s", name, rest)
		}
	}
}
