// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"hozon.dev/hozon/internal/cluster/clustertest"
)

// A site is the place of one named cluster. Its folder holds
//
//	lock        held by the supervisor; contains its process id once the cluster is ready
//	supervisor.log
//	cluster/    the cluster's own folder
type site struct {
	name, dir string
	node      bool // start it with one
}

func (s site) lockFile() string   { return filepath.Join(s.dir, "lock") }
func (s site) clusterDir() string { return filepath.Join(s.dir, "cluster") }

func (s site) options() clustertest.Options {
	return clustertest.Options{Controllers: true, Node: s.node}
}

// readyFD is the supervisor's end of the pipe on which it says "ready".
const readyFD = 3

const ready = "ready"

// up starts the cluster unless it runs.
func (s site) up(ctx context.Context, stdout, stderr io.Writer) error {
	// The build talks, and may take minutes; the supervisor is mute.
	if err := clustertest.Prepare(ctx, s.options()); err != nil {
		return err
	}
	pid, err := s.running()
	if err != nil {
		return err
	}
	if pid != 0 {
		fmt.Fprintf(stderr, "dev cluster %s is running already\n", s.name)
	} else if err := s.spawn(ctx); err != nil {
		return err
	}
	c := s.clusterDir()
	fmt.Fprintf(stdout, "export KUBECONFIG=%s\n", filepath.Join(c, "kubeconfig"))
	fmt.Fprintf(stderr, "kubectl of the same version: %s\n", filepath.Join(c, "bin", "kubectl"))
	if s.node {
		fmt.Fprintf(stderr, "a pod to try: kubectl run try --image=%s --image-pull-policy=Never -- sleep 1h\n", clustertest.BusyboxName)
	}
	fmt.Fprintf(stderr, "stop it: %s\n", s.downCommand())
	return nil
}

func (s site) downCommand() string {
	if s.name == "default" {
		return "make dev-down"
	}
	return "make dev-down NAME=" + s.name
}

// spawn starts the supervisor in a session of its own and waits until it is
// ready or gives up.
func (s site) spawn(ctx context.Context) error {
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	log, err := os.OpenFile(filepath.Join(s.dir, "supervisor.log"), os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	defer r.Close()
	cmd := exec.Command(self, "-name", s.name, fmt.Sprintf("-node=%t", s.node), "run")
	cmd.Stdout = log
	cmd.Stderr = log
	cmd.ExtraFiles = []*os.File{w}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	err = cmd.Start()
	w.Close()
	if err != nil {
		return err
	}
	defer context.AfterFunc(ctx, func() { _ = cmd.Process.Signal(syscall.SIGTERM) })()
	line, _ := bufio.NewReader(r).ReadString('\n')
	if line = strings.TrimSpace(line); line == ready {
		return nil
	}
	_ = cmd.Wait()
	said, _ := os.ReadFile(log.Name())
	return fmt.Errorf("start dev cluster %s: %s", s.name, said)
}

// supervise is the life of a cluster, in the supervisor.
func (s site) supervise(ctx context.Context) error {
	pipe := os.NewFile(readyFD, "ready")
	lock, err := os.OpenFile(s.lockFile(), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return fmt.Errorf("another one is starting or running: %w", err)
	}
	if err := lock.Truncate(0); err != nil {
		return err
	}
	// What a supervisor that was killed has left.
	if err := os.RemoveAll(s.clusterDir()); err != nil {
		return err
	}
	c, err := clustertest.Launch(ctx, s.clusterDir(), s.options())
	if err != nil {
		return err
	}
	defer c.Close()
	if s.node {
		busybox, err := c.BusyboxImage(ctx)
		if err != nil {
			return err
		}
		if err := c.LoadImage(ctx, busybox); err != nil {
			return err
		}
	}
	if _, err := lock.WriteAt([]byte(strconv.Itoa(os.Getpid())), 0); err != nil {
		return err
	}
	if _, err := fmt.Fprintln(pipe, ready); err != nil {
		return err
	}
	pipe.Close()
	<-ctx.Done()
	return nil
}

// running returns the process id of the supervisor, 0 if there is none.
func (s site) running() (int, error) {
	lock, err := os.Open(s.lockFile())
	if errors.Is(err, os.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	defer lock.Close()
	err = syscall.Flock(int(lock.Fd()), syscall.LOCK_SH|syscall.LOCK_NB)
	if err == nil {
		return 0, nil
	}
	if !errors.Is(err, syscall.EWOULDBLOCK) {
		return 0, err
	}
	text, err := io.ReadAll(lock)
	if err != nil {
		return 0, err
	}
	pid, err := strconv.Atoi(string(text))
	if err != nil {
		return 0, fmt.Errorf("dev cluster %s is just starting; try again", s.name)
	}
	return pid, nil
}

// down ends the supervisor, with its cluster, and removes the folder.
func (s site) down(ctx context.Context, stderr io.Writer) error {
	pid, err := s.running()
	if err != nil {
		return err
	}
	if pid == 0 {
		fmt.Fprintf(stderr, "dev cluster %s is not running\n", s.name)
		return os.RemoveAll(s.dir)
	}
	if err := s.end(ctx, pid); err != nil {
		return fmt.Errorf("stop dev cluster %s: %w", s.name, err)
	}
	if err := os.RemoveAll(s.dir); err != nil {
		return err
	}
	fmt.Fprintf(stderr, "dev cluster %s is gone\n", s.name)
	return nil
}

// end asks the supervisor to end, kills it when it does not, and returns when
// its lock is free.
func (s site) end(ctx context.Context, pid int) error {
	if err := syscall.Kill(pid, syscall.SIGTERM); err != nil {
		return err
	}
	kill := time.NewTimer(20 * time.Second)
	defer kill.Stop()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		still, err := s.running()
		if err != nil || still == 0 {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-kill.C:
			if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
				return err
			}
		case <-tick.C:
		}
	}
}
