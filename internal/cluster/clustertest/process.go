// SPDX-License-Identifier: Apache-2.0

package clustertest

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"hozon.dev/hozon/test/daemon"
)

const apiServer = "kube-apiserver"

// StartAPIServer starts kube-apiserver on the cluster's port and returns when
// it is ready.
func (c *Cluster) StartAPIServer(ctx context.Context) error {
	if p := c.process(apiServer); p != nil && p.Running() {
		return fmt.Errorf("start %s: it is running", apiServer)
	}
	if err := c.run(apiServer, c.apiServerFlags()); err != nil {
		return err
	}
	return c.await(ctx, "/readyz")
}

// StopAPIServer ends kube-apiserver in order: running requests are answered,
// watches end. Its port refuses connections until StartAPIServer.
func (c *Cluster) StopAPIServer() {
	if p := c.process(apiServer); p != nil {
		p.Stop(30 * time.Second)
	}
}

// KillAPIServer kills kube-apiserver in the middle of whatever it does.
func (c *Cluster) KillAPIServer() {
	if p := c.process(apiServer); p != nil {
		p.Kill()
	}
}

// PIDs returns the process id of every running component by its name.
func (c *Cluster) PIDs() map[string]int {
	pids := map[string]int{}
	for _, p := range c.all() {
		if p.Running() {
			pids[p.Name()] = p.PID()
		}
	}
	return pids
}

// Usage returns what every running component has used since it was started,
// by its name. Linux only.
func (c *Cluster) Usage() (map[string]daemon.Usage, error) {
	usage := map[string]daemon.Usage{}
	for _, p := range c.all() {
		if !p.Running() {
			continue
		}
		u, err := p.Usage()
		if err != nil {
			return nil, err
		}
		usage[p.Name()] = u
	}
	return usage, nil
}

// Logs returns the end of every component's log.
func (c *Cluster) Logs() string {
	var b strings.Builder
	for _, p := range c.all() {
		fmt.Fprintf(&b, "--- %s\n%s\n", p.Name(), p.LogTail(30))
	}
	if c.node != nil {
		b.WriteString(c.node.logs())
	}
	return b.String()
}

func (c *Cluster) process(component string) *daemon.Process {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.processes[component]
}

// all returns the components, ended ones too, in the order of their names.
func (c *Cluster) all() []*daemon.Process {
	c.mu.Lock()
	defer c.mu.Unlock()
	var all []*daemon.Process
	for _, name := range slices.Sorted(maps.Keys(c.processes)) {
		all = append(all, c.processes[name])
	}
	return all
}
