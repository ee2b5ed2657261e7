// SPDX-License-Identifier: Apache-2.0

package podvolume

import (
	"cmp"
	"crypto/rand"
	"fmt"
	mathrand "math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	velerov1 "hozon.dev/hozon/api/velero/v1"
	"hozon.dev/hozon/internal/store"
	"hozon.dev/hozon/internal/vault/vaulttest"
	"hozon.dev/hozon/internal/volume"
	"hozon.dev/hozon/test/daemon"
)

// kills is how many times each part is killed: once, or HOZON_CRASH_RUNS times (`make crash-volumes`).
func kills() int {
	n, err := strconv.Atoi(os.Getenv("HOZON_CRASH_RUNS"))
	if err != nil {
		return 1
	}
	return n
}

// victims are the parts to kill; HOZON_VICTIM names one of them.
func victims(all ...string) []string {
	if one := os.Getenv("HOZON_VICTIM"); one != "" {
		return []string{one}
	}
	return all
}

// plant is a world with a bucket, whose parts can be killed and come back.
type plant struct {
	*world
	server, agent *daemon.Process
	random        *mathrand.Rand
	last          string // what was killed last, and when
	copies        int    // volumes that were offered
}

func newPlant(t *testing.T) *plant {
	t.Helper()
	seed, err := strconv.ParseUint(os.Getenv("HOZON_SEED"), 10, 64)
	if err != nil {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("HOZON_SEED=%d", seed)
	w := newWorld(t, "")
	w.inS3("", "ReadWrite")
	p := &plant{world: w, random: mathrand.New(mathrand.NewPCG(seed, 0)), copies: 1}
	w.deploy(1)
	odd(t, w.data(w.app))
	odd(t, w.in(w.app, "keeper-0", "scratch"))
	w.announce()
	p.server, p.agent = w.serve(), w.node()
	return p
}

// renew gives the volumes files that no backup has.
func (p *plant) renew() {
	p.t.Helper()
	data := make([]byte, 1<<20)
	for _, folder := range []string{p.data(p.app), p.in(p.app, "keeper-0", "scratch")} {
		for i := range 20 {
			_, _ = rand.Read(data)
			if err := os.WriteFile(filepath.Join(folder, fmt.Sprintf("new-%d", i)), data, 0o644); err != nil {
				p.t.Fatal(err)
			}
		}
	}
}

// strike kills a part and has it back.
func (p *plant) strike(victim string) {
	p.t.Helper()
	switch victim {
	case "server":
		p.server.Kill()
		p.server = p.serve()
	case "agent":
		p.agent.Kill()
		p.agent = p.node()
	case "store":
		away := time.Duration(1000+p.random.IntN(6000)) * time.Millisecond
		p.s3.Kill()
		time.Sleep(away)
		if err := p.s3.Start(p.t.Context()); err != nil {
			p.t.Fatal(err)
		}
		p.last += fmt.Sprintf(", away for %s", away)
	case "mover":
		p.kubectl("", "delete", "pod", "-A", "-l", moverLabel, "--grace-period=0", "--force", "--wait=false")
	case "mover's process":
		p.killMover()
	default:
		p.t.Fatalf("HOZON_VICTIM: nobody knows %q", victim)
	}
}

const moverLabel = "hozon.dev/mover=true"

// killMover waits for the process of a mover and kills it, unless the mover goes before.
func (p *plant) killMover() {
	p.t.Helper()
	for deadline := time.Now().Add(patience); !p.killedMover(); time.Sleep(20 * time.Millisecond) {
		if p.kubectl("", "get", "pod", "-A", "-l", moverLabel, "-o", "name") == "" {
			p.last += ", but it had gone"
			return
		}
		if time.Now().After(deadline) {
			p.t.Fatalf("%s: there is a mover, and no process of it", p.last)
		}
	}
}

// killedMover kills the process of the mover of a restore, which has the restore's UID on its command line, if there is one.
func (p *plant) killedMover() (killed bool) {
	p.t.Helper()
	for _, uid := range strings.Fields(p.kubectl("", "get", "pod", "-A", "-l", moverLabel, "-o", `jsonpath={.items[*].metadata.labels.velero\.io/restore-uid}`)) {
		lines, err := filepath.Glob("/proc/[0-9]*/cmdline")
		if err != nil {
			p.t.Fatal(err)
		}
		for _, path := range lines {
			line, _ := os.ReadFile(path) // it may have ended
			if words := strings.Split(string(line), "\x00"); len(words) > 1 && strings.HasSuffix(words[0], "velero-restore-helper") && words[1] == uid {
				pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(path))) // a number, by the pattern
				killed = syscall.Kill(pid, syscall.SIGKILL) == nil
			}
		}
	}
	return killed
}

