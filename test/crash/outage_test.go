// SPDX-License-Identifier: Apache-2.0

package crash

import (
	"strings"
	"testing"
	"time"

	"hozon.dev/hozon/internal/cluster"
	"hozon.dev/hozon/internal/cluster/clustertest"
)

// awaitObjects returns as soon as a restore has made some objects in a namespace.
func (s *shell) awaitObjects(t *testing.T, p *process, namespace string) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		body, err := s.client.List(t.Context(), s.types["configmaps"], cluster.ListOptions{Namespace: namespace, Limit: 1})
		if err != nil {
			t.Fatal(err)
		}
		head := make([]byte, 4096)
		n, _ := body.Read(head)
		body.Close()
		if strings.Contains(string(head[:n]), `"uid"`) {
			return
		}
		select {
		case <-p.done:
			t.Fatalf("it ended before it made anything: %s", p.out.String())
		case <-tick.C:
		}
	}
}

// TestOutageOfAPIServer kills the API server in the middle of a backup and of a restore and starts it again.
func TestOutageOfAPIServer(t *testing.T) {
	if testing.Short() {
		t.Skip("starts servers")
	}
	c := clustertest.Shared(t)
	s := newShell(t, c, 600)
	restart := func(t *testing.T) {
		c.KillAPIServer()
		if err := c.StartAPIServer(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	t.Run("backup", func(t *testing.T) {
		p := s.start(t, s.backupArgs("b")...)
		s.awaitFile(t, p, "metadata/hozon/runs")
		restart(t)
		s.completesOrSays(t, p, "API server")
		s.retake(t, "b")
	})
	t.Run("restore", func(t *testing.T) {
		into := s.namespace + "-r"
		p := s.start(t, s.restoreArgs("r", "b", into)...)
		s.awaitObjects(t, p, into)
		restart(t)
		s.completesOrSays(t, p, "API server")
		s.run(t, 0, s.restoreArgs("again", "b", into)...)
		s.equal(t, into)
	})
}

// TestOutageOfStore kills the S3 server in the middle of a backup and of a restore, and starts it again some seconds later: 2, and 10 as part of `make crash`.
func TestOutageOfStore(t *testing.T) {
	if testing.Short() {
		t.Skip("starts servers")
	}
	length := 2 * time.Second
	if runs() > defaultRuns {
		length = 10 * time.Second
	}
	s := newShell(t, clustertest.Shared(t), 600)
	vanish := func(t *testing.T) {
		s.s3.Kill()
		<-time.After(length)
		if err := s.s3.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	t.Run("backup", func(t *testing.T) {
		p := s.start(t, s.backupArgs("b")...)
		s.awaitFile(t, p, "metadata/hozon/runs")
		vanish(t)
		s.completesOrSays(t, p, s.s3.Endpoint)
		s.retake(t, "b")
	})
	t.Run("restore", func(t *testing.T) {
		into := s.namespace + "-r"
		p := s.start(t, s.restoreArgs("r", "b", into)...)
		s.awaitObjects(t, p, into)
		vanish(t)
		s.completesOrSays(t, p, s.s3.Endpoint)
		s.run(t, 0, s.restoreArgs("again", "b", into)...)
		s.equal(t, into)
		if files := s.files(t, "metadata"); len(files) > 0 {
			t.Errorf("left behind: %v", files)
		}
	})
}

// completesOrSays waits for the end of a command, which is success or an error that names what was gone.
func (s *shell) completesOrSays(t *testing.T, p *process, name string) {
	t.Helper()
	code, text := p.end(t)
	t.Logf("ended with %d after %s: %.1000s", code, p.took.Round(time.Millisecond), text)
	if code != 0 && !strings.Contains(text, name) {
		t.Errorf("the error does not name %q", name)
	}
}

// retake makes the backup if it is not there.
func (s *shell) retake(t *testing.T, name string) {
	t.Helper()
	if names := s.whole(t); len(names) == 0 {
		s.run(t, 0, s.backupArgs(name)...)
		s.whole(t)
	}
	if files := s.files(t, "metadata"); len(files) > 0 {
		t.Errorf("left behind: %v", files)
	}
}
