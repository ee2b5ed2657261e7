// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// usage is what one execution of a program used.
type usage struct {
	Wall time.Duration
	CPU  time.Duration // user and system
	Peak int64         // most bytes in memory
	Code int           // exit code; -1: killed
}

// measureVerb makes this program the parent of what is measured. The kernel counts to a child what its parent had in memory
// when it forked, so the parent has to be a process that has done nothing yet, and not the benchmark itself.
const measureVerb = "measure"

// measureMain runs a command, and prints what it used as JSON on standard output. The command's own output goes to
// standard error.
func measureMain(args []string) int {
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	started := time.Now()
	err := cmd.Run()
	u := usage{Wall: time.Since(started)}
	if cmd.ProcessState == nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	u.CPU, u.Code = cmd.ProcessState.UserTime()+cmd.ProcessState.SystemTime(), cmd.ProcessState.ExitCode()
	if r, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
		u.Peak = r.Maxrss << 10
	}
	if err := json.NewEncoder(os.Stdout).Encode(u); err != nil {
		return 1
	}
	return 0
}

// execute runs a program in a measuring parent. A program that ends with another code than 0 is an error with what it said.
func execute(ctx context.Context, env []string, args ...string) (usage, error) {
	self, err := os.Executable()
	if err != nil {
		return usage{}, err
	}
	cmd := exec.CommandContext(ctx, self, append([]string{measureVerb}, args...)...)
	var out, talk bytes.Buffer
	cmd.Env = append(os.Environ(), env...)
	cmd.Stdout, cmd.Stderr = &out, &talk
	// The whole group, or the program would outlive its measuring parent.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	if err := cmd.Run(); err != nil {
		return usage{}, fmt.Errorf("%s: %w\n%s", strings.Join(args[1:], " "), err, talk.Bytes())
	}
	var u usage
	if err := json.Unmarshal(out.Bytes(), &u); err != nil {
		return usage{}, fmt.Errorf("read what %s used: %w", args[0], err)
	}
	if u.Code != 0 {
		return u, fmt.Errorf("hozon %s: exit code %d\n%s", strings.Join(args[1:], " "), u.Code, talk.Bytes())
	}
	return u, nil
}

// peers is what the components of a control plane have used so far.
type peers struct{ APIServer, Etcd time.Duration }

func (p peers) total() time.Duration { return p.APIServer + p.Etcd }

func used(p plane) (peers, error) {
	u, err := p.Usage()
	return peers{APIServer: u["kube-apiserver"].CPU, Etcd: u["etcd"].CPU}, err
}

// ownRequests mark what the API server sends to itself: the renewal of its lease, the records of the addresses that it
// allocates, the registration of new kinds. hozon writes none of these.
var ownRequests = []string{
	`resource="leases"`, `resource="ipaddresses"`, `resource="apiservices"`, `resource="customresourcedefinitions",scope="resource",subresource="status"`,
}

func ownRequest(labels string) bool {
	return slices.ContainsFunc(ownRequests, func(mark string) bool { return strings.Contains(labels, mark) })
}

// requests are the API server's own counts by verb, without what it sends to itself.
func requests(ctx context.Context, p plane) (map[string]int64, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.URL+"/metrics", nil)
	if err != nil {
		return nil, err
	}
	resp, err := p.Client().Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	counts := map[string]int64{}
	for line := range strings.Lines(string(text)) {
		rest, ok := strings.CutPrefix(line, "apiserver_request_total{")
		labels, value, _ := strings.Cut(rest, "} ")
		if !ok || ownRequest(labels) {
			continue
		}
		n, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
		if err != nil {
			return nil, fmt.Errorf("read metrics: %w", err)
		}
		_, verb, _ := strings.Cut(labels, `verb="`)
		verb, _, _ = strings.Cut(verb, `"`)
		counts[verb] += int64(n)
	}
	counts["GET"]-- // this one, or the one before
	return counts, nil
}
