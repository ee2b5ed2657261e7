// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	velerov1 "hozon.dev/hozon/api/velero/v1"
)

// sample is one measured run.
type sample struct {
	Objects int
	Wall    time.Duration
	CPU     time.Duration // of hozon
	Peak    int64         // of hozon, bytes
	Peers   peers         // what the control plane used meanwhile
	Calls   map[string]int64
	Bytes   int64 // of the archive; backups only
	Load    string
}

func (s sample) calls() (sum int64) {
	for _, n := range s.Calls {
		sum += n
	}
	return sum
}

// around measures one execution and what the control plane did meanwhile.
func (b *bench) around(ctx context.Context, p plane, args ...string) (sample, error) {
	if err := b.quiet(ctx, p); err != nil {
		return sample{}, err
	}
	s := sample{Load: load()}
	calls, err := requests(ctx, p)
	if err != nil {
		return s, err
	}
	before, err := used(p)
	if err != nil {
		return s, err
	}
	u, err := execute(ctx, b.env(p), args...)
	if err != nil {
		return s, err
	}
	after, err := used(p)
	if err != nil {
		return s, err
	}
	s.Wall, s.CPU, s.Peak = u.Wall, u.CPU, u.Peak
	s.Peers = peers{APIServer: after.APIServer - before.APIServer, Etcd: after.Etcd - before.Etcd}
	if s.Calls, err = requests(ctx, p); err != nil {
		return s, err
	}
	for verb, n := range calls {
		if s.Calls[verb] -= n; s.Calls[verb] <= 0 {
			delete(s.Calls, verb)
		}
	}
	return s, nil
}

func (b *bench) env(p plane) []string {
	env := []string{"KUBECONFIG=" + p.Kubeconfig(), "HOZON_STORE=" + b.storeURL()}
	if b.s3 != nil {
		env = append(env, "AWS_ACCESS_KEY_ID="+b.s3.AccessKey, "AWS_SECRET_ACCESS_KEY="+b.s3.SecretKey, "AWS_EC2_METADATA_DISABLED=true")
	}
	return env
}

func (b *bench) storeURL() string {
	if b.s3 == nil {
		return b.storeDir()
	}
	return fmt.Sprintf("s3://%s?endpoint=%s", bucket, b.s3.Endpoint)
}

// storeDir is the folder in which the store's keys are files.
func (b *bench) storeDir() string {
	if b.s3 == nil {
		return filepath.Join(b.dir, "store")
	}
	return b.s3.BucketDir(bucket)
}

// exports measures exports of everything as manifests, each into a new folder.
func (b *bench) exports(ctx context.Context, source plane) error {
	for i := range b.o.runs + 1 {
		dir := filepath.Join(b.dir, fmt.Sprintf("tree-%d", i))
		s, err := b.around(ctx, source, b.hozon, "project", "export", "--all-namespaces", "--to", dir)
		if err != nil {
			return err
		}
		err = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			info, err := d.Info()
			s.Objects++
			s.Bytes += info.Size()
			return err
		})
		if err != nil {
			return err
		}
		if s.Objects < b.corpus.made.objects*2/3 { // the rest are children of controllers
			return fmt.Errorf("only %d of %d objects were exported", s.Objects, b.corpus.made.objects)
		}
		b.tell("project export", i, s)
		if i > 0 {
			b.result.Exports = append(b.result.Exports, s)
		}
	}
	return nil
}

// backups measures backups of the whole cluster.
func (b *bench) backups(ctx context.Context, source plane) error {
	for i := range b.o.runs + 1 {
		s, err := b.backUp(ctx, source, b.hozon, fmt.Sprintf("run-%d", i))
		if err != nil {
			return err
		}
		b.tell("backup", i, s)
		if i > 0 { // the first one is the warm-up
			b.result.Backups = append(b.result.Backups, s)
		}
	}
	if b.o.profile == "" {
		return nil
	}
	return b.profiled(ctx, "backup", func(binary string) error {
		_, err := b.backUp(ctx, source, binary, "profiled")
		return err
	})
}

