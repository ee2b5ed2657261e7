// SPDX-License-Identifier: Apache-2.0

package scenario

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"hozon.dev/hozon/internal/dr"
	"hozon.dev/hozon/test/daemon"
)

var block = regexp.MustCompile("(?s)```sh\n(.*?)```")

// TestGuide runs every command of the pages on disaster recovery, in their order, on the layouts that they are for.
func TestGuide(t *testing.T) {
	t.Parallel()
	for name, g := range map[string]struct {
		page  string
		setup Setup
	}{
		"kubeadm":           {"disaster.md", Setup{}},
		dr.LayoutOpenShift3: {"disaster.md", Setup{Layout: dr.LayoutOpenShift3}},
		dr.LayoutK3s:        {"disaster-k3s.md", Setup{Layout: dr.LayoutK3s}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g.setup.Hosts = 1
			guide(t, g.page, g.setup)
		})
	}
}

func guide(t *testing.T, name string, setup Setup) {
	c := Start(t, setup)
	w := newWorld(t, c)
	s := NewStation(t, c)
	root, err := daemon.Root()
	check(t, err)
	page, err := os.ReadFile(filepath.Join(root, "doc/guide", name))
	check(t, err)
	inventory, err := os.ReadFile(s.inventory)
	check(t, err)
	key, err := os.ReadFile(s.identity)
	check(t, err)
	for name, text := range map[string]string{"hosts.yaml": string(inventory), "key.txt": string(key), "recipient.txt": s.recipient} {
		check(t, os.WriteFile(filepath.Join(s.Dir, name), []byte(text), 0o600))
	}
	bin := t.TempDir()
	check(t, os.Symlink(s.program, filepath.Join(bin, "hozon")))
	check(t, os.Symlink(c.kube, filepath.Join(bin, "kubectl")))
	all := block.FindAllStringSubmatch(string(page), -1)
	if len(all) != 5 {
		t.Fatalf("%d blocks of commands", len(all))
	}
	for i, b := range all {
		cmd := c.Command(t.Context(), "bash", "-euc", b[1])
		cmd.Dir, cmd.Env = s.Dir, append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"), "HOME="+s.Dir)
		cmd.Stdin = strings.NewReader("prod\n")
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v\n%s", b[1], err, out)
		}
		switch i {
		case 0: // saved; then it happens
			w.note(t)
			w.change(t)
		case 2:
			w.verify(t)
		case 3:
			if !strings.Contains(string(out), "shop") {
				t.Errorf("%s", out)
			}
		}
	}
}
