// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"hozon.dev/hozon/internal/cluster"
	"hozon.dev/hozon/internal/cluster/clustertest"
	"hozon.dev/hozon/internal/object"
)

// demo is one run of the story.
type demo struct {
	out   io.Writer
	hozon string // path of the binary
	// again, if set, is called before everything is cleaned up, with the demo done.
	again func(context.Context) error

	dir     string
	cluster *clustertest.Cluster
	client  *cluster.Client
	before  snapshot // with the sample installed
	steps   []step
}

// names of what the story makes; as a user would choose them.
const (
	backupName  = "monday"
	restoreName = "monday-again"
)

// run tells the story. It returns an error if a step fails or anything differs in the end.
func (d *demo) run(ctx context.Context) (err error) {
	if _, err := os.Stat(d.hozon); err != nil {
		return fmt.Errorf("no hozon binary: %w; make it with `make build`", err)
	}
	if d.dir, err = os.MkdirTemp("", "hozon-demo-"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.clean()) }()
	var changes []change
	started := time.Now()
	story := []struct {
		title string
		do    func(context.Context) (string, error)
	}{
		{"Start a Kubernetes control plane", d.start},
		{"Install a sample of applications", d.install},
		{"Back the cluster up into a folder", d.backUp},
		{"Read every byte of the backup back", d.verify},
		{"Delete it all: namespaces, custom kinds, roles, volumes", d.destroy},
		{"See what a restore would do", d.dryRun},
		{"Restore", d.restore},
		{"Wait for the controllers, compare every object with before", func(ctx context.Context) (result string, err error) {
			result, changes, err = d.compare(ctx)
			return result, err
		}},
	}
	for _, s := range story {
		if err := d.step(ctx, s.title, s.do); err != nil {
			return err
		}
	}
	d.conclude(changes, time.Since(started))
	if d.again != nil {
		if err := d.again(ctx); err != nil {
			return err
		}
	}
	return verdict(changes)
}

func (d *demo) clean() error {
	var err error
	if d.cluster != nil {
		err = d.cluster.Close()
	}
	return errors.Join(err, os.RemoveAll(d.dir))
}

func (d *demo) start(ctx context.Context) (string, error) {
	var err error
	d.cluster, err = clustertest.Launch(ctx, filepath.Join(d.dir, "cluster"), clustertest.Options{Controllers: true})
	if err != nil {
		return "", err
	}
	if d.client, err = cluster.Open(cluster.Options{Kubeconfig: d.cluster.Kubeconfig()}); err != nil {
		return "", err
	}
	d.say("$ export KUBECONFIG=%s", d.cluster.Kubeconfig())
	d.say("$ export HOZON_STORE=%s", d.store())
	return "Kubernetes " + clustertest.Version + " at " + d.cluster.URL, nil
}

func (d *demo) store() string { return filepath.Join(d.dir, "backups") }

func (d *demo) install(ctx context.Context) (string, error) {
	objects, err := sample()
	if err != nil {
		return "", err
	}
	if err := d.create(ctx, objects); err != nil {
		return "", err
	}
	if d.before, err = d.settle(ctx); err != nil {
		return "", err
	}
	mine, kinds := 0, map[string]bool{}
	for ref, s := range d.before {
		if isSample(ref, s) {
			mine++
			kinds[ref.GroupResource()] = true
		}
	}
	if mine < 300 {
		return "", fmt.Errorf("the sample has only %d objects", mine)
	}
	return fmt.Sprintf("%d objects of %d kinds in %d namespaces (%d in the whole cluster)", mine, len(kinds), len(namespaces()), len(d.before)), nil
}

func (d *demo) backUp(ctx context.Context) (string, error) {
	if _, err := d.shell(ctx, d.command("backup", "create", backupName)); err != nil {
		return "", err
	}
	bytes, err := size(d.store())
	return fmt.Sprintf("%.1f MB on disk", float64(bytes)/1e6), err
}

func (d *demo) verify(ctx context.Context) (string, error) {
	_, err := d.shell(ctx, d.command("backup", "verify", backupName))
	return "intact", err
}

func (d *demo) destroy(ctx context.Context) (string, error) {
	// What has finalizers goes first: of a namespace that still holds some, its controller looks only 8 seconds later again.
	if _, err := d.shell(ctx, d.kubectl(ctx, "delete", "statefulset,job,pvc", "--all", "--all-namespaces")); err != nil {
		return "", err
	}
	if _, err := d.shell(ctx, d.kubectl(ctx, append([]string{"delete", "namespace"}, namespaces()...)...)); err != nil {
		return "", err
	}
	if _, err := d.shell(ctx, d.kubectl(ctx, "delete", clusterKinds, "-l", mark)); err != nil {
		return "", err
	}
	now, err := d.snapshot(ctx)
	if err != nil {
		return "", err
	}
	gone := 0
	for ref, s := range d.before {
		if !isSample(ref, s) {
			continue
		}
		if _, left := now[ref]; left {
			return "", fmt.Errorf("%s is still there", ref)
		}
		gone++
	}
	return fmt.Sprintf("%d objects are gone", gone), nil
}

func (d *demo) dryRun(ctx context.Context) (string, error) {
	before, err := d.snapshot(ctx)
	if err != nil {
		return "", err
	}
	lines, err := d.shell(ctx, d.command("restore", "create", "--from-backup", backupName, "--dry-run"))
	if err != nil {
		return "", err
	}
	after, err := d.snapshot(ctx)
	if err != nil {
		return "", err
	}
	if changes := diff(before, after); len(changes) > 0 {
		return "", fmt.Errorf("the dry run changed something: %s", changes[0])
	}
	return fmt.Sprintf("a plan of %d lines; nothing was changed", lines), nil
}

func (d *demo) restore(ctx context.Context) (string, error) {
	_, err := d.shell(ctx, d.command("restore", "create", restoreName, "--from-backup", backupName))
	return "done", err
}

// compare waits until nothing moves any more and compares the cluster with what it was.
func (d *demo) compare(ctx context.Context) (string, []change, error) {
	now, err := d.settle(ctx)
	if err != nil {
		return "", nil, err
	}
	changes := diff(d.before, now)
	byCluster := 0
	for ref, s := range d.before {
		if _, ok := object.Generated(ref, s.head); ok {
			byCluster++
		}
	}
	return fmt.Sprintf("%d objects compared, %d differ (%d more are made by the cluster itself)",
		len(d.before)-byCluster, len(changes), byCluster), changes, nil
}

// verdict is the error of a demo whose objects did not come back as they were.
func verdict(changes []change) error {
	if len(changes) == 0 {
		return nil
	}
	return fmt.Errorf("%d objects are not what they were", len(changes))
}