// later strikes at a random moment of what takes about so long and has begun.
func (p *plant) later(victim, what string, began time.Time, takes time.Duration) {
	p.t.Helper()
	at, since := time.Duration(p.random.Int64N(int64(takes))), "its beginning"
	switch {
	case strings.HasPrefix(victim, "mover"): // it is there for a part of the time
		p.awaitMover(what)
		at, since, began = time.Duration(p.random.Int64N(int64(takes/2))), "its mover", time.Now()
	case victim == "agent" || p.random.IntN(2) == 0: // files move for a part of the time
		p.awaitMove(what)
		at, since, began = time.Duration(p.random.Int64N(int64(time.Second))), "its files began to move", time.Now()
	}
	time.Sleep(at - time.Since(began))
	p.last = fmt.Sprintf("%s, which takes about %s: %s killed %s after %s", what, takes.Round(time.Millisecond), victim, at.Round(time.Millisecond), since)
	p.strike(victim)
}

// awaitMove waits until files of a run move, or it has ended.
func (p *plant) awaitMove(what string) {
	p.t.Helper()
	kind, name, _ := strings.Cut(what, " ")
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		orders := p.kubectl("", "-n", p.ns, "get", "podvolumebackups,podvolumerestores", "-l", "velero.io/"+kind+"-name="+name, "-o", "jsonpath={.items[*].status.phase}")
		if strings.Contains(orders, "InProgress") || p.kubectl("", "-n", p.ns, "get", kind, name, "-o", "jsonpath={.status.completionTimestamp}") != "" {
			return
		}
	}
	p.t.Fatalf("no files of %s move, and it does not end", what)
}

// awaitMover waits until a restore has its mover.
func (p *plant) awaitMover(what string) {
	p.t.Helper()
	_, restore, _ := strings.Cut(what, " ")
	var r velerov1.Restore
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if p.kubectl("", "get", "pod", "-A", "-l", moverLabel, "-o", "name") != "" {
			return
		}
	}
	p.ended("restore", restore, &r)
	p.t.Fatalf("restore %s had no mover: %+v", restore, r.Status)
}

// left is what is under way, or should have gone.
func (p *plant) left() (all []string) {
	for _, kind := range []string{"podvolumebackups", "podvolumerestores"} {
		for line := range strings.Lines(p.kubectl("", "-n", p.ns, "get", kind, "-o", `jsonpath={range .items[*]}{.metadata.name} {.status.phase}{"\n"}{end}`)) {
			name, phase, _ := strings.Cut(strings.TrimSpace(line), " ")
			if !slices.Contains([]string{"Completed", "Failed", "Canceled"}, phase) {
				all = append(all, fmt.Sprintf("%s %s is %q", kind, name, phase))
			}
		}
	}
	all = append(all, strings.Fields(p.kubectl("", "get", "pods", "-A", "-l", moverLabel, "-o", "name"))...)
	all = append(all, p.stored("metadata/hozon/runs")...)
	all = append(all, p.stored("metadata/hozon/hooks")...)
	for folder, record := range map[string]string{"backups": "/velero-backup.json", "restores": "/hozon-restore.json"} {
		for _, key := range p.stored(folder) {
			if name := strings.Split(key, "/")[1]; !slices.Contains(p.stored(folder+"/"+name), folder+"/"+name+record) {
				all = append(all, key+" of no "+folder)
			}
		}
	}
	return append(all, p.unrecorded()...)
}

