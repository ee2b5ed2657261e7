// SPDX-License-Identifier: Apache-2.0

// Command demo shows on a real Kubernetes what Hozon is for: `make demo`.
//
// It starts a cluster of its own, installs a sample of applications, backs the cluster up with the hozon binary as a
// user would, destroys the sample, restores it, and compares every object with what was there. It exits with 0 only
// if nothing differs. Other clusters, kubeconfigs and folders are not touched, and nothing is left behind.
//
// Its nouns: the sample is what is installed (the templates of folder sample), a snapshot is every object of the
// cluster at one time, a change is what differs between two snapshots under the declared normalisation.
// There is no kubelet: pods are created, stay Pending, and are restored as such.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"hozon.dev/hozon/test/daemon"
)

func main() {
	binary := flag.String("hozon", "", "the hozon binary (default: bin/hozon, which `make build` makes)")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	// A second ^C ends the program at once.
	context.AfterFunc(ctx, stop)
	err := run(ctx, *binary)
	if err != nil && ctx.Err() != nil {
		err = errors.New("stopped; the cluster and its folder are gone")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, binary string) error {
	if binary == "" {
		root, err := daemon.Root()
		if err != nil {
			return err
		}
		binary = filepath.Join(root, "bin", "hozon")
	}
	d := demo{out: os.Stdout, hozon: binary}
	return d.run(ctx)
}
