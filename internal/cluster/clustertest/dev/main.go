// SPDX-License-Identifier: Apache-2.0

// Command dev starts and stops clusters that outlive the command: `make dev`
// and `make dev-down`.
//
//	dev [-name NAME] [-node] up     prints `export KUBECONFIG=…` on standard output
//	dev [-name NAME] down
//
// With -node it has a node that runs pods, and busybox as an image to try.
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
	node := flag.Bool("node", false, "with a node that runs pods (Linux, as root)")
	flag.Usage = func() {
		fmt.Fprintln(os.Stderr, "usage: dev [-name NAME] [-node] up|down")
		flag.PrintDefaults()
	}
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	err := run(ctx, site{name: *name, node: *node}, flag.Args())
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

func run(ctx context.Context, s site, args []string) error {
	if len(args) != 1 {
		return errUsage
	}
	if !validName.MatchString(s.name) {
		return fmt.Errorf("name %q is not of lower-case letters, digits and dashes, 40 at most", s.name)
	}
	cache, err := daemon.Cache()
	if err != nil {
		return err
	}
	s.dir = filepath.Join(cache, "dev", s.name)
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
