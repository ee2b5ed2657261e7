// SPDX-License-Identifier: Apache-2.0

// Command bench measures the hozon binary on a real control plane: `make bench`.
//
// It fills a cluster (etcd with fsync, API server, no controllers) with N objects of a realistic mix, backs it up into an
// S3 server on the same machine, and restores that backup into a fresh, empty cluster; each several times after a warm-up,
// by the binary as a user has it. It prints a table and writes what it measured to bench/out as JSON.
//
// Its nouns: the corpus is what the cluster is filled with (the same bytes for the same N), a run is one execution of the
// binary with what it used, a figure is what several runs say about one thing.
//
// A run that is fast but wrong ends the benchmark: everything must be backed up, restored, and keep its managedFields.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"syscall"
)

// options are the command line.
type options struct {
	n        int
	nRestore int
	runs     int
	only     string
	store    string
	profile  string
}

func main() {
	if len(os.Args) > 2 && os.Args[1] == measureVerb {
		os.Exit(measureMain(os.Args[2:]))
	}
	if len(os.Args) > 1 && os.Args[1] == veleroVerb {
		os.Exit(veleroMain(os.Args[2:]))
	}
	if len(os.Args) > 1 && os.Args[1] == serverVerb {
		os.Exit(serverMain(os.Args[2:]))
	}
	var o options
	flag.IntVar(&o.n, "n", fromEnv("N", 10000), "how many objects (also the variable N)")
	flag.IntVar(&o.nRestore, "restore", fromEnv("N_RESTORE", 0), "restore about so many of them; 0: all (also N_RESTORE)")
	flag.IntVar(&o.runs, "runs", fromEnv("RUNS", 5), "measured runs of each, after one warm-up (also RUNS)")
	flag.StringVar(&o.only, "only", "", "measure only 'backup', 'restore' or 'project' (export as manifests; otherwise not measured)")
	flag.StringVar(&o.store, "store", "s3", "where the backups go: 's3' (a server on loopback) or 'dir'")
	flag.StringVar(&o.profile, "profile", "", "afterwards run both once more, profiled, and leave the profiles in this folder")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	if err := run(ctx, o, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func fromEnv(name string, otherwise int) int {
	if n, err := strconv.Atoi(os.Getenv(name)); err == nil {
		return n
	}
	return otherwise
}

func run(ctx context.Context, o options, args []string) error {
	switch {
	case len(args) > 0:
		return fmt.Errorf("what is %q?", args)
	case o.n < 100 || o.runs < 1:
		return errors.New("at least 100 objects and one run")
	case o.only != "" && o.only != "backup" && o.only != "restore" && o.only != "project":
		return fmt.Errorf("-only %q: backup, restore or project", o.only)
	case o.store != "s3" && o.store != "dir":
		return fmt.Errorf("-store %q: s3 or dir", o.store)
	}
	b, err := newBench(ctx, o)
	if err != nil {
		return err
	}
	defer b.close()
	if err := b.measure(ctx); err != nil {
		return err
	}
	return b.report(os.Stdout)
}
