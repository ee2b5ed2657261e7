// SPDX-License-Identifier: Apache-2.0

package scale

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"hozon.dev/hozon/internal/cluster/clustertest"
	"hozon.dev/hozon/test/s3server"
)

// Bounds of the memory of one run at 100,000 objects.
const (
	floorObjects = 100_000
	floorPeak    = 96 << 20
)

// goal is what a run should get along with.
func goal(objects int) int64 { return 64<<20 + 120*int64(objects) }

const (
	dryRestore   = "restore --dry-run"
	wholeRestore = "restore of everything"
)

// tolerated is how much more an object may cost in a larger cluster.
const tolerated = 1.2

// TestScale takes half a minute with the default size, for two servers, a build, and a dozen runs of hozon over 3,000 objects.
func TestScale(t *testing.T) {
	if testing.Short() {
		t.Skip("starts servers, and fills them")
	}
	s3 := s3server.Start(t)
	if err := s3.CreateBucket("store"); err != nil {
		t.Fatal(err)
	}
	c := clustertest.Start(t, clustertest.Options{UnsafeNoFsync: true})
	r := &runs{
		world:     newWorld(t, c, sizes(t)),
		folder:    t.TempDir(),
		bucket:    "s3://store?conditional-put=true&region=" + s3server.Region + "&endpoint=" + s3.Endpoint,
		perObject: map[string]time.Duration{},
	}
	r.shell = shell{program: program(t), group: newGroup(t), env: []string{
		"KUBECONFIG=" + c.Kubeconfig(), "HOME=" + t.TempDir(), "AWS_ACCESS_KEY_ID=" + s3.AccessKey, "AWS_SECRET_ACCESS_KEY=" + s3.SecretKey,
	}}
	for _, n := range r.steps {
		r.grow(t, n)
		r.step(t, n)
	}
}

// runs is what is measured, step by step.
type runs struct {
	*world
	shell
	folder, bucket string
	perObject      map[string]time.Duration // processor time at base
	restored       int                      // objects beside those of the world
}

// step lets hozon do everything once with n objects.
func (r *runs) step(t *testing.T, n int) {
	backup := fmt.Sprintf("b%d", n)
	for _, store := range []string{r.folder, r.bucket} {
		where := " (folder)"
		if store == r.bucket {
			where = " (S3)"
		}
		create := func() usage {
			r.run(t, "backup", "delete", backup, "--confirm", "--store", store)
			u, _ := r.run(t, "backup", "create", backup, "--store", store)
			return u
		}
		u, _ := r.run(t, "backup", "create", backup, "--store", store)
		for range repeats(n) - 1 { // others work on this machine too
			if again := create(); again.cpu < u.cpu {
				u = usage{again.wall, again.cpu, max(u.peak, again.peak), max(u.own, again.own), max(u.group, again.group)}
			}
		}
		r.judge(t, "backup"+where, n, n, u)
		u, out := r.run(t, "backup", "verify", backup, "--store", store)
		r.count(t, out, n)
		r.judge(t, "verify"+where, n, n, u)
	}
	u, out := r.run(t, "restore", "create", "dry", "--from-backup", backup, "--dry-run", "--store", r.bucket)
	if lines := strings.Count(out, "\n"); lines < n {
		t.Errorf("restore --dry-run tells of %d objects, the backup has %d", lines, n)
	}
	r.judge(t, dryRestore, n, n, u)
	r.part(t, n, backup)
	t.Run(fmt.Sprintf("whole of %d", n), func(t *testing.T) { r.whole(t, n, backup) })
}

// whole restores a backup of n objects into a cluster that has none of them.
func (r *runs) whole(t *testing.T, n int, backup string) {
	empty := r.shell
	empty.env = append([]string{}, r.env...)
	empty.env = append(empty.env, "KUBECONFIG="+clustertest.Start(t, clustertest.Options{UnsafeNoFsync: true}).Kubeconfig())
	u, out := empty.run(t, "restore", "create", "whole-"+backup, "--from-backup", backup, "--store", r.bucket, "--report", "json")
	if got := strings.Count(out, `"created"`); got < n {
		t.Errorf("%d objects were restored, the backup has %d", got, n)
	}
	r.judge(t, wholeRestore, n, n, u)
	if seconds := u.wall.Seconds(); seconds > 0 {
		t.Logf("%7d objects: %.0f restored in a second", n, float64(n)/seconds)
	}
}

// repeats is how often a backup is made, for the least processor time.
func repeats(n int) int {
	switch {
	case n < base:
		return 1
	case n < floorObjects:
		return 3
	}
	return 2
}

var items = regexp.MustCompile(` is intact: (\d+) items`)

// count checks the number of objects that verify has seen.
func (r *runs) count(t *testing.T, out string, n int) {
	t.Helper()
	m := items.FindStringSubmatch(out)
	if m == nil {
		t.Errorf("verify says %q", out)
		return
	}
	const usual = 1000 // more than what every cluster has
	want := n + r.namespaces + r.kinds + r.large + r.restored
	if got, _ := strconv.Atoi(m[1]); got < want || got > want+usual {
		t.Errorf("the backup has %s items, want %d and what every cluster has", m[1], want)
	}
}

// part restores a few namespaces under other names.
func (r *runs) part(t *testing.T, n int, backup string) {
	const most = 10
	many := min(most, r.namespacesOf(n))
	var from, mapping []string
	for i := range many {
		from = append(from, namespaceName(i))
		mapping = append(mapping, fmt.Sprintf("%s:part-%d-%04d", namespaceName(i), n, i))
	}
	u, out := r.run(t, "restore", "create", "part-"+backup, "--from-backup", backup, "--store", r.bucket,
		"--include-namespaces", strings.Join(from, ","), "--namespace-mappings", strings.Join(mapping, ","), "--report", "json")
	want := many * r.perNamespace
	if got := strings.Count(out, `"created"`); got < want {
		t.Errorf("%d objects were restored, want %d", got, want)
	}
	r.restored += want
	r.judge(t, fmt.Sprintf("restore of %d", want), n, want, u)
}

// judge tells what a run used with n objects in the cluster or in the backup, and whether that is too much. Its costs are
// those of done objects.
func (r *runs) judge(t *testing.T, what string, n, done int, u usage) {
	t.Helper()
	cost := u.cpu / time.Duration(done)
	t.Logf("%7d objects: %-18s %s, %s an object, goal %5.1f MiB, load %s", n, what, u, cost, float64(goal(n))/mib, load())
	if n <= floorObjects && u.peak > floorPeak {
		t.Errorf("%s of %d objects needs %.1f MiB, at most %d are allowed", what, n, float64(u.peak)/mib, floorPeak/mib)
	}
	if done != n {
		return
	}
	if n == base {
		r.perObject[what] = cost
	}
	if at := r.perObject[what]; at > 0 && float64(cost) > tolerated*float64(at) {
		t.Errorf("%s: an object costs %s of processor time with %d objects, and %s with %d", what, cost, n, at, base)
	}
}
