// SPDX-License-Identifier: Apache-2.0

package peer

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"
	"time"

	"hozon.dev/hozon/internal/cluster/clustertest"
	"hozon.dev/hozon/test/daemon"
)

// Config says how a server is run.
type Config struct {
	Dir    string   // for its log; exists
	Temp   string   // its temporary folder; exists
	Flags  []string // besides those that it cannot do without
	Bucket Bucket
}

// A Server is a running velero server.
type Server struct {
	cluster *clustertest.Cluster
	process *daemon.Process
	temp    string
}

// readyTimeout is far above the seconds that a start takes.
const readyTimeout = 3 * time.Minute

// Start starts a server for a cluster in which Velero is installed, and returns when it has found its bucket and rests.
func (v Velero) Start(ctx context.Context, c *clustertest.Cluster, o Config) (*Server, error) {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	if err := awaitPort(ctx); err != nil {
		return nil, fmt.Errorf("start velero: %w", err)
	}
	metrics, err := daemon.ReservePort()
	if err != nil {
		return nil, fmt.Errorf("start velero: %w", err)
	}
	defer metrics.Close()
	if err := locate(ctx, c, o.Bucket); err != nil {
		return nil, fmt.Errorf("start velero: %w", err)
	}
	process, err := daemon.Start(daemon.Command{
		Name: "velero", Path: v.Binary, Dir: o.Dir,
		Args: append([]string{"server", "--plugin-dir", v.PluginDir, "--metrics-address", metrics.Addr()}, o.Flags...),
		Env: []string{
			"KUBECONFIG=" + c.Kubeconfig(), "VELERO_NAMESPACE=" + Namespace, "TMPDIR=" + o.Temp,
			"AWS_ACCESS_KEY_ID=" + o.Bucket.AccessKey, "AWS_SECRET_ACCESS_KEY=" + o.Bucket.SecretKey, "AWS_EC2_METADATA_DISABLED=true",
		},
	})
	if err != nil {
		return nil, err
	}
	s := &Server{cluster: c, process: process, temp: o.Temp}
	if err := s.ready(ctx); err != nil {
		s.Stop()
		return nil, err
	}
	return s, nil
}

// awaitPort waits until nobody has the port that Velero's library insists on.
func awaitPort(ctx context.Context) error {
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		l, err := new(net.ListenConfig).Listen(ctx, "tcp", ":8080")
		if err == nil {
			return l.Close()
		}
		if !errors.Is(err, syscall.EADDRINUSE) {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("await port 8080, which Velero needs: %w: %w", ctx.Err(), err)
		case <-tick.C:
		}
	}
}

func (s *Server) ready(ctx context.Context) error {
	started := time.Now()
	if _, err := s.follow(ctx, "backupstoragelocations", locationName, nil, func(st status) bool { return st.Phase == "Available" }); err != nil {
		return err
	}
	// A server that has just found its bucket still fills its caches, and looks for backups there.
	return s.rest(ctx, started)
}

// rest returns when the server has used next to nothing for two seconds.
func (s *Server) rest(ctx context.Context, started time.Time) error {
	const window, least = 2 * time.Second, 5 * time.Second
	tick := time.NewTicker(window)
	defer tick.Stop()
	before, err := s.usage()
	if err != nil {
		return err
	}
	for {
		select {
		case <-ctx.Done():
			return fmt.Errorf("await that velero rests: %w", ctx.Err())
		case <-s.process.Done():
			return s.process.Exited()
		case <-tick.C:
		}
		now, err := s.usage()
		if err != nil {
			return err
		}
		if now.cpu-before.cpu <= window/20 && time.Since(started) >= least {
			return nil
		}
		before = now
	}
}

// follow is watch that also ends when the server does.
func (s *Server) follow(ctx context.Context, resource, name string, opened chan<- struct{}, wanted func(status) bool) (status, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ended := make(chan struct{})
	defer close(ended)
	go func() {
		select {
		case <-s.process.Done():
			cancel()
		case <-ended:
		}
	}()
	st, err := watch(ctx, s.cluster, resource, name, opened, wanted)
	if gone := s.process.Exited(); gone != nil {
		return st, gone
	}
	return st, err
}

// Complaints are the last errors in the server's log.
func (s *Server) Complaints() string {
	var lines []string
	for line := range strings.Lines(s.process.LogTail(2000)) {
		if strings.Contains(line, "level=error") {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines[max(0, len(lines)-10):], "")
}

// Stop ends the server and what it left in its temporary folder.
func (s *Server) Stop() {
	s.process.Stop(10 * time.Second)
	entries, _ := os.ReadDir(s.temp)
	for _, e := range entries {
		_ = os.RemoveAll(s.temp + "/" + e.Name())
	}
}
