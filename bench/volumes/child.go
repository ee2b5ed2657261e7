// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/pprof"

	"hozon.dev/hozon/internal/blob/dir"
	"hozon.dev/hozon/internal/transfer"
	"hozon.dev/hozon/internal/vault"
	repository "hozon.dev/hozon/internal/vault/kopia"
)

// childVerb makes this program do one step of ours: VERB SOURCE REPOSITORY STATE TARGET.
const childVerb = "child"

// profileEnv names a folder for a profile of the processor's time of each of our steps.
const profileEnv = "BENCH_PROFILE"

func childMain(args []string) int {
	if folder := os.Getenv(profileEnv); folder != "" {
		if f, err := os.Create(filepath.Join(folder, fmt.Sprintf("%s-%d.pprof", args[0], os.Getpid()))); err == nil {
			defer f.Close()
			if pprof.StartCPUProfile(f) == nil {
				defer pprof.StopCPUProfile()
			}
		}
	}
	if err := child(context.Background(), args[0], place{args[1], args[2], args[3], args[4]}); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func child(ctx context.Context, verb string, p place) (err error) {
	bucket, err := dir.Open(p.repository, false)
	if err != nil {
		return err
	}
	o := repository.Options{Password: password}
	prefix := repository.Prefix("bench")
	if verb == "create" {
		return repository.Create(ctx, bucket, prefix, o)
	}
	if o.Cache = filepath.Join(p.state, "cache"); verb != "save" {
		o.Cache = filepath.Join(p.state, "cache-"+verb)
	}
	if err := os.MkdirAll(o.Cache, 0o755); err != nil {
		return err
	}
	r, err := repository.OpenWrite(ctx, bucket, prefix, o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.Close(ctx)) }()
	switch verb {
	case "save":
		saved, err := r.Save(ctx, p.source, vault.Source{Namespace: "bench", Pod: "pod", Volume: "data"}, vault.SaveOptions{Progress: func(_, _ int64) {}})
		if err == nil && saved.Failed > 0 {
			err = fmt.Errorf("%+v", saved.Problems)
		}
		return err
	case "restore":
		return restore(ctx, r, p.target)
	case "forget":
		all, err := r.Snapshots(ctx)
		if err != nil {
			return err
		}
		return r.Forget(ctx, all[0].ID)
	case "maintain":
		_, err := r.Maintain(ctx, true)
		return err
	}
	return fmt.Errorf("what is %q?", verb)
}

// restore brings the latest snapshot back.
func restore(ctx context.Context, r *repository.Repository, target string) error {
	all, err := r.Snapshots(ctx)
	if err != nil {
		return err
	}
	tree, err := r.Tree(ctx, all[len(all)-1].ID)
	if err != nil {
		return err
	}
	stats, err := transfer.Restore(ctx, transfer.Snapshot{Tree: tree}, target, transfer.Options{}, nil)
	if err == nil && stats.Failed > 0 {
		err = fmt.Errorf("%+v", stats.Problems)
	}
	return err
}
