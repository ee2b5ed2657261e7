// SPDX-License-Identifier: Apache-2.0

package scenario

import (
	"bytes"
	"context"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// lines is how many events the journal of the restore that is under way has, -1 if there is none; within says that the last one is of a step that has only begun.
func (s *Station) lines(t *testing.T) (most int, within bool) {
	t.Helper()
	most = -1
	all, err := filepath.Glob(filepath.Join(s.Dir, "hozon-workspace/prod_restore_*/journal"))
	check(t, err)
	for _, name := range all {
		text, err := os.ReadFile(name)
		check(t, err)
		if !bytes.Contains(text, []byte(`"step":"finished"`)) {
			most = max(most, bytes.Count(text, []byte("\n"))-1)
			within = bytes.HasSuffix(text, []byte("\"begun\"}\n"))
		}
	}
	return most, within
}

// interrupt runs hozon and ends it with sig when the journal has more than after events; done says that it came to its end before.
func (s *Station) interrupt(t *testing.T, sig syscall.Signal, after int, args ...string) (done bool, said string) {
	t.Helper()
	return s.interruptWhen(t, sig, func() bool {
		now, _ := s.lines(t)
		if now > after && now%6 == 5 {
			time.Sleep(40 * time.Millisecond) // not always at the very beginning of a step
		}
		return now > after
	}, args...)
}

// reached says whether the journal of some restore has a text.
func (s *Station) reached(text string) func() bool {
	return func() bool {
		all, _ := filepath.Glob(filepath.Join(s.Dir, "hozon-workspace/prod_restore_*/journal"))
		return slices.ContainsFunc(all, func(name string) bool {
			journal, err := os.ReadFile(name)
			return err == nil && bytes.Contains(journal, []byte(text))
		})
	}
}

// interruptWhen is interrupt at any moment that can be seen.
func (s *Station) interruptWhen(t *testing.T, sig syscall.Signal, when func() bool, args ...string) (done bool, said string) {
	t.Helper()
	var out bytes.Buffer
	c := s.Command(context.WithoutCancel(t.Context()), args...)
	c.Stdout, c.Stderr = &out, &out
	check(t, c.Start())
	ended := make(chan error, 1)
	go func() { ended <- c.Wait() }()
	for {
		select {
		case err := <-ended:
			if err != nil {
				t.Fatalf("hozon %s: %v\n%s", strings.Join(args, " "), err, out.String())
			}
			return true, out.String()
		case <-time.After(2 * time.Millisecond): // the file is all that is to be seen from outside
		}
		if when() {
			_ = c.Process.Signal(sig)
			<-ended
			return false, out.String()
		}
	}
}

// TestKillResume ends a restore after each thing that it writes down, in turns by kill -9 and by ^C, and goes on with it: in the end the cluster is restored. etcd
// under systemd, and with HOZON_SCENARIO=1 every other layout.
func TestKillResume(t *testing.T) {
	t.Parallel()
	t.Run("systemd", func(t *testing.T) {
		t.Parallel()
		c := killResume(t, Setup{Hosts: several(), Units: true})
		if got := c.Hosts[0].Sh(t, "stat -c %U /var/lib/etcd/member/snap/db"); got != "etcd\n" {
			t.Errorf("etcd's data belongs to %s", got)
		}
	})
	for _, layout := range others() {
		t.Run(layout, func(t *testing.T) {
			t.Parallel()
			killResume(t, Setup{Hosts: 1, Layout: layout})
		})
	}
}

// several is a control plane of three machines, or, if that would take too long, of one.
func several() int {
	if whole() {
		return 3
	}
	return 1
}

// others are the layouts that are tried with HOZON_SCENARIO=1 only.
func others() []string {
	if whole() {
		return layouts
	}
	return nil
}

func killResume(t *testing.T, setup Setup) *Cluster {
	c := Start(t, setup)
	w := newWorld(t, c)
	s := NewStation(t, c)
	w.note(t)
	archive := s.Backup(t, "prod.tar.gz.age")
	w.change(t)
	c.Hosts[0].Sh(t, "rm -rf /etc/kubernetes/pki "+origin+"master.server.* "+k3s+"tls")
	args, last, ends := s.restore("--backup-file", archive), -1, 0
	for {
		sig := syscall.SIGKILL
		if ends%2 == 1 {
			sig = syscall.SIGINT
		}
		done, said := s.interrupt(t, sig, last, args...)
		if done {
			break
		}
		ends++
		if now, _ := s.lines(t); now < 0 && last >= 0 {
			break // it was over already
		}
		if now, within := s.lines(t); now >= 0 {
			if last = now; within {
				last++ // the step that was cut off begins again; this time it may come to its end
			}
			args = s.restore("--resume")
			if out, err := s.Try(t, s.restore("--backup-file", archive)...); err == nil || !strings.Contains(out, "--resume") {
				t.Fatalf("a second restore began while one is interrupted: %v\n%s", err, out)
			}
		}
		if sig == syscall.SIGINT && !strings.Contains(said, "--rollback") {
			t.Errorf("^C says nothing of the ways on:\n%s", said)
		}
	}
	t.Logf("interrupted %d times", ends)
	if ends < 12*setup.Hosts {
		t.Errorf("interrupted only %d times", ends)
	}
	w.verify(t)
	s.nothingInMemory(t)
	return c
}

// TestKillRollback ends a restore in the middle of exchanging the data (with HOZON_SCENARIO=1: after each thing that it writes down, on every layout), and takes it
// back: the cluster is what it was before the restore, files included. So it does with a restore that has come to its end.
func TestKillRollback(t *testing.T) {
	t.Parallel()
	t.Run("kubeadm", func(t *testing.T) {
		t.Parallel()
		killRollback(t, Setup{Hosts: 1})
	})
	for _, layout := range others() {
		t.Run(layout, func(t *testing.T) {
			t.Parallel()
			killRollback(t, Setup{Hosts: 1, Layout: layout})
		})
	}
}

func killRollback(t *testing.T, setup Setup) {
	c := Start(t, setup)
	w := newWorld(t, c)
	s := NewStation(t, c)
	archive := s.Backup(t, "prod.tar.gz.age")
	w.change(t)
	at := c.places()
	look := "cd /; find etc/kubernetes etc/origin etc/rancher " + k3s[1:] + " -type f ! -path '*/member*' -printf '%p %m %U %G ' -exec sha256sum {} ';' 2>/dev/null | sort"
	files := "echo changed since >>" + at.apiClient + ".crt; echo changed since >" + at.encryption + ".old; chown 7:8 " + at.accounts + "; " + look
	var before []string
	for _, h := range c.Hosts {
		before = append(before, h.Sh(t, files))
	}
	s.kept(t, w, before, look)
	for at := 0; ; at++ {
		if !whole() && at != 14 { // in the middle of exchanging the data
			if at > 14 {
				at = 1 << 20 // and at the end
			} else {
				continue
			}
		}
		done, _ := s.interrupt(t, syscall.SIGKILL, at, s.restore("--backup-file", archive)...)
		now, _ := s.lines(t)
		done = done || now < 0 // it has written that it was finished, and was killed then
		t.Logf("taken back after %d events", now)
		s.Must(t, s.restore("--rollback")...)
		s.kept(t, w, before, look)
		if done {
			break
		}
	}
	if out, err := s.Try(t, s.restore("--resume")...); err == nil {
		t.Errorf("there was something to go on with:\n%s", out)
	}
}

// kept wants every object as it was after the backup, or notes it the first time, and every file.
func (s *Station) kept(t *testing.T, w *world, before []string, look string) {
	t.Helper()
	for i, h := range w.Hosts {
		w.AwaitHost(t, h)
		now := w.all(t, h)
		if w.objects == nil {
			w.objects = now
		}
		if !maps.Equal(now, w.objects) {
			t.Fatalf("%s: %s", h.Spec.Name, difference(w.objects, now))
		}
		if got := h.Sh(t, look); got != before[i] {
			t.Fatalf("%s: files are\n%s\nwere\n%s", h.Spec.Name, got, before[i])
		}
	}
}
