// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"hozon.dev/hozon/internal/cluster"
	"hozon.dev/hozon/internal/cluster/clustertest"
	"hozon.dev/hozon/test/daemon"
	"hozon.dev/hozon/test/s3server"
)

// bench is one benchmark.
type bench struct {
	o      options
	root   string // of the repository
	dir    string // scratch, removed at the end
	hozon  string // the binary
	s3     *s3server.Server
	corpus *corpus
	result result
}

// source is the cluster that is backed up.
const (
	bucket     = "bench"
	sourceName = "source"
	backupName = "corpus" // what the restores read
)

func newBench(ctx context.Context, o options) (*bench, error) {
	root, err := daemon.Root()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "hozon-bench-")
	if err != nil {
		return nil, err
	}
	b := &bench{o: o, root: root, dir: dir, hozon: filepath.Join(dir, "hozon")}
	if err := b.prepare(ctx); err != nil {
		b.close()
		return nil, err
	}
	return b, nil
}

func (b *bench) prepare(ctx context.Context) error {
	if err := b.build(ctx, b.root, "./cmd/hozon", b.hozon); err != nil {
		return err
	}
	b.result = result{Options: b.o.words(), Machine: machine(ctx, b.root), Started: time.Now().UTC(), LoadBefore: load()}
	if b.o.store == "dir" {
		return nil
	}
	var err error
	if b.s3, err = s3server.Launch(ctx, filepath.Join(b.dir, "s3")); err != nil {
		return err
	}
	return b.s3.CreateBucket(bucket)
}

// build makes a binary as `make build` does.
func (b *bench) build(ctx context.Context, module, pkg, to string) error {
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", to, pkg)
	cmd.Dir, cmd.Env = module, append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build %s: %w\n%s", pkg, err, out)
	}
	return nil
}

func (b *bench) close() {
	if b.s3 != nil {
		_ = b.s3.Close()
	}
	_ = os.RemoveAll(b.dir)
}

// plane is a control plane and a client of it.
type plane struct {
	*clustertest.Cluster
	client *cluster.Client
}

func (b *bench) launch(ctx context.Context, name string) (plane, error) {
	c, err := clustertest.Launch(ctx, filepath.Join(b.dir, name), clustertest.Options{})
	if err != nil {
		return plane{}, err
	}
	client, err := cluster.Open(cluster.Options{Kubeconfig: c.Kubeconfig(), UserAgent: "bench"})
	if err != nil {
		_ = c.Close()
		return plane{}, err
	}
	return plane{Cluster: c, client: client}, nil
}

// measure fills the source, measures backups of it, and then, with the source gone, restores.
func (b *bench) measure(ctx context.Context) error {
	source, err := b.launch(ctx, sourceName)
	if err != nil {
		return err
	}
	defer source.Close()
	if b.corpus, err = b.fill(ctx, source); err != nil {
		return err
	}
	if b.o.only == "project" {
		return b.exports(ctx, source)
	}
	if b.o.only != "restore" {
		if err := b.backups(ctx, source); err != nil {
			return err
		}
	}
	if b.o.only == "backup" {
		return nil
	}
	if _, err := b.backUp(ctx, source, b.hozon, backupName); err != nil {
		return err
	}
	_ = source.Close() // it would take its share of the machine
	return b.restores(ctx)
}

// fill creates the corpus and waits until the control plane has digested it.
func (b *bench) fill(ctx context.Context, p plane) (*corpus, error) {
	started := time.Now()
	c := newCorpus(b.o.n)
	if err := c.create(ctx, p.client); err != nil {
		return nil, fmt.Errorf("fill the cluster: %w", err)
	}
	b.say("%d objects, %.1f MB, and %d kinds and namespaces created in %.0f s", c.made.objects, float64(c.made.bytes)/1e6, c.made.others, time.Since(started).Seconds())
	b.result.Corpus = corpusFacts{Objects: c.made.objects, Bytes: c.made.bytes, Kinds: len(c.definitions), Namespaces: len(c.namespaces)}
	return c, nil
}

func (b *bench) say(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) }

// quiet waits until the control plane does nothing, for at most half a minute; a plane that never rests is measured anyway.
func (b *bench) quiet(ctx context.Context, p plane) error {
	const pause = 500 * time.Millisecond
	deadline := time.Now().Add(30 * time.Second)
	before, err := used(p)
	if err != nil {
		return err
	}
	tick := time.NewTicker(pause)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
		now, err := used(p)
		if err != nil || now.total()-before.total() <= 40*time.Millisecond {
			return err
		}
		if time.Now().After(deadline) {
			b.say("the control plane does not come to rest")
			return nil
		}
		before = now
	}
}
