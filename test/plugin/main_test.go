// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"hozon.dev/hozon/internal/plugin"
	"hozon.dev/hozon/test/daemon"
)

// example builds the program on Velero's framework, once.
func example(t *testing.T) string {
	t.Helper()
	if testing.Short() {
		t.Skip("it builds a program on Velero's framework")
	}
	path, err := daemon.Build(t.Context(), "tools/build", "test/plugin/program", ".", "velero-plugin-example")
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// logged is what a folder's programs have said.
type logged struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logged) has(text string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return bytes.Contains(l.text.Bytes(), []byte(text))
}

// folder has links to programs, one of them in a folder below, and what is no program.
func folder(t *testing.T, programs ...string) (*plugin.Folder, *logged) {
	t.Helper()
	dir := t.TempDir()
	for _, p := range programs {
		sub := filepath.Join(dir, "sub")
		if err := os.MkdirAll(sub, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Link(p, filepath.Join(sub, filepath.Base(p))); err != nil {
			if err := copyFile(p, filepath.Join(sub, filepath.Base(p))); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "README"), []byte("no program"), 0o600); err != nil {
		t.Fatal(err)
	}
	log := &logged{}
	f := &plugin.Folder{
		Dir: dir, Args: []string{"--log-level=debug", "--features=EnableCSI", "--a-flag-of-nobody=1"},
		Log: slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	t.Cleanup(f.Close)
	return f, log
}

func copyFile(from, to string) error {
	data, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, data, 0o700)
}

// die makes the program end in its next call.
func die(t *testing.T, root string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(root, "die"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
}
