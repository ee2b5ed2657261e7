// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"hozon.dev/hozon/bench/peer"
	"hozon.dev/hozon/test/s3server"
)

// veleroVerb makes this program measure hozon against real Velero: `make bench-velero`.
//
// The two take turns on the same control plane and the same S3 server, and a ratio is always that of two runs that
// followed each other. Velero's server is started before each of its turns and given time to come to rest, and it does not
// run during hozon's.
const veleroVerb = "velero"

// duel is the two against each other.
type duel struct {
	*bench
	velero   peer.Velero
	ways     []way
	memory   string // a folder on tmpfs, for temporary files of both
	patience time.Duration
	servers  bool // hozon's server is one of the two, and not its command
	log      duelResult
}

// way is a way to run Velero.
type way struct {
	name   string
	text   string // in the table
	flags  []string
	onDisk bool // its temporary files are not on tmpfs
}

var tuned = []string{"--item-block-worker-count", "4", "--client-qps", "5000", "--client-burst", "5000"}

func ways() []way {
	return []way{
		{name: "default", text: "Velero, default"},
		{name: "tuned", text: "Velero, tuned", flags: tuned},
		{name: "disk", text: "Velero, default, temporary files on disk", onDisk: true},
	}
}

// shm is where Linux has a tmpfs.
const shm = "/dev/shm"

func veleroMain(args []string) int {
	f := flag.NewFlagSet(veleroVerb, flag.ExitOnError)
	n := f.Int("n", fromEnv("N", theCorpus), "how many objects are backed up (also the variable N)")
	nRestore := f.Int("restore", fromEnv("N_RESTORE", 2000), "how many are restored, n at most (also N_RESTORE)")
	runs := f.Int("runs", fromEnv("RUNS", 5), "runs of each (also RUNS)")
	only := f.String("only", "", "measure only 'backup' or 'restore'")
	chosen := f.String("ways", "default,tuned,disk", "ways to run Velero; disk counts for backups only")
	patience := f.Duration("patience", time.Minute, "how long to wait before a run for others on the machine to come to rest")
	_ = f.Parse(args) // it exits by itself
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	o := options{n: *n, nRestore: min(*nRestore, *n), runs: *runs, only: *only, store: "s3"}
	if err := fight(ctx, o, *chosen, *patience, f.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "bench velero:", err)
		return 1
	}
	return 0
}

func fight(ctx context.Context, o options, chosen string, patience time.Duration, args []string) error {
	switch {
	case len(args) > 0:
		return fmt.Errorf("what is %q?", args)
	case o.nRestore < 100 || o.runs < 1:
		return errors.New("at least 100 objects and one run")
	case o.only != "" && o.only != "backup" && o.only != "restore":
		return fmt.Errorf("-only %q: backup or restore", o.only)
	}
	d := &duel{patience: patience}
	for name := range strings.SplitSeq(chosen, ",") {
		i := slices.IndexFunc(ways(), func(w way) bool { return w.name == name })
		if i < 0 {
			return fmt.Errorf("-ways: there is no way %q", name)
		}
		d.ways = append(d.ways, ways()[i])
	}
	if err := d.open(ctx, o); err != nil {
		return err
	}
	defer d.close()
	if err := d.rounds(ctx); err != nil {
		return err
	}
	return d.tellAll(os.Stdout)
}

func (d *duel) open(ctx context.Context, o options) error {
	var err error
	if d.velero, err = peer.Build(ctx); err != nil {
		return err
	}
	if d.bench, err = newBench(ctx, o); err != nil {
		return err
	}
	if d.memory, err = os.MkdirTemp(shm, "hozon-bench-"); err != nil {
		d.bench.close()
		return err
	}
	d.log.Started, d.log.Machine, d.log.LoadBefore = d.result.Started, d.result.Machine, d.result.LoadBefore
	d.log.Velero, d.log.Tuned, d.log.Runs = peer.Version, tuned, o.runs
	return nil
}

func (d *duel) close() {
	_ = os.RemoveAll(d.memory)
	d.bench.close()
}

func (d *duel) rounds(ctx context.Context) error {
	if d.o.only != "restore" {
		if err := d.backups(ctx); err != nil {
			return err
		}
	}
	if d.o.only == "backup" {
		return nil
	}
	return d.restores(ctx)
}

// bucketFor is a bucket of the S3 server as Velero has to know it.
func (d *duel) bucketFor(name string) peer.Bucket {
	return peer.Bucket{Name: name, Endpoint: d.s3.Endpoint, Region: s3server.Region, AccessKey: d.s3.AccessKey, SecretKey: d.s3.SecretKey}
}

// hozonEnv is what hozon's command needs to know to work on a bucket.
func (d *duel) hozonEnv(p plane, bucket string) []string {
	return append(d.env(p), "TMPDIR="+d.memory, fmt.Sprintf("HOZON_STORE=s3://%s?endpoint=%s", bucket, d.s3.Endpoint))
}

// prepared is a cluster in which Velero is installed; the two get the same.
func (d *duel) prepared(ctx context.Context, name string) (plane, error) {
	p, err := d.launch(ctx, name)
	if err != nil {
		return p, err
	}
	if err := d.velero.Install(ctx, p.Cluster); err != nil {
		_ = p.Close()
		return p, err
	}
	return p, nil
}

// withVelero starts Velero's server in one of its ways, lets do work with it, and stops it.
func (d *duel) withVelero(ctx context.Context, p plane, w way, bucket string, do func(*peer.Server) error) error {
	base := d.memory
	if w.onDisk {
		base = d.dir
	}
	temp, err := os.MkdirTemp(base, "velero-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(temp)
	s, err := d.velero.Start(ctx, p.Cluster, peer.Config{Dir: p.Dir, Temp: temp, Flags: w.flags, Bucket: d.bucketFor(bucket)})
	if err != nil {
		return err
	}
	defer s.Stop()
	return do(s)
}

// archive is where the S3 server has the archive of a backup.
func (d *duel) archive(bucket, name string) string {
	return filepath.Join(d.s3.BucketDir(bucket), "backups", name, name+".tar.gz")
}