// unrecorded are snapshots that no backup names, and PodVolumeBackups of backups that do not name them.
func (p *plant) unrecorded() (all []string) {
	p.t.Helper()
	st := p.openS3()
	names, err := st.Backups(p.t.Context())
	if err != nil {
		p.t.Fatal(err)
	}
	named, records := map[string]bool{}, map[string]bool{}
	for _, name := range names {
		var saved []velerov1.PodVolumeBackup
		if err := st.ReadJSON(p.t.Context(), store.Backup, name, store.PodVolumeBackups, &saved); err != nil {
			p.t.Fatal(err)
		}
		for i := range saved {
			named[saved[i].Status.SnapshotID], records[saved[i].Name] = true, true
		}
	}
	for _, name := range strings.Fields(p.kubectl("", "-n", p.ns, "get", "podvolumebackups", "-o", "jsonpath={.items[*].metadata.name}")) {
		if !records[name] {
			all = append(all, "podvolumebackup "+name+" of no backup")
		}
	}
	r, err := volume.Open(p.t.Context(), st.Bucket(), p.app, []string{vaulttest.Password})
	if err != nil {
		p.t.Fatal(err)
	}
	snapshots, err := r.Snapshots(p.t.Context())
	if err != nil {
		p.t.Fatal(err)
	}
	for _, s := range snapshots {
		if !named[s.ID] {
			all = append(all, fmt.Sprintf("snapshot %s of no backup: %v", s.ID, s.Tags))
		}
	}
	if err := r.Close(p.t.Context()); err != nil {
		p.t.Fatal(err)
	}
	return all
}

// rests waits until nothing is left.
func (p *plant) rests() {
	p.t.Helper()
	left := p.left()
	for deadline := time.Now().Add(time.Minute); len(left) > 0 && time.Now().Before(deadline); left = p.left() {
		time.Sleep(300 * time.Millisecond)
	}
	if len(left) > 0 {
		p.t.Fatalf("%s: a minute later there are left:\n%s", p.last, strings.Join(left, "\n"))
	}
}

// intact wants what a backup has of the volumes to be what they hold.
func (p *plant) intact(backup string) {
	p.t.Helper()
	for place, disk := range map[string]string{p.app + "/data": p.data(p.app), p.app + "/keeper-0:scratch": p.in(p.app, "keeper-0", "scratch")} {
		to := p.t.TempDir()
		p.hozon(0, "volume", "get", backup, place, "/", to)
		vaulttest.Compare(p.t, without(vaulttest.Disk(p.t, to)), without(vaulttest.Disk(p.t, disk)))
		if err := os.RemoveAll(to); err != nil {
			p.t.Fatal(err)
		}
	}
	if p.t.Failed() {
		p.t.Fatalf("%s: backup %s does not have what the volumes hold", p.last, backup)
	}
}

// next makes a backup as if nothing had been.
func (p *plant) next(name string) {
	p.t.Helper()
	p.kubectl("", "-n", p.ns, "wait", "--for=jsonpath={.status.phase}=Available", "backupstoragelocation/default", "--timeout=120s")
	p.hozon(0, "backup", "create", name, "--include-namespaces", p.app, "--snapshot-volumes=false", "--wait")
	p.intact(name)
}

// begin has something done and returns when that was.
func (p *plant) begin(args ...string) time.Time {
	p.t.Helper()
	began := time.Now()
	p.hozon(0, args...)
	return began
}

// TestKillsInBackups kills the server, the agent and the store at random moments of backups: each comes to its end, nothing is left, and the next is whole.
func TestKillsInBackups(t *testing.T) {
	p := newPlant(t)
	p.renew()
	began := p.begin("backup", "create", "first", "--include-namespaces", p.app, "--snapshot-volumes=false", "--wait")
	takes := time.Since(began)
	for _, victim := range victims("server", "agent", "store") {
		for i := range kills() {
			name := fmt.Sprintf("%s-%d", victim, i)
			p.renew()
			began := p.begin("backup", "create", name, "--include-namespaces", p.app, "--snapshot-volumes=false")
			p.later(victim, "backup "+name, began, takes)
			var b velerov1.Backup
			p.ended("backup", name, &b)
			attempts := cmp.Or(b.Annotations[velerov1.AnnotationAttempt], "1")
			t.Logf("%s: %s, attempt %s %s", p.last, b.Status.Phase, attempts, b.Status.FailureReason)
			switch {
			case b.Status.Phase == velerov1.BackupPhaseCompleted:
				p.intact(name)
			case victim != "store":
				t.Fatalf("%s\n%s", p.last, p.hozon(0, "backup", "describe", name, "--details"))
			default:
				t.Log(p.hozon(0, "backup", "describe", name))
			}
			p.next("after-" + name)
			p.rests()
		}
	}
}

