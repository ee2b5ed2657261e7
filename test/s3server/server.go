// SPDX-License-Identifier: Apache-2.0

// Package s3server runs a real S3 server (versitygw over a folder) for tests
// and the benchmark: HTTP, signatures, multipart uploads and conditional puts
// as a client of S3 meets them.
//
// A Server listens on a port of 127.0.0.1 that stays its own while it is down,
// so that tests can stop or kill it and start it again. It speaks plain HTTP.
// The folder must be on a file system with extended attributes.
package s3server

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"hozon.dev/hozon/test/daemon"
)

// Region is the region that every server is in.
const Region = "us-east-1"

// A Server is an S3 server with one user. Its methods that stop and start it
// must not be called at the same time as each other.
type Server struct {
	Endpoint  string // http://127.0.0.1:port
	AccessKey string
	SecretKey string

	region  string
	flags   []string // further ones of the program
	dir     string
	binary  string
	port    *daemon.Port
	process *daemon.Process
	closing sync.Once
}

// Start starts a server for t alone, which is closed when t ends; with -short it skips t.
func Start(t testing.TB) *Server {
	t.Helper()
	return StartIn(t, Region)
}

// StartIn starts a server for t alone that is in a region, with further flags of the program.
func StartIn(t testing.TB, region string, flags ...string) *Server {
	t.Helper()
	if testing.Short() {
		t.Skip("starts an S3 server")
	}
	s, err := launch(context.Background(), filepath.Join(t.TempDir(), "s3"), region, flags...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("--- %s\n%s", s.process.Name(), s.process.LogTail(30))
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// Launch starts a server in the folder dir, which must not exist, and returns
// when it answers. ctx bounds the start (including a first build, which takes a
// minute), not the life, of the server.
func Launch(ctx context.Context, dir string) (*Server, error) { return launch(ctx, dir, Region) }

func launch(ctx context.Context, dir, region string, flags ...string) (*Server, error) {
	binary, err := daemon.Build(ctx, "tools/build", "tools/s3", "github.com/versity/versitygw/cmd/versitygw", "versitygw")
	if err != nil {
		return nil, err
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return nil, fmt.Errorf("launch S3 server: %w", err)
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, fmt.Errorf("launch S3 server: %w", err)
	}
	s := &Server{
		AccessKey: rand.Text(),
		SecretKey: rand.Text(),
		region:    region,
		flags:     flags,
		dir:       dir,
		binary:    binary,
	}
	if err := s.launch(ctx); err != nil {
		s.Close()
		return nil, fmt.Errorf("launch S3 server: %w", err)
	}
	return s, nil
}

func (s *Server) launch(ctx context.Context) error {
	if err := os.Mkdir(s.bucketsDir(), 0o700); err != nil {
		return err
	}
	port, err := daemon.ReservePort()
	if err != nil {
		return err
	}
	s.port = port
	s.Endpoint = "http://" + port.Addr()
	return s.Start(ctx)
}

// Start starts the server again after Stop or Kill, on the same port and with
// the same data, and returns when it answers.
func (s *Server) Start(ctx context.Context) error {
	if s.process != nil && s.process.Running() {
		return errors.New("start S3 server: it is running")
	}
	p, err := daemon.Start(daemon.Command{
		Name: "versitygw",
		Path: s.binary,
		// Other S3 servers keep connections alive too; this one has to be told.
		Args: append(append([]string{"--port", s.port.Addr(), "--region", s.region, "--keep-alive", "--quiet"}, s.flags...), "posix", s.bucketsDir()),
		Env:  []string{"ROOT_ACCESS_KEY=" + s.AccessKey, "ROOT_SECRET_KEY=" + s.SecretKey},
		Dir:  s.dir,
	})
	if err != nil {
		return err
	}
	s.process = p
	return s.await(ctx)
}

// await returns when the server takes connections.
func (s *Server) await(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	var dialer net.Dialer
	for {
		conn, err := dialer.DialContext(ctx, "tcp", s.port.Addr())
		if err == nil {
			return conn.Close()
		}
		select {
		case <-s.process.Done():
			return s.process.Exited()
		case <-ctx.Done():
			return fmt.Errorf("await S3 server: %w", err)
		case <-tick.C:
		}
	}
}

// Stop ends the server in order. Its port refuses connections until Start.
func (s *Server) Stop() { s.process.Stop(10 * time.Second) }

// Kill kills the server in the middle of whatever it does.
func (s *Server) Kill() { s.process.Kill() }

// Process returns the running, or last, process of the server.
func (s *Server) Process() *daemon.Process { return s.process }

// CreateBucket makes a bucket. It exists at once, also while the server is
// down; making one that exists is an error.
func (s *Server) CreateBucket(name string) error {
	if err := os.Mkdir(s.BucketDir(name), 0o700); err != nil {
		return fmt.Errorf("create bucket %s: %w", name, err)
	}
	return nil
}

// BucketDir returns the folder in which the server keeps a bucket, an object
// as a file of its key; for tests that look at or damage what is stored.
func (s *Server) BucketDir(name string) string { return filepath.Join(s.bucketsDir(), name) }

func (s *Server) bucketsDir() string { return filepath.Join(s.dir, "buckets") }

// Close kills the server and removes its folder with all buckets. Only the
// first call does something.
func (s *Server) Close() error {
	var err error
	s.closing.Do(func() {
		if s.process != nil {
			s.process.Kill()
		}
		if s.port != nil {
			s.port.Close()
		}
		err = os.RemoveAll(s.dir)
	})
	if err != nil {
		return fmt.Errorf("close S3 server: %w", err)
	}
	return nil
}
