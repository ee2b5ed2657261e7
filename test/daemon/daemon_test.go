// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// parentEnv makes this test binary the parent of a child in the folder that it
// names, instead of running tests.
const parentEnv = "DAEMON_TEST_PARENT"

func TestMain(m *testing.M) {
	if dir := os.Getenv(parentEnv); dir != "" {
		beParent(dir)
	}
	m.Run()
}

// beParent starts a child, tells its process id, and waits to be killed.
func beParent(dir string) {
	p, err := Start(sleeper(dir))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(p.PID())
	<-p.Done()
	os.Exit(1)
}

func sleeper(dir string) Command {
	return Command{Name: "sleep", Path: "/bin/sleep", Args: []string{"1000"}, Dir: dir}
}

func start(t *testing.T, c Command) *Process {
	t.Helper()
	p, err := Start(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Kill)
	return p
}

func shell(dir, script string) Command {
	return Command{Name: "sh", Path: "/bin/sh", Args: []string{"-c", script}, Dir: dir}
}

// until polls, since the processes it asks about are not our children.
func until(t *testing.T, what string, is func() bool) {
	t.Helper()
	deadline := time.After(20 * time.Second)
	for !is() {
		select {
		case <-deadline:
			t.Fatalf("waited in vain until %s", what)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// gone reports whether a process has ended; one that nobody has reaped yet has.
func gone(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err != nil || strings.Contains(string(stat), ") Z ")
}

func TestKilledParentLeavesNoChild(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux tells a child that its parent died")
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), parentEnv+"="+t.TempDir())
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(line))
	if err != nil {
		t.Fatal(err)
	}
	if gone(pid) {
		t.Fatal("the child did not start")
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	until(t, "the child of the killed parent is gone", func() bool { return gone(pid) })
}

// The kernel sends the parent death signal when a thread dies; that must not
// be one which the Go runtime may end.
func TestChildOutlivesThread(t *testing.T) {
	dir := t.TempDir()
	started := make(chan *Process, 1)
	thread := make(chan int, 1)
	go func() {
		runtime.LockOSThread() // and never unlock: the thread ends with the goroutine
		p, err := Start(shell(dir, `trap 'exit 7' TERM; echo up; while :; do sleep 0.01; done`))
		if err != nil {
			t.Error(err)
		}
		started <- p
		thread <- syscall.Gettid()
	}()
	p, tid := <-started, <-thread
	if p == nil {
		return
	}
	t.Cleanup(p.Kill)
	until(t, "the shell is up", func() bool { return p.LogTail(1) == "up" })
	if tid != os.Getpid() { // the main thread is parked, never ended
		until(t, "the thread is gone", func() bool {
			_, err := os.Stat(fmt.Sprintf("/proc/self/task/%d", tid))
			return err != nil
		})
	}
	p.Stop(20 * time.Second)
	if err := p.Exited(); err == nil || !strings.Contains(err.Error(), "exit status 7") {
		t.Errorf("it did not live to be stopped: %v", err)
	}
}

func TestStopKillsTheDeaf(t *testing.T) {
	p := start(t, shell(t.TempDir(), `trap '' TERM; echo deaf; while :; do sleep 0.01; done`))
	until(t, "the shell is deaf", func() bool { return p.LogTail(1) == "deaf" })
	p.Stop(10 * time.Millisecond)
	if err := p.Exited(); err == nil || !strings.Contains(err.Error(), "signal: killed") {
		t.Errorf("ended: %v", err)
	}
}

// A process that ends by itself takes its group along.
func TestGroupGoesToo(t *testing.T) {
	p := start(t, shell(t.TempDir(), `sleep 1000 & echo $!`))
	<-p.Done()
	pid, err := strconv.Atoi(p.LogTail(1))
	if err != nil {
		t.Fatal(err)
	}
	until(t, "the grandchild is gone", func() bool { return gone(pid) })
}

func TestExitedTellsWhy(t *testing.T) {
	p := start(t, shell(t.TempDir(), `echo one; echo two >&2; echo three; exit 3`))
	<-p.Done()
	if err := p.Exited(); err == nil || err.Error() != "sh ended: exit status 3\none\ntwo\nthree" {
		t.Errorf("%v", err)
	}
	if tail := p.LogTail(2); tail != "two\nthree" {
		t.Errorf("tail %q", tail)
	}
	p.Stop(time.Hour) // returns at once
	if _, err := Start(Command{Name: "none", Path: "/no/such/file", Dir: t.TempDir()}); err == nil {
		t.Error("a file that is not there was started")
	}
}

func TestUsage(t *testing.T) {
	const stat = "42 (a) b (c)) S 1 42 42 0 -1 4194304 100 0 0 0 150 25 0 0 20 0 9 0 1 1 1"
	const status = "Name:\tx\nVmHWM:\t    2048 kB\nVmRSS:\t    1024 kB\nThreads:\t9\n"
	got, err := parseUsage(stat, status)
	if err != nil {
		t.Fatal(err)
	}
	if want := (Usage{CPU: 1750 * time.Millisecond, Resident: 1 << 20, Peak: 2 << 20}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if _, err := parseUsage("42 (x) S 1", ""); err == nil {
		t.Error("a short stat was taken")
	}
	u, err := start(t, sleeper(t.TempDir())).Usage()
	if err != nil || u.Peak == 0 {
		t.Errorf("usage of a process: %+v, %v", u, err)
	}
}
