// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
)

// Build runs a build script of the repository (path relative to its root, for
// example "devcluster/build") and returns the path of the binary that it
// prints. The scripts cache by content; the first call can take minutes, and
// says so on standard error.
func Build(ctx context.Context, script string, args ...string) (string, error) {
	root, err := Root()
	if err != nil {
		return "", fmt.Errorf("build with %s: %w", script, err)
	}
	cmd := exec.CommandContext(ctx, filepath.Join(root, script), args...)
	cmd.Dir = root
	cmd.Stderr = os.Stderr
	var out bytes.Buffer
	cmd.Stdout = &out
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("build with %s: %w", script, err)
	}
	return strings.TrimSpace(out.String()), nil
}

var mainModule = regexp.MustCompile(`(?m)^module hozon\.dev/hozon\s*$`)

// Root returns the folder of the repository that the working folder is in;
// `go test` runs every test inside it.
func Root() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		mod, err := os.ReadFile(filepath.Join(dir, "go.mod"))
		if err == nil && mainModule.Match(mod) {
			return dir, nil
		}
		up := filepath.Dir(dir)
		if up == dir {
			return "", errors.New("not inside a clone of the repository")
		}
		dir = up
	}
}

// Cache returns the folder for what is made once and kept:
// $HOZON_CACHE, or ~/.cache/hozon. The build scripts use the same.
func Cache() (string, error) {
	if dir := os.Getenv("HOZON_CACHE"); dir != "" {
		return filepath.Abs(dir)
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", fmt.Errorf("find cache: %w", err)
	}
	return filepath.Join(home, ".cache", "hozon"), nil
}
