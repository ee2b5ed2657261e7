// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// place is where one contender works.
type place struct{ source, repository, state, target string }

// contender is a program that saves folders. What save and restore return are command lines.
type contender interface {
	name() string
	create(ctx context.Context, p place) error
	save(p place) []string
	restore(p place) []string
}

const password = "static-passw0rd"

// contenders are ours and those that are named; ours is first.
func contenders(build, with string) ([]contender, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	all := []contender{hozon{self}}
	for name := range strings.SplitSeq(with, ",") {
		switch name {
		case "":
		case "kopia":
			program, err := built(build, name, "github.com/kopia/kopia")
			if err != nil {
				return nil, err
			}
			all = append(all, kopia{program: program, title: "kopia, the same settings", hash: "BLAKE3-256-128", compression: "s2-default"},
				kopia{program: program, title: "kopia, Velero's settings", hash: "BLAKE2B-256-128", compression: "none"})
		case "restic":
			program, err := built(build, name, "github.com/restic/restic/cmd/restic")
			if err != nil {
				return nil, err
			}
			all = append(all, restic{program})
		default:
			return nil, fmt.Errorf("-with %q: known are kopia and restic", name)
		}
	}
	return all, nil
}

// built is a program of a module beside this one, built once.
func built(build, name, pkg string) (string, error) {
	c := exec.Command(build, name, pkg, name)
	c.Stderr = os.Stderr
	out, err := c.Output()
	if err != nil {
		return "", fmt.Errorf("build %s: %w", name, err)
	}
	return strings.TrimSpace(string(out)), nil
}

// command runs what is not measured.
func command(ctx context.Context, args ...string) error {
	c := exec.CommandContext(ctx, args[0], args[1:]...)
	c.Env = environment()
	if out, err := c.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", strings.Join(args, " "), err, out)
	}
	return nil
}

func environment() []string {
	return append(os.Environ(), "KOPIA_PASSWORD="+password, "RESTIC_PASSWORD="+password, "KOPIA_CHECK_FOR_UPDATES=false")
}

// hozon is this program as its own child: what the node agent does.
type hozon struct{ program string }

func (h hozon) name() string { return "hozon" }
func (h hozon) create(ctx context.Context, p place) error {
	return command(ctx, h.args("create", p)...)
}
func (h hozon) save(p place) []string     { return h.args("save", p) }
func (h hozon) restore(p place) []string  { return h.args("restore", p) }
func (h hozon) forget(p place) []string   { return h.args("forget", p) }
func (h hozon) maintain(p place) []string { return h.args("maintain", p) }

func (h hozon) args(verb string, p place) []string {
	return []string{h.program, childVerb, verb, p.source, p.repository, p.state, p.target}
}

// kopia is its own program with a repository in a folder.
type kopia struct{ program, title, hash, compression string }

func (k kopia) name() string { return k.title }

func (k kopia) args(p place, args ...string) []string {
	return append([]string{k.program, "--config-file=" + filepath.Join(p.state, "config"), "--log-dir=" + filepath.Join(p.state, "log"), "--no-progress"}, args...)
}

func (k kopia) create(ctx context.Context, p place) error {
	err := command(ctx, k.args(p, "repository", "create", "filesystem", "--path="+p.repository, "--cache-directory="+filepath.Join(p.state, "cache"),
		"--block-hash="+k.hash, "--object-splitter=DYNAMIC-4M-BUZHASH", "--no-check-for-updates")...)
	if err != nil {
		return err
	}
	return command(ctx, k.args(p, "policy", "set", "--global", "--compression="+k.compression)...)
}

func (k kopia) save(p place) []string { return k.args(p, "snapshot", "create", p.source) }

func (k kopia) restore(p place) []string { return k.args(p, "snapshot", "restore", p.source, p.target) }

// restic is its own program with a repository in a folder, with its own settings.
type restic struct{ program string }

func (r restic) name() string { return "restic" }

func (r restic) args(p place, args ...string) []string {
	return append([]string{r.program, "--repo=" + p.repository, "--cache-dir=" + filepath.Join(p.state, "cache"), "--quiet"}, args...)
}

func (r restic) create(ctx context.Context, p place) error {
	return command(ctx, r.args(p, "init")...)
}
func (r restic) save(p place) []string { return r.args(p, "backup", p.source) }
func (r restic) restore(p place) []string {
	return r.args(p, "restore", "latest:"+p.source, "--target="+p.target)
}
