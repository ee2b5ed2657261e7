// SPDX-License-Identifier: Apache-2.0

package scenario

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"filippo.io/age"
)

// built is the program under test, made once: a variable of the package, because tests have nothing else in common.
var built struct {
	once sync.Once
	dir  string
	err  error
}

func program(t testing.TB) string {
	t.Helper()
	built.once.Do(func() {
		if built.dir, built.err = os.MkdirTemp("", "hozon-scenario-"); built.err != nil {
			return
		}
		out, err := exec.Command("go", "build", "-o", filepath.Join(built.dir, "hozon"), "hozon.dev/hozon/cmd/hozon").CombinedOutput()
		if err != nil {
			built.err = errors.New(string(out))
		}
	})
	check(t, built.err)
	return filepath.Join(built.dir, "hozon")
}

// Station is where somebody sits who saves and restores a cluster.
type Station struct {
	Dir       string
	cluster   *Cluster
	program   string
	inventory string
	identity  string
	recipient string
}

// NewStation has an identity of its own.
func NewStation(t testing.TB, c *Cluster) *Station {
	t.Helper()
	s := &Station{Dir: t.TempDir(), cluster: c, program: program(t), inventory: c.Inventory(t)}
	key, err := age.GenerateX25519Identity()
	check(t, err)
	s.identity, s.recipient = filepath.Join(t.TempDir(), "key.txt"), key.Recipient().String()
	check(t, os.WriteFile(s.identity, []byte(key.String()), 0o600))
	return s
}

// Command is hozon, inside of the cluster's network.
func (s *Station) Command(ctx context.Context, args ...string) *exec.Cmd {
	c := s.cluster.Command(ctx, s.program, args...)
	c.Dir = s.Dir
	c.Env = append(os.Environ(), "HOZON_IDENTITY="+s.identity, "HOME="+s.Dir, "TMPDIR="+s.Dir) // all that it writes is below one folder
	return c
}

// Try runs hozon and returns all that it says.
func (s *Station) Try(t testing.TB, args ...string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	c := s.Command(t.Context(), args...)
	c.Stdout, c.Stderr = &out, &out
	err := c.Run()
	return out.String(), err
}

// Must runs hozon, which must succeed.
func (s *Station) Must(t testing.TB, args ...string) string {
	t.Helper()
	out, err := s.Try(t, args...)
	if err != nil {
		t.Fatalf("hozon %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

// Backup saves the cluster and returns the archive's name.
func (s *Station) Backup(t testing.TB, name string) string {
	t.Helper()
	s.Must(t, "backup", "cluster", "-c", "prod", "--inventory", s.inventory, "--recipient", s.recipient, "--backup-file", name)
	return name
}

// restore are the arguments of a restore.
func (s *Station) restore(more ...string) []string {
	return append([]string{"restore", "cluster", "-c", "prod", "--inventory", s.inventory, "--yes"}, more...)
}

// nothingInMemory wants the station's restores to have left nothing where they made etcd's data.
func (s *Station) nothingInMemory(t testing.TB) {
	t.Helper()
	restores, err := filepath.Glob(filepath.Join(s.Dir, "hozon-workspace/prod_restore_*"))
	check(t, err)
	if len(restores) == 0 {
		t.Error("there was no restore")
	}
	for _, r := range restores {
		_, id, _ := strings.Cut(filepath.Base(r), "_restore_")
		if _, err := os.Stat("/dev/shm/hozon-restore-" + id); !os.IsNotExist(err) {
			t.Errorf("left in memory by the restore %s: %v", id, err)
		}
	}
}
