// SPDX-License-Identifier: Apache-2.0

package crash

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"hozon.dev/hozon/internal/cluster/clustertest"
)

// moments are random moments of a command that takes about duration.
func moments(t *testing.T, duration time.Duration) []time.Duration {
	rng := random(t)
	var all []time.Duration
	for range runs() {
		all = append(all, time.Duration(rng.Int64N(int64(duration))))
	}
	return all
}

// killAfter kills the process after a time, unless it ends before, and reports whether it was killed.
func (p *process) killAfter(d time.Duration) bool {
	timer := time.NewTimer(d - time.Since(p.started))
	defer timer.Stop()
	select {
	case <-p.done:
		return false
	case <-timer.C:
		_ = p.Process.Kill()
		<-p.done
		return p.ProcessState.ExitCode() == -1
	}
}

// TestKillBackup kills `hozon backup create` with SIGKILL at random moments of its life. It takes a second or two for each.
func TestKillBackup(t *testing.T) {
	if testing.Short() {
		t.Skip("starts servers")
	}
	s := newShell(t, clustertest.Shared(t), 1200)
	began := time.Now()
	s.run(t, 0, s.backupArgs("b")...)
	duration := time.Since(began)
	s.run(t, 0, "backup", "delete", "b", "--confirm")
	killed, left, committed := 0, 0, 0
	for _, at := range moments(t, duration) {
		if s.start(t, s.backupArgs("b")...).killAfter(at) {
			killed++
		}
		if len(s.files(t, "")) > 0 {
			left++
		}
		if names := s.whole(t); len(names) > 0 {
			committed++
			s.run(t, 0, "backup", "delete", "b", "--confirm")
		}
		// The next command clears away and takes the name.
		s.run(t, 0, s.backupArgs("b")...)
		s.whole(t)
		s.run(t, 0, "backup", "delete", "b", "--confirm")
		if files := s.files(t, ""); len(files) > 0 {
			t.Fatalf("killed after %s; left behind: %v", at, files)
		}
	}
	t.Logf("a backup takes %s; %d of %d were killed, %d left something behind, %d were committed", duration, killed, runs(), left, committed)
	if killed == 0 {
		t.Error("no process was killed")
	}
}

// TestKillRestore kills `hozon restore create` with SIGKILL at random moments of its life and then lets it run to its end. It takes a
// second or two for each.
func TestKillRestore(t *testing.T) {
	if testing.Short() {
		t.Skip("starts servers")
	}
	s := newShell(t, clustertest.Shared(t), 400)
	s.run(t, 0, s.backupArgs("b")...)
	began := time.Now()
	s.run(t, 0, s.restoreArgs("first", "b", s.namespace+"-first")...)
	duration := time.Since(began)
	killed, partly, committed := 0, 0, 0
	for i, at := range moments(t, duration) {
		into := fmt.Sprintf("%s-%d", s.namespace, i)
		name := fmt.Sprintf("r%d", i)
		args := s.restoreArgs(name, "b", into)
		if s.start(t, args...).killAfter(at) {
			killed++
			if n := len(s.contents(t, into)); n > 0 && n < s.objects {
				partly++
			}
			if len(s.files(t, "restores/"+name+"/hozon-restore.json")) > 0 { // killed after its last word: it is whole
				committed++
				s.run(t, 0, "restore", "delete", name, "--confirm")
			} else {
				s.run(t, 0, args...)
			}
		}
		s.equal(t, into)
		if t.Failed() {
			t.Fatalf("killed after %s", at)
		}
	}
	t.Logf("a restore takes %s; %d of %d were killed, %d of them with a part of the objects made, %d after the end", duration, killed, runs(), partly, committed)
	if killed == 0 {
		t.Error("no process was killed")
	}
	if files := s.files(t, "metadata"); len(files) > 0 {
		t.Errorf("claims left behind: %v", files)
	}
}

// TestInterrupt presses ^C in the middle: the command ends within five seconds, says so, and leaves nothing that is listed.
func TestInterrupt(t *testing.T) {
	if testing.Short() {
		t.Skip("starts servers")
	}
	s := newShell(t, clustertest.Shared(t), 400)
	s.run(t, 0, s.backupArgs("b")...)
	for name, args := range map[string][]string{
		"backup":  s.backupArgs("c"),
		"restore": s.restoreArgs("r", "b", s.namespace+"-r"),
	} {
		t.Run(name, func(t *testing.T) {
			p := s.start(t, args...)
			s.awaitFile(t, p, "metadata/hozon/runs") // it is past its beginnings
			s.interrupt(t, p)
			if names := s.whole(t); len(names) != 1 {
				t.Errorf("listed: %v", names)
			}
			if text := s.run(t, 0, "restore", "get"); strings.Contains(text, "Completed") {
				t.Errorf("listed: %s", text)
			}
			if files := append(s.files(t, "metadata"), s.files(t, "restores")...); len(files) > 0 {
				t.Errorf("left behind: %v", files)
			}
		})
	}
	t.Run("store that hangs", func(t *testing.T) {
		p := s.start(t, s.backupArgs("d")...)
		s.awaitFile(t, p, "metadata/hozon/runs")
		if err := syscall.Kill(s.s3.Process().PID(), syscall.SIGSTOP); err != nil {
			t.Fatal(err)
		}
		s.interrupt(t, p)
		if err := syscall.Kill(s.s3.Process().PID(), syscall.SIGCONT); err != nil {
			t.Fatal(err)
		}
		if names := s.whole(t); len(names) != 1 {
			t.Errorf("listed: %v", names)
		}
	})
}

// interrupt sends SIGINT and wants an end within five seconds.
func (s *shell) interrupt(t *testing.T, p *process) {
	t.Helper()
	began := time.Now()
	if err := p.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	code, text := p.end(t)
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("it took %s to end: %s", took, text)
	} else {
		t.Logf("ended %s after ^C with code %d: %s", took.Round(time.Millisecond), code, text)
	}
	if code != 1 {
		t.Errorf("the exit code is %d, want 1: %s", code, text)
	}
}

// awaitFile returns as soon as there is a file in a folder of the bucket, or the process has ended.
func (s *shell) awaitFile(t *testing.T, p *process, folder string) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for len(s.files(t, folder)) == 0 {
		select {
		case <-p.done:
			t.Fatalf("it ended before there was a file in %s: %s", folder, p.out.String())
		case <-tick.C:
		}
	}
}
