// SPDX-License-Identifier: Apache-2.0

// Command volumes measures how fast the files of volumes are saved and restored, side by side with kopia's own program and restic's, on the same data in
// one run: `make bench-volumes`.
//
// Its nouns: a contender saves a folder into a repository of its own and restores it, each step as a process that is measured; a step is one of
// them. Repositories are folders on the same disk. Of every step the processor's time counts too: machines that are shared say little by the clock.
//
// A restore that is not equal to what was saved ends the benchmark.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
)

// options are the command line.
type options struct {
	files, small int
	limit        int64 // MiB
	runs         int
	with         string
	tools        string
	folder       string
}

func main() {
	if len(os.Args) > 1 && os.Args[1] == childVerb {
		os.Exit(childMain(os.Args[2:]))
	}
	var o options
	flag.IntVar(&o.files, "files", 2000, "files of a megabyte")
	flag.IntVar(&o.small, "small", 500_000, "files of 200 bytes, saved in a cgroup; 0: none")
	flag.Int64Var(&o.limit, "limit", 1024, "MiB of that cgroup")
	flag.IntVar(&o.runs, "runs", 1, "rounds of the large files")
	flag.StringVar(&o.with, "with", "kopia,restic", "the others; empty: none")
	flag.StringVar(&o.tools, "tools", "../tools/build", "what builds the others")
	flag.StringVar(&o.folder, "folder", "", "where files and repositories go (default: the folder for temporary files)")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "bench-volumes:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options) error {
	folder, err := os.MkdirTemp(o.folder, "hozon-bench-volumes-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(folder)
	all, err := contenders(o.tools, o.with)
	if err != nil {
		return err
	}
	var t table
	for round := range o.runs {
		if o.files > 0 {
			at := filepath.Join(folder, fmt.Sprint("large-", round))
			if err := large(ctx, &t, at, o.files, all); err != nil {
				return err
			}
			if err := os.RemoveAll(at); err != nil {
				return err
			}
		}
	}
	if o.small > 0 {
		if err := small(ctx, &t, filepath.Join(folder, "small"), o, all[0]); err != nil {
			return err
		}
	}
	t.print(os.Stdout)
	return nil
}

// large saves files of a megabyte, saves them again with one of a hundred changed, and restores them.
func large(ctx context.Context, t *table, folder string, files int, all []contender) error {
	source := filepath.Join(folder, "source")
	fmt.Fprintf(os.Stderr, "%d files of 1 MB\n", files)
	if err := fill(source, files, 1_000_000, 100); err != nil {
		return err
	}
	places := map[string]place{}
	for _, c := range all {
		p := place{source: source, repository: filepath.Join(folder, c.name(), "repository"), state: filepath.Join(folder, c.name(), "state"), target: filepath.Join(folder, c.name(), "target")}
		for _, dir := range []string{p.repository, p.state, p.target} {
			if err := os.MkdirAll(dir, 0o755); err != nil {
				return err
			}
		}
		places[c.name()] = p
		if err := c.create(ctx, p); err != nil {
			return err
		}
		if err := t.step(ctx, "first backup", c, p, c.save); err != nil {
			return err
		}
	}
	if err := change(source, files, 100, 1_000_000); err != nil {
		return err
	}
	for _, c := range all {
		if err := t.step(ctx, "1% changed", c, places[c.name()], c.save); err != nil {
			return err
		}
	}
	for _, c := range all {
		p := places[c.name()]
		if err := t.step(ctx, "restore", c, p, c.restore); err != nil {
			return err
		}
		if err := equal(source, p.target); err != nil {
			return fmt.Errorf("%s restored something else: %w", c.name(), err)
		}
		if err := os.RemoveAll(p.target); err != nil {
			return err
		}
	}
	return nil
}

// small saves many small files with little memory, restores them, forgets them, and maintains the repository.
func small(ctx context.Context, t *table, folder string, o options, c contender) error {
	files := o.small
	source := filepath.Join(folder, "source")
	fmt.Fprintf(os.Stderr, "%d files of 200 bytes\n", files)
	if err := fill(source, files, 200, 1000); err != nil {
		return err
	}
	p := place{source: source, repository: filepath.Join(folder, "repository"), state: filepath.Join(folder, "state"), target: filepath.Join(folder, "target")}
	for _, dir := range []string{p.repository, p.state, p.target} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	group, err := newGroup(o.limit << 20)
	if err != nil {
		return err
	}
	defer group.remove()
	t.group = group
	defer func() { t.group = nil }()
	if err := c.create(ctx, p); err != nil {
		return err
	}
	own := c.(hozon)
	if err := t.step(ctx, "small: first backup", c, p, c.save); err != nil {
		return err
	}
	if err := change(source, files, 100, 200); err != nil {
		return err
	}
	for _, s := range []struct {
		what string
		args func(place) []string
	}{{"small: 1% changed", c.save}, {"small: restore", c.restore}, {"small: delete", own.forget}, {"small: maintenance", own.maintain}} {
		if err := t.step(ctx, s.what, c, p, s.args); err != nil {
			return err
		}
		if s.what == "small: restore" {
			if err := equal(source, p.target); err != nil {
				return err
			}
		}
	}
	return nil
}
