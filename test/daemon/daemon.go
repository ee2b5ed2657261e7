// SPDX-License-Identifier: Apache-2.0

// Package daemon runs the real peers of the tests (etcd, an API server, an S3
// server) as child processes that cannot outlive their parent.
//
// Its nouns: a Command says what to run, a Process is one run of it, a Port is
// a TCP port that stays reserved while its server is down. Build finds or makes
// the binaries.
//
// A Process is killed by the kernel when its parent dies, however that happens
// (Linux; elsewhere an orderly end is needed); children of its own are killed
// with it only when it ends before the parent. It does not read standard
// input, is not restarted, and writes both its streams to one log file.
package daemon

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// A Command is a program to run as a child.
type Command struct {
	Name string   // what it is called in errors; its log is Dir/Name.log, appended to
	Path string   // the binary
	Args []string // without the program's name
	Env  []string // added to the parent's environment
	Dir  string   // working folder

	// Namespaces are the CLONE_NEW… flags of the namespaces that it gets of its own (Linux, as root). With a process
	// namespace all that it starts, however detached, ends with it, and before Done is closed.
	Namespaces uintptr
}

// A Process is a running, or ended, child. Its methods may be called from any
// goroutine.
type Process struct {
	name string
	log  string
	pid  int
	done chan struct{}
	err  error // written before done is closed
}

// Start runs c as a child in a process group of its own, so that a ^C in the
// terminal reaches only the parent, which then ends its children in order.
func Start(c Command) (*Process, error) {
	p := &Process{
		name: c.Name,
		log:  filepath.Join(c.Dir, c.Name+".log"),
		done: make(chan struct{}),
	}
	log, err := os.OpenFile(p.log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", c.Name, err)
	}
	defer log.Close()
	cmd := exec.Command(c.Path, c.Args...)
	cmd.Dir = c.Dir
	cmd.Env = append(os.Environ(), c.Env...)
	cmd.Stdout = log
	cmd.Stderr = log
	cmd.SysProcAttr = childAttr(c.Namespaces)
	started := make(chan error)
	go p.run(cmd, started)
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", c.Name, err)
	}
	return p, nil
}

// run starts and awaits the child on one locked thread: the kernel's parent
// death signal follows the thread that forked, not the process, so that thread
// has to live as long as the child.
func (p *Process) run(cmd *exec.Cmd, started chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	err := cmd.Start()
	if err == nil {
		p.pid = cmd.Process.Pid
	}
	started <- err
	if err != nil {
		return
	}
	p.err = cmd.Wait()
	// Children that it left behind are still in its group, which keeps the
	// number from being given to others.
	_ = syscall.Kill(-p.pid, syscall.SIGKILL)
	close(p.done)
}

// Name returns the name of the Command.
func (p *Process) Name() string { return p.name }

// PID returns the process id. It means nothing once Done is closed.
func (p *Process) PID() int { return p.pid }

// Done is closed when the process has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Running reports whether the process has not ended yet.
func (p *Process) Running() bool {
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// Exited returns why the process ended, with the end of its log; nil while it
// runs.
func (p *Process) Exited() error {
	if p.Running() {
		return nil
	}
	err := p.err
	if err == nil {
		err = errors.New("exit status 0")
	}
	return fmt.Errorf("%s ended: %w\n%s", p.name, err, p.LogTail(20))
}

// Stop asks the process to end (SIGTERM), kills its group after grace, and
// returns when it has ended.
func (p *Process) Stop(grace time.Duration) {
	p.signal(syscall.SIGTERM)
	timer := time.NewTimer(grace)
	defer timer.Stop()
	select {
	case <-p.done:
	case <-timer.C:
	}
	p.Kill()
}

// Kill kills the process and its group (SIGKILL) and returns when it has ended.
func (p *Process) Kill() {
	p.signal(syscall.SIGKILL)
	<-p.done
}

func (p *Process) signal(s syscall.Signal) {
	if p.Running() {
		// It may end between the question and the signal; that it is gone
		// is what was wanted.
		_ = syscall.Kill(-p.pid, s)
	}
}

// LogTail returns the last n lines that the process wrote, "" if there are none.
func (p *Process) LogTail(n int) string { return LogTail(p.log, n) }

// LogTail returns the last n lines of a file, "" if there are none.
func LogTail(path string, n int) string {
	const most = 64 << 10
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return ""
	}
	buf := make([]byte, min(info.Size(), most))
	k, _ := f.ReadAt(buf, info.Size()-int64(len(buf)))
	lines := strings.Split(strings.TrimRight(string(buf[:k]), "\n"), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}