func (b *bench) backUp(ctx context.Context, source plane, binary, name string) (sample, error) {
	s, err := b.around(ctx, source, binary, "backup", "create", name)
	if err != nil {
		return s, err
	}
	s.Objects = b.corpus.made.objects
	info, err := os.Stat(filepath.Join(b.storeDir(), "backups", name, name+".tar.gz"))
	if err != nil {
		return s, err
	}
	s.Bytes = info.Size()
	return s, b.complete(name)
}

// complete checks that a backup says of itself that it has everything.
func (b *bench) complete(name string) error {
	text, err := os.ReadFile(filepath.Join(b.storeDir(), "backups", name, "velero-backup.json"))
	if err != nil {
		return err
	}
	var record velerov1.Backup
	if err := json.Unmarshal(text, &record); err != nil {
		return fmt.Errorf("read backup %s: %w", name, err)
	}
	want := b.corpus.made.objects + b.corpus.made.others
	if s := record.Status; s.Phase != velerov1.BackupPhaseCompleted || s.Progress == nil || s.Progress.ItemsBackedUp < want {
		return fmt.Errorf("backup %s: phase %s, %+v; it should have %d items at least", name, s.Phase, s.Progress, want)
	}
	return nil
}

// restores measures restores of the corpus into clusters that are empty.
func (b *bench) restores(ctx context.Context) error {
	for i := range b.o.runs + 1 {
		s, err := b.restoreOnce(ctx, b.hozon, fmt.Sprintf("run-%d", i))
		if err != nil {
			return err
		}
		b.tell("restore", i, s)
		if i > 0 {
			b.result.Restores = append(b.result.Restores, s)
		}
	}
	if b.o.profile == "" {
		return nil
	}
	return b.profiled(ctx, "restore", func(binary string) error {
		_, err := b.restoreOnce(ctx, binary, "profiled")
		return err
	})
}

// restoreOnce restores into a cluster of its own. What every cluster has already is not asked for: the figure is about
// objects that do not exist.
func (b *bench) restoreOnce(ctx context.Context, binary, name string) (sample, error) {
	target, err := b.launch(ctx, "target-"+name)
	if err != nil {
		return sample{}, err
	}
	defer target.Close()
	chosen := b.corpus.choose(b.o.nRestore)
	if binary != b.hozon { // the profiled one
		watching, stop := context.WithCancel(ctx)
		defer stop()
		go func() {
			if err := b.profileServer(watching, target); err != nil {
				b.say("profile the API server: %v", err)
			}
		}()
	}
	s, err := b.around(ctx, target, binary, "restore", "create", name, "--from-backup", backupName, "--include-namespaces", strings.Join(chosen, ","))
	if err != nil {
		return s, err
	}
	s.Objects, err = b.corpus.check(ctx, target.client, chosen)
	return s, err
}

// profiled runs something with the binary that writes profiles.
func (b *bench) profiled(ctx context.Context, name string, do func(binary string) error) error {
	dir, err := filepath.Abs(b.o.profile)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	binary := filepath.Join(b.dir, "hozon-profiled")
	if err := b.build(ctx, filepath.Join(b.root, "bench"), "./profiled", binary); err != nil {
		return err
	}
	if err := os.Setenv("HOZON_BENCH_PROFILE", filepath.Join(dir, name)); err != nil {
		return err
	}
	defer os.Unsetenv("HOZON_BENCH_PROFILE")
	return do(binary)
}

// profileServer leaves a profile of the API server's processor, of the next few seconds.
func (b *bench) profileServer(ctx context.Context, p plane) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.URL+"/debug/pprof/profile?seconds=8", nil)
	if err != nil {
		return err
	}
	resp, err := p.Client().Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	profile, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(b.o.profile, "restore.apiserver.pprof"), profile, 0o644)
}

func (b *bench) tell(what string, i int, s sample) {
	run := fmt.Sprintf("run %d of %d", i, b.o.runs)
	if i == 0 {
		run = "warm-up"
	}
	b.say("%-7s %-11s %7.2f s  %6.0f objects/s  %5.2f s CPU  %4.0f MiB  %5d calls  load %s", what, run,
		s.Wall.Seconds(), float64(s.Objects)/s.Wall.Seconds(), s.CPU.Seconds(), mib(s.Peak), s.calls(), s.Load)
}

func mib(n int64) float64 { return float64(n) / (1 << 20) }
