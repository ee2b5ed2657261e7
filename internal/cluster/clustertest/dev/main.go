// SPDX-License-Identifier: Apache-2.0

// Command dev starts and stops clusters that outlive the command: `make dev`
// and `make dev-down`.
//
//	dev [-name NAME] up     prints `export KUBECONFIG=…` on standard output
//	dev [-name NAME] down
//
// A cluster belongs to a detached supervisor (the hidden verb "run"), which
// holds the lock of the cluster's folder. That lock, not a file with a process
// id, says whether the cluster runs; a supervisor that is killed takes its
// cluster with it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"syscall"

	"hozon.dev/hozon/test/daemon"
)

func main() {
	name := flag.String("name", "default", "which cluster; several run side by side")
	flag.Usage = func() {
		fmt.Fprintln(os.Stderr, "usage: dev [-name NAME] up|down")
		flag.PrintDefaults()
	}
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	err := run(ctx, *name, flag.Args())
	if errors.Is(err, errUsage) {
		flag.Usage()
		os.Exit(2)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "dev:", err)
		os.Exit(1)
	}
}

var errUsage = errors.New("usage")

var validName = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$`)

func run(ctx context.Context, name string, args []string) error {
	if len(args) != 1 {
		return errUsage
	}
	if !validName.MatchString(name) {
		return fmt.Errorf("name %q is not of lower-case letters, digits and dashes, 40 at most", name)
	}
	cache, err := daemon.Cache()
	if err != nil {
		return err
	}
	s := site{name: name, dir: filepath.Join(cache, "dev", name)}
	switch args[0] {
	case "up":
		return s.up(ctx, os.Stdout, os.Stderr)
	case "down":
		return s.down(ctx, os.Stderr)
	case "run":
		return s.supervise(ctx)
	}
	return errUsage
}
