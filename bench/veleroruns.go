// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"hozon.dev/hozon/bench/peer"
)

// turn is one run of one of the two. Of Velero, the time ends when the API says Completed, and processor and memory are
// those of the server and its plugins.
type turn struct {
	sample
	Others float64 // share of the machine's processors that went elsewhere during the run; others were at work if it is not small
}

// pair is a run of hozon and the run of Velero that followed it.
type pair struct {
	Round  int // from 1; 0 is the warm-up
	Way    string
	Hozon  turn
	Velero turn
}

// turn measures something that works on p.
func (d *duel) turn(ctx context.Context, p plane, do func() (usage, error)) (turn, error) {
	if err := d.quiet(ctx, p); err != nil {
		return turn{}, err
	}
	if err := d.calm(ctx); err != nil {
		return turn{}, err
	}
	t := turn{sample: sample{Load: load()}}
	calls, err := requests(ctx, p)
	if err != nil {
		return t, err
	}
	before, err := d.reading(p)
	if err != nil {
		return t, err
	}
	u, err := do()
	if err != nil {
		return t, err
	}
	after, err := d.reading(p)
	if err != nil {
		return t, err
	}
	t.Wall, t.CPU, t.Peak = u.Wall, u.CPU, u.Peak
	t.Peers = peers{APIServer: after.plane.APIServer - before.plane.APIServer, Etcd: after.plane.Etcd - before.plane.Etcd}
	known := t.CPU + t.Peers.total() + after.s3 - before.s3
	t.Others = max(0, (after.busy-before.busy-known).Seconds()/(after.at.Sub(before.at).Seconds()*float64(runtime.NumCPU())))
	if t.Calls, err = requests(ctx, p); err != nil {
		return t, err
	}
	for verb, n := range calls {
		if t.Calls[verb] -= n; t.Calls[verb] <= 0 {
			delete(t.Calls, verb)
		}
	}
	return t, nil
}

// reading is what had been used at a moment.
type reading struct {
	at    time.Time
	plane peers
	s3    time.Duration
	busy  time.Duration // of all processors
}

func (d *duel) reading(p plane) (reading, error) {
	r := reading{at: time.Now(), busy: busy()}
	var err error
	if r.plane, err = used(p); err != nil {
		return r, err
	}
	u, err := d.s3.Process().Usage()
	r.s3 = u.CPU
	return r, err
}

// busy is how long the machine's processors have worked.
func busy() time.Duration {
	var ticks int64
	for i, f := range strings.Fields(firstLine("/proc/stat")) { // cpu user nice system idle iowait irq softirq steal guest guest_nice
		if n, err := strconv.ParseInt(f, 10, 64); err == nil && i <= 8 && i != 4 && i != 5 {
			ticks += n
		}
	}
	return time.Duration(ticks) * time.Second / 100
}

// calm waits until the machine is nine tenths idle for a second, as long as there is patience.
func (d *duel) calm(ctx context.Context) error {
	deadline := time.Now().Add(d.patience)
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	before, since := busy(), time.Now()
	for time.Now().Before(deadline) {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
		now, at := busy(), time.Now()
		if now-before <= at.Sub(since)*time.Duration(runtime.NumCPU())/10 {
			return nil
		}
		before, since = now, at
	}
	return nil
}

func ofVelero(r peer.Run, err error) (usage, error) {
	return usage{Wall: r.Wall, CPU: r.CPU, Peak: r.Peak}, err
}

