// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"
)

// step is one row of the table at the end.
type step struct {
	title  string
	took   time.Duration
	result string
}

// step prints what is about to happen, does it, and notes how long it took.
func (d *demo) step(ctx context.Context, title string, do func(context.Context) (string, error)) error {
	fmt.Fprintf(d.out, "\n%d. %s\n", len(d.steps)+1, title)
	started := time.Now()
	result, err := do(ctx)
	if err != nil {
		return fmt.Errorf("%s: %w", strings.ToLower(title), err)
	}
	took := time.Since(started)
	d.steps = append(d.steps, step{title: title, took: took, result: result})
	d.say("%s (%s)", result, seconds(took))
	return nil
}

func (d *demo) say(format string, args ...any) { fmt.Fprintf(d.out, "   "+format+"\n", args...) }

func seconds(t time.Duration) string { return fmt.Sprintf("%.1f s", t.Seconds()) }

// command is a command line of a program: what is printed, and what is run.
type command struct {
	text string
	cmd  *exec.Cmd
}

// command is `bin/hozon args…` with the environment that was printed at the start.
func (d *demo) command(args ...string) command {
	cmd := exec.Command(d.hozon, args...)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+d.cluster.Kubeconfig(), "HOZON_STORE="+d.store())
	return command{text: strings.Join(append([]string{"bin/hozon"}, args...), " "), cmd: cmd}
}

func (d *demo) kubectl(ctx context.Context, args ...string) command {
	return command{text: strings.Join(append([]string{"kubectl"}, args...), " "), cmd: d.cluster.Kubectl(ctx, args...)}
}

// shown is how many lines of a command's output are printed from its start, and how many of its end.
const shown = 4

// shell prints a command line, runs it, and prints the start and the end of what it says. It returns how many lines those were.
func (d *demo) shell(ctx context.Context, c command) (int, error) {
	d.say("$ %s", c.text)
	var said bytes.Buffer
	c.cmd.Stdout, c.cmd.Stderr = &said, &said
	if err := c.cmd.Start(); err != nil {
		return 0, err
	}
	// The program is asked to end, as ^C does, and has time to clean up.
	stop := context.AfterFunc(ctx, func() { _ = c.cmd.Process.Signal(syscall.SIGINT) })
	err := c.cmd.Wait()
	stop()
	lines := strings.Split(strings.TrimRight(said.String(), "\n"), "\n")
	for i, line := range lines {
		switch {
		case i < shown || i >= len(lines)-shown || err != nil:
			d.say("  %s", strings.TrimRight(line, " "))
		case i == shown:
			d.say("  … %d more lines", len(lines)-2*shown)
		}
	}
	if err != nil {
		return 0, fmt.Errorf("%s: %w", c.text, errors.Join(err, ctx.Err()))
	}
	return len(lines), nil
}

// conclude prints the table, the verdict, and what comes next.
func (d *demo) conclude(changes []change, took time.Duration) {
	fmt.Fprintln(d.out)
	table := tabwriter.NewWriter(d.out, 0, 0, 2, ' ', 0)
	for i, s := range d.steps {
		fmt.Fprintf(table, "%d\t%s\t%s\t%s\n", i+1, s.title, seconds(s.took), s.result)
	}
	fmt.Fprintf(table, "\tTogether\t%s\t\n", seconds(took))
	_ = table.Flush()
	const most = 20
	for i, c := range changes {
		if i == most {
			fmt.Fprintf(d.out, "… and %d more\n", len(changes)-most)
			break
		}
		fmt.Fprintln(d.out, " ", c)
	}
	if len(changes) > 0 {
		fmt.Fprintf(d.out, "\nVERDICT: %d objects are NOT what they were.\n", len(changes))
		return
	}
	fmt.Fprint(d.out, `
VERDICT: every object is what it was.

On your own cluster:

  export KUBECONFIG=~/.kube/config                 # or leave it: hozon finds the cluster as kubectl does
  export HOZON_STORE=/srv/backups                  # or 's3://bucket/prefix?endpoint=https://s3.example.com'
  bin/hozon backup create first                    # nothing is installed in the cluster
  bin/hozon backup verify first
  bin/hozon restore create --from-backup first --dry-run
`)
}

// size is how many bytes the files below a folder have.
func size(dir string) (int64, error) {
	var sum int64
	err := filepath.WalkDir(dir, func(_ string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		info, err := e.Info()
		if err == nil {
			sum += info.Size()
		}
		return err
	})
	return sum, err
}