// TestKillsInRestores kills the server, the agent, the store and movers at random moments of restores: each comes to its end, nothing is left, what is said to be
// filled is, and the next backup is whole.
func TestKillsInRestores(t *testing.T) {
	p := newPlant(t)
	p.renew()
	p.hozon(0, "backup", "create", "base", "--include-namespaces", p.app, "--snapshot-volumes=false", "--wait")
	data, scratch := without(vaulttest.Disk(t, p.data(p.app))), without(vaulttest.Disk(t, p.in(p.app, "keeper-0", "scratch")))
	takes := p.restore("first", func() {})
	p.checkRestored("first", data, scratch)
	parts := []string{"server", "agent", "store", "mover"}
	if kills() > 1 {
		parts = append(parts, "mover's process")
	}
	all := victims(parts...)
	for _, victim := range all {
		for i := range kills() {
			name := fmt.Sprintf("%s-%d", strings.NewReplacer("'", "", " ", "-").Replace(victim), i)
			p.restore(name, func() { p.later(victim, "restore "+name, time.Now(), takes) })
			var r velerov1.Restore
			p.ended("restore", name, &r)
			t.Logf("%s: %s, attempt %s %s", p.last, r.Status.Phase, cmp.Or(r.Annotations[velerov1.AnnotationAttempt], "1"), r.Status.FailureReason)
			switch {
			case r.Status.Phase == velerov1.RestorePhaseCompleted:
				p.checkRestored(name, data, scratch)
			case victim == "server" || victim == "agent":
				t.Fatalf("%s\n%s", p.last, p.hozon(0, "restore", "describe", name))
			default:
				t.Log(p.hozon(0, "restore", "describe", name))
			}
			p.cleared(name)
			if kills() > 1 || victim == all[len(all)-1] {
				p.next("after-" + name)
			}
			p.rests()
		}
	}
}

// restore begins a restore into a namespace of its own, has something done, and returns how long it took to the end.
func (p *plant) restore(name string, meanwhile func()) time.Duration {
	p.t.Helper()
	p.volume("local-disk", p.copies)
	p.copies++
	began := p.begin("restore", "create", name, "--from-backup", "base", "--namespace-mappings", p.app+":"+p.app+"-"+name)
	meanwhile()
	var r velerov1.Restore
	p.ended("restore", name, &r)
	return time.Since(began)
}

// checkRestored wants the volumes of a restore to be those of the backup, and the pod to run.
func (p *plant) checkRestored(name string, data, scratch []vaulttest.Entry) {
	p.t.Helper()
	ns := p.app + "-" + name
	p.awaitPod(ns, "keeper-0")
	vaulttest.Compare(p.t, without(vaulttest.Disk(p.t, p.data(ns))), data)
	vaulttest.Compare(p.t, without(vaulttest.Disk(p.t, p.in(ns, "keeper-0", "scratch"))), scratch)
	if p.t.Failed() {
		p.t.Fatalf("%s: the volumes are not what they were", p.last)
	}
}

// cleared looks for what does not belong into the namespace of a restore, and removes it.
func (p *plant) cleared(name string) {
	p.t.Helper()
	ns := p.app + "-" + name
	for _, o := range strings.Fields(p.kubectl("", "-n", ns, "get", "pods,persistentvolumeclaims", "-o", "name")) {
		if o != "pod/keeper-0" && o != "persistentvolumeclaim/data" {
			p.t.Errorf("%s: %s is in namespace %s", p.last, o, ns)
		}
	}
	p.kubectl("", "delete", "namespace", ns, "--ignore-not-found", "--wait=false")
}