// backups lets the two back up one cluster in turns.
func (d *duel) backups(ctx context.Context) error {
	source, err := d.prepared(ctx, sourceName)
	if err != nil {
		return err
	}
	defer source.Close()
	if d.corpus, err = d.fill(ctx, source); err != nil {
		return err
	}
	d.log.BackupCorpus = d.result.Corpus
	for round := range d.o.runs + 1 {
		for _, w := range d.ways {
			pr := pair{Round: round, Way: w.name}
			h, v := fmt.Sprintf("h-%d-%s", round, w.name), fmt.Sprintf("v-%d-%s", round, w.name)
			pr.Hozon, err = d.turn(ctx, source, func() (usage, error) {
				return execute(ctx, d.hozonEnv(source, bucket), d.hozon, "backup", "create", h, "--include-cluster-resources")
			})
			if err != nil {
				return err
			}
			err = d.withVelero(ctx, source, w, bucket, func(s *peer.Server) (err error) {
				pr.Velero, err = d.turn(ctx, source, func() (usage, error) { return ofVelero(s.Backup(ctx, v)) })
				return err
			})
			if err != nil {
				return err
			}
			if err := d.stored(&pr.Hozon, h); err != nil {
				return err
			}
			if err := d.stored(&pr.Velero, v); err != nil {
				return err
			}
			d.keep(&d.log.Backups, "backup", pr)
			if round > 0 && d.log.Archives == nil { // in the warm-up, Velero made a Secret of its own after hozon's backup
				if err := d.compare(h, v); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// stored checks what a backup left in the store.
func (d *duel) stored(t *turn, name string) error {
	info, err := os.Stat(d.archive(bucket, name))
	if err != nil {
		return err
	}
	t.Objects, t.Bytes = d.corpus.made.objects, info.Size()
	return d.complete(name)
}

// compare compares the archives that the two made of the cluster.
func (d *duel) compare(h, v string) error {
	ours, err := os.Open(d.archive(bucket, h))
	if err != nil {
		return err
	}
	defer ours.Close()
	theirs, err := os.Open(d.archive(bucket, v))
	if err != nil {
		return err
	}
	defer theirs.Close()
	c, err := peer.Compare(ours, theirs, "velero.io")
	if err != nil {
		return err
	}
	if d.servers { // the server that saved last saw more of what the two say about themselves
		c.OnlyFirst, c.OnlySecond = slices.DeleteFunc(c.OnlyFirst, own), slices.DeleteFunc(c.OnlySecond, own)
	}
	d.log.Archives = &c
	if len(c.Different)+len(c.OnlyFirst)+len(c.OnlySecond) > 0 || c.Same < 2*d.corpus.made.objects {
		return fmt.Errorf("the archives of hozon and Velero differ: %d files are the same; %d differ %q; only hozon has %d %q; only Velero has %d %q",
			c.Same, len(c.Different), some(c.Different), len(c.OnlyFirst), some(c.OnlyFirst), len(c.OnlySecond), some(c.OnlySecond))
	}
	d.say("the archives of hozon and Velero hold the same objects: %d files are equal, %d were changed in the cluster in between", c.Same, len(c.Moved))
	return nil
}

// own says that a file is in the namespace of the servers.
func own(path string) bool { return strings.Contains(path, "/namespaces/"+peer.Namespace+"/") }

func some(paths []string) []string { return paths[:min(len(paths), 5)] }

// toRestore is the bucket with the one backup that both restore: Velero made it.
const toRestore = "restore"

// restores lets the two restore the same archive, each time into a cluster of its own, in which nothing of it exists but
// the custom kinds: Velero does not restore those together with chosen namespaces.
func (d *duel) restores(ctx context.Context) error {
	if err := d.s3.CreateBucket(toRestore); err != nil {
		return err
	}
	record, err := d.toRestore(ctx)
	if err != nil {
		return err
	}
	d.log.RestoreCorpus = d.result.Corpus
	for round := range d.o.runs {
		for _, w := range d.ways {
			if w.onDisk {
				continue
			}
			pr := pair{Round: round + 1, Way: w.name}
			if pr.Hozon, err = d.restoreByHozon(ctx, fmt.Sprintf("h-%d-%s", round, w.name)); err != nil {
				return err
			}
			if pr.Velero, err = d.restoreByVelero(ctx, fmt.Sprintf("v-%d-%s", round, w.name), w, record); err != nil {
				return err
			}
			d.keep(&d.log.Restores, "restore", pr)
		}
	}
	return nil
}

// toRestore makes that backup, and returns its record.
func (d *duel) toRestore(ctx context.Context) ([]byte, error) {
	source, err := d.prepared(ctx, "small")
	if err != nil {
		return nil, err
	}
	defer source.Close()
	d.o.n = d.o.nRestore
	if d.corpus, err = d.fill(ctx, source); err != nil {
		return nil, err
	}
	err = d.withVelero(ctx, source, ways()[0], toRestore, func(s *peer.Server) error {
		_, err := s.Backup(ctx, backupName)
		return err
	})
	if err != nil {
		return nil, err
	}
	return os.ReadFile(filepath.Join(d.s3.BucketDir(toRestore), "backups", backupName, "velero-backup.json"))
}

func (d *duel) target(ctx context.Context, name string) (plane, error) {
	p, err := d.prepared(ctx, name)
	if err != nil {
		return p, err
	}
	if err := d.corpus.define(ctx, p.client); err != nil {
		_ = p.Close()
		return p, err
	}
	return p, nil
}

// restored checks a target and returns how many objects the restore made.
func (d *duel) restored(ctx context.Context, target plane) (int, error) {
	n, err := d.corpus.check(ctx, target.client, d.corpus.namespaces)
	return n - len(d.corpus.definitions), err
}

func (d *duel) restoreByHozon(ctx context.Context, name string) (turn, error) {
	target, err := d.target(ctx, name)
	if err != nil {
		return turn{}, err
	}
	defer target.Close()
	t, err := d.turn(ctx, target, func() (usage, error) {
		return execute(ctx, d.hozonEnv(target, toRestore), d.hozon, "restore", "create", name,
			"--from-backup", backupName, "--include-namespaces", strings.Join(d.corpus.namespaces, ","))
	})
	if err != nil {
		return t, err
	}
	t.Objects, err = d.restored(ctx, target)
	return t, err
}

func (d *duel) restoreByVelero(ctx context.Context, name string, w way, record []byte) (turn, error) {
	target, err := d.target(ctx, name)
	if err != nil {
		return turn{}, err
	}
	defer target.Close()
	var t turn
	err = d.withVelero(ctx, target, w, toRestore, func(s *peer.Server) error {
		if err := s.Announce(ctx, record); err != nil {
			return err
		}
		if t, err = d.turn(ctx, target, func() (usage, error) {
			return ofVelero(s.Restore(ctx, name, backupName, d.corpus.namespaces))
		}); err != nil {
			return err
		}
		t.Objects, err = d.restored(ctx, target)
		return err
	})
	if err != nil {
		err = fmt.Errorf("restore by velero (%s): %w", w.name, err)
	}
	return t, err
}

// keep remembers a pair, and tells of it.
func (d *duel) keep(in *[]pair, what string, p pair) {
	d.say("%-7s round %d of %d  hozon %6.2f s %5.2f s CPU %4.0f MiB (others %2.0f%%)  velero %-7s %7.2f s %6.2f s CPU %4.0f MiB (others %2.0f%%)  %5.1f times  load %s",
		what, p.Round, d.o.runs, p.Hozon.Wall.Seconds(), p.Hozon.CPU.Seconds(), mib(p.Hozon.Peak), 100*p.Hozon.Others,
		p.Way, p.Velero.Wall.Seconds(), p.Velero.CPU.Seconds(), mib(p.Velero.Peak), 100*p.Velero.Others,
		p.Velero.Wall.Seconds()/p.Hozon.Wall.Seconds(), p.Velero.Load)
	if p.Round > 0 {
		*in = append(*in, p)
	}
}
