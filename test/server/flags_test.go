// SPDX-License-Identifier: Apache-2.0

package server

import (
	"bufio"
	"fmt"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"hozon.dev/hozon/internal/cli"
	"hozon.dev/hozon/internal/cli/env"
)

// flag is what Velero's help says of one.
type flag struct{ name, short, value string }

// help is what the real velero says of one command.
type help struct {
	commands []string
	flags    []flag
}

var (
	flagLine    = regexp.MustCompile(`^ {2,6}(?:-(\w), )?--([\w-]+)`)
	defaultText = regexp.MustCompile(`\(default "?(.*?)"?\)$`)
	commandLine = regexp.MustCompile(`^  ([a-z-]+) +`)
)

// ask runs `velero … --help`.
func ask(t *testing.T, binary string, path []string) help {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), binary, append(slices.Clone(path), "--help")...)
	cmd.Env = []string{"HOME=" + t.TempDir(), "COLUMNS=400"}
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("velero %v --help: %v", path, err)
	}
	var h help
	part := ""
	lines := bufio.NewScanner(strings.NewReader(string(out)))
	for lines.Scan() {
		line := lines.Text()
		if strings.HasSuffix(line, ":") && !strings.HasPrefix(line, " ") {
			part = line
			continue
		}
		if m := commandLine.FindStringSubmatch(line); part == "Available Commands:" && m != nil && m[1] != "help" {
			h.commands = append(h.commands, m[1])
		}
		if m := flagLine.FindStringSubmatch(line); part == "Flags:" && m != nil && m[2] != "help" {
			f := flag{name: m[2], short: m[1]}
			if d := defaultText.FindStringSubmatch(line); d != nil && d[1] != "<none>" { // an empty selector's text
				f.value = d[1]
			}
			h.flags = append(h.flags, f)
		}
	}
	return h
}

// TestPeerFlags compares every command of the real velero, its flags, their short forms and their defaults with ours.
func TestPeerFlags(t *testing.T) {
	binary := veleroBinary(t)
	root := cli.New(env.New("velero", "v0"))
	root.InitDefaultCompletionCmd()
	var missing []string
	var walk func(path []string)
	walk = func(path []string) {
		h := ask(t, binary, path)
		ours := find(root, path)
		if ours == nil {
			missing = append(missing, "velero "+strings.Join(path, " "))
			return
		}
		missing = append(missing, compare(path, ours, h.flags)...)
		for _, name := range h.commands {
			walk(append(slices.Clone(path), name))
		}
	}
	walk(nil)
	for _, text := range missing {
		if !slices.ContainsFunc(meant, func(m [2]string) bool { return strings.HasPrefix(text, m[0]) }) {
			t.Error(text)
		}
	}
	for _, m := range meant {
		if !slices.ContainsFunc(missing, func(text string) bool { return strings.HasPrefix(text, m[0]) }) {
			t.Errorf("%q is said to differ, and does not", m[0])
		}
	}
}

// meant are the differences that are wanted, with the reason.
var meant = [][2]string{
	{"velero install --apply: default", "an installation is always applied over what is there"},
	{"velero install --garbage-collection-frequency: default", "not set is the server's default, which is the same hour"},
	{"velero install --image: default", "our image"},
	{"velero install --node-agent-pod-cpu-limit: default", "not set is no bound, which is Velero's default written otherwise"},
	{"velero install --node-agent-pod-cpu-request: default", "not set is no bound, which is Velero's default written otherwise"},
	{"velero install --node-agent-pod-mem-limit: default", "not set is no bound, which is Velero's default written otherwise"},
	{"velero install --node-agent-pod-mem-request: default", "not set is no bound, which is Velero's default written otherwise"},
	{"velero uninstall --wait: default", "it always waits, as Velero's does: the flag means nothing there any more"},
}

func find(c *cobra.Command, path []string) *cobra.Command {
	for _, name := range path {
		i := slices.IndexFunc(c.Commands(), func(s *cobra.Command) bool { return s.Name() == name || slices.Contains(s.Aliases, name) })
		if i < 0 {
			return nil
		}
		c = c.Commands()[i]
	}
	return c
}

func compare(path []string, c *cobra.Command, flags []flag) []string {
	var missing []string
	say := func(f flag, format string, args ...any) {
		missing = append(missing, fmt.Sprintf("velero %s --%s: ", strings.Join(path, " "), f.name)+fmt.Sprintf(format, args...))
	}
	for _, f := range flags {
		own := c.Flags().Lookup(f.name)
		if own == nil {
			own = c.PersistentFlags().Lookup(f.name)
		}
		if own == nil {
			own = c.InheritedFlags().Lookup(f.name)
		}
		if own == nil {
			say(f, "missing")
			continue
		}
		if own.Shorthand != f.short {
			say(f, "short form %q, Velero's is %q", own.Shorthand, f.short)
		}
		if got := plainDefault(own); got != f.value {
			say(f, "default %q, Velero's is %q", got, f.value)
		}
	}
	return missing
}

// plainDefault is a default as help texts show it: nothing where it is nothing.
func plainDefault(f *pflag.Flag) string {
	switch f.DefValue {
	case "false", "0", "0s", "[]", "<nil>":
		return ""
	}
	return strings.Trim(f.DefValue, "[]")
}
