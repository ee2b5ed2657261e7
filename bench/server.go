// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"hozon.dev/hozon/bench/peer"
)

// serverVerb makes this program measure hozon's server against real Velero's: `make bench-server`.
//
// Both are asked in the same way, by objects, and both are measured from the request that creates the object until the API says that it is Completed. As
// in the other duel they take turns, and only one of them runs at a time.
const serverVerb = "server"

func serverMain(args []string) int {
	f := flag.NewFlagSet(serverVerb, flag.ExitOnError)
	n := f.Int("n", fromEnv("N", theCorpus), "how many objects are backed up (also the variable N)")
	nRestore := f.Int("restore", fromEnv("N_RESTORE", 5000), "how many are restored, n at most (also N_RESTORE)")
	runs := f.Int("runs", fromEnv("RUNS", 5), "runs of each (also RUNS)")
	chosen := f.String("ways", "default,tuned", "ways to run Velero")
	only := f.String("only", "", "measure only 'backup', 'restore', 'small' (a backup of one object) or 'schedule'")
	patience := f.Duration("patience", time.Minute, "how long to wait before a run for others on the machine to come to rest")
	_ = f.Parse(args) // it exits by itself
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	o := options{n: *n, nRestore: min(*nRestore, *n), runs: *runs, only: *only, store: "s3"}
	if err := fightServers(ctx, o, *chosen, *patience); err != nil {
		fmt.Fprintln(os.Stderr, "bench server:", err)
		return 1
	}
	return 0
}

// serverJobs are what is measured, in this order.
var serverJobs = []string{"backup", "small", "schedule", "restore"}

func fightServers(ctx context.Context, o options, chosen string, patience time.Duration) error {
	if o.nRestore < 100 || o.runs < 1 || o.only != "" && !slices.Contains(serverJobs, o.only) {
		return errors.New("at least 100 objects and one run, and -only backup, small, schedule or restore")
	}
	d := &duel{patience: patience, servers: true}
	for _, w := range ways() {
		if slices.Contains(strings.Split(chosen, ","), w.name) {
			d.ways = append(d.ways, w)
		}
	}
	if err := d.open(ctx, o); err != nil {
		return err
	}
	defer d.close()
	if o.only != "restore" {
		if err := d.serverBackups(ctx); err != nil {
			return err
		}
	}
	if o.only == "" || o.only == "restore" {
		if err := d.serverRestores(ctx); err != nil {
			return err
		}
	}
	return d.tellAll(os.Stdout)
}

// withServer starts the server of one of the two, lets do work with it, and stops it.
func (d *duel) withServer(ctx context.Context, p plane, w way, ours bool, bucket string, do func(*peer.Server) error) error {
	if !ours {
		return d.withVelero(ctx, p, w, bucket, do)
	}
	temp, err := os.MkdirTemp(d.memory, "hozon-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(temp)
	s, err := peer.StartHozon(ctx, d.hozon, p.Cluster, peer.Config{Dir: p.Dir, Temp: temp, Bucket: d.bucketFor(bucket)})
	if err != nil {
		return err
	}
	defer s.Stop()
	return do(s)
}

// smallNamespace has the one object of small backups.
const smallNamespace = "one-object"

// serverBackups lets the two servers back up one cluster in turns.
func (d *duel) serverBackups(ctx context.Context) error {
	source, err := d.prepared(ctx, sourceName)
	if err != nil {
		return err
	}
	defer source.Close()
	if d.corpus, err = d.fill(ctx, source); err != nil {
		return err
	}
	d.log.BackupCorpus = d.result.Corpus
	if out, err := source.Kubectl(ctx, "create", "namespace", smallNamespace).CombinedOutput(); err != nil {
		return fmt.Errorf("create namespace: %w\n%s", err, out)
	}
	for round := range d.o.runs + 1 {
		for _, w := range d.ways {
			pairs := map[string]*pair{}
			for _, job := range serverJobs {
				pairs[job] = &pair{Round: round, Way: w.name}
			}
			for _, ours := range []bool{true, false} {
				name := fmt.Sprintf("%c-%d-%s", map[bool]rune{true: 'h', false: 'v'}[ours], round, w.name)
				err := d.withServer(ctx, source, w, ours, bucket, func(s *peer.Server) error { return d.serverTurns(ctx, source, s, name, ours, pairs) })
				if err != nil {
					return fmt.Errorf("%s: %w", name, err)
				}
			}
			d.keepAll(pairs)
			if round > 0 && d.log.Archives == nil && d.wants("backup") {
				if err := d.compare(fmt.Sprintf("h-%d-%s", round, w.name), fmt.Sprintf("v-%d-%s", round, w.name)); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func (d *duel) wants(job string) bool { return d.o.only == "" || d.o.only == job }

// side is the half of a pair that belongs to one of the two.
func (p *pair) side(ours bool) *turn {
	if ours {
		return &p.Hozon
	}
	return &p.Velero
}

// serverTurns measures everything that is made of backups with one server.
func (d *duel) serverTurns(ctx context.Context, source plane, s *peer.Server, name string, ours bool, pairs map[string]*pair) (err error) {
	if d.wants("backup") {
		t := pairs["backup"].side(ours)
		if *t, err = d.turn(ctx, source, func() (usage, error) { return ofVelero(s.Backup(ctx, name)) }); err != nil {
			return err
		}
		if err := d.stored(t, name); err != nil {
			return err
		}
	}
	if d.wants("small") {
		t := pairs["small"].side(ours)
		if *t, err = d.turn(ctx, source, func() (usage, error) { return ofVelero(s.BackupOf(ctx, "small-"+name, smallNamespace)) }); err != nil {
			return err
		}
	}
	if d.wants("schedule") && pairs["schedule"].Round > 0 { // it takes minutes
		t := pairs["schedule"].side(ours)
		late, err := s.Late(ctx, "schedule-"+name, smallNamespace)
		if err != nil {
			return err
		}
		t.Wall = late
	}
	return nil
}

func (d *duel) keepAll(pairs map[string]*pair) {
	for job, list := range map[string]*[]pair{"backup": &d.log.Backups, "small": &d.log.Small, "schedule": &d.log.Schedules} {
		if d.wants(job) {
			d.keep(list, job, *pairs[job])
		}
	}
}

// serverRestores lets the two servers restore the same archive, each time into a cluster of its own.
func (d *duel) serverRestores(ctx context.Context) error {
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
			pr := pair{Round: round + 1, Way: w.name}
			for _, ours := range []bool{true, false} {
				name := fmt.Sprintf("%c-%d-%s", map[bool]rune{true: 'h', false: 'v'}[ours], round, w.name)
				if *pr.side(ours), err = d.serverRestore(ctx, name, w, ours, record); err != nil {
					return fmt.Errorf("%s: %w", name, err)
				}
			}
			d.keep(&d.log.Restores, "restore", pr)
		}
	}
	return nil
}

func (d *duel) serverRestore(ctx context.Context, name string, w way, ours bool, record []byte) (turn, error) {
	target, err := d.target(ctx, name)
	if err != nil {
		return turn{}, err
	}
	defer target.Close()
	var t turn
	err = d.withServer(ctx, target, w, ours, toRestore, func(s *peer.Server) error {
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
	return t, err
}
