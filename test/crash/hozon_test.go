// SPDX-License-Identifier: Apache-2.0

package crash

import (
	"bytes"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"hozon.dev/hozon/internal/cluster/clustertest"
	"hozon.dev/hozon/test/s3server"
)

// defaultRuns is how often each kind of command is killed unless HOZON_CRASH_RUNS says otherwise.
const defaultRuns = 8

func runs() int {
	if n, err := strconv.Atoi(os.Getenv("HOZON_CRASH_RUNS")); err == nil && n > 0 {
		return n
	}
	return defaultRuns
}

// random is seeded with HOZON_SEED, or anew; the seed is printed with the test.
func random(t *testing.T) *rand.Rand {
	seed, err := strconv.ParseUint(os.Getenv("HOZON_SEED"), 10, 64)
	if err != nil {
		seed = rand.Uint64()
	}
	t.Logf("HOZON_SEED=%d", seed)
	return rand.New(rand.NewPCG(seed, 2))
}

// built is the program under test, made once: a variable of the package, because tests have nothing else in common.
var built struct {
	once sync.Once
	dir  string
	err  error
}

// program is the path of the real hozon.
func program(t *testing.T) string {
	t.Helper()
	built.once.Do(func() {
		if built.dir, built.err = os.MkdirTemp("", "hozon-crash-"); built.err != nil {
			return
		}
		out, err := exec.Command("go", "build", "-o", filepath.Join(built.dir, "hozon"), "hozon.dev/hozon/cmd/hozon").CombinedOutput()
		if err != nil {
			built.err = errors.New(string(out))
		}
	})
	if built.err != nil {
		t.Fatal(built.err)
	}
	return filepath.Join(built.dir, "hozon")
}

// shell runs hozon as a user does: a process with a kubeconfig and a store.
type shell struct {
	*world
	program    string
	kubeconfig string
	s3         *s3server.Server
	store      string
}

// newShell has a bucket of its own in an S3 server of its own, and a world of n objects in c.
func newShell(t *testing.T, c *clustertest.Cluster, n int) *shell {
	t.Helper()
	server := s3server.Start(t)
	if err := server.CreateBucket("store"); err != nil {
		t.Fatal(err)
	}
	return &shell{
		world: newWorld(t, c, n), program: program(t), kubeconfig: c.Kubeconfig(), s3: server,
		store: "s3://store?conditional-put=true&region=" + s3server.Region + "&endpoint=" + server.Endpoint,
	}
}

// process is a hozon that runs.
type process struct {
	*exec.Cmd
	out     bytes.Buffer
	started time.Time
	done    chan struct{} // closed when it has ended
	took    time.Duration // valid after done
}

func (s *shell) start(t *testing.T, args ...string) *process {
	t.Helper()
	p := &process{Cmd: exec.Command(s.program, append(args, "--kubeconfig", s.kubeconfig, "--store", s.store)...), done: make(chan struct{})}
	p.Env = append(os.Environ(), "AWS_ACCESS_KEY_ID="+s.s3.AccessKey, "AWS_SECRET_ACCESS_KEY="+s.s3.SecretKey, "HOME="+t.TempDir())
	p.Stdout, p.Stderr = &p.out, &p.out
	p.started = time.Now()
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = p.Wait() // the exit code says it
		p.took = time.Since(p.started)
		close(p.done)
	}()
	t.Cleanup(func() {
		_ = p.Process.Kill()
		<-p.done
	})
	return p
}

// end waits for the end and returns the exit code (-1: killed) and what was printed.
func (p *process) end(t *testing.T) (code int, text string) {
	t.Helper()
	const most = 2 * time.Minute
	select {
	case <-p.done:
	case <-time.After(most):
		_ = p.Process.Signal(syscall.SIGQUIT) // it tells where it hangs
		<-p.done
		t.Fatalf("hozon did not end within %s: %s", most, p.out.String())
	}
	return p.ProcessState.ExitCode(), p.out.String()
}

// run runs hozon to its end and wants the exit code.
func (s *shell) run(t *testing.T, want int, args ...string) string {
	t.Helper()
	code, text := s.start(t, args...).end(t)
	if code != want {
		t.Fatalf("hozon %s ended with %d, want %d: %s", strings.Join(args, " "), code, want, text)
	}
	return text
}

// whole checks that every listed backup is intact, and returns their names.
func (s *shell) whole(t *testing.T) []string {
	t.Helper()
	text := s.run(t, 0, "backup", "get", "-o", "json")
	var list struct {
		Items    []struct{ Metadata struct{ Name string } }
		Metadata struct{ Name string } // of the one backup, if there is one
	}
	if i := strings.IndexByte(text, '{'); i >= 0 {
		if err := json.Unmarshal([]byte(text[i:]), &list); err != nil {
			t.Fatalf("%v: %s", err, text)
		}
	}
	var names []string
	if list.Metadata.Name != "" {
		names = append(names, list.Metadata.Name)
	}
	for _, item := range list.Items {
		names = append(names, item.Metadata.Name)
	}
	for _, name := range names {
		s.run(t, 0, "backup", "verify", name)
	}
	return names
}

// files are the paths of what is in the bucket.
func (s *shell) files(t *testing.T, prefix string) []string {
	t.Helper()
	root := s.s3.BucketDir("store")
	var files []string
	err := filepath.WalkDir(filepath.Join(root, prefix), func(path string, d os.DirEntry, err error) error {
		if errors.Is(err, os.ErrNotExist) {
			return nil
		}
		if err == nil && !d.IsDir() && !strings.Contains(path, ".sgwtmp") {
			files = append(files, strings.TrimPrefix(path, root+"/"))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func (s *shell) backupArgs(name string, more ...string) []string {
	return append([]string{"backup", "create", name, "--include-namespaces", s.namespace}, more...)
}

func (s *shell) restoreArgs(name, backup, into string, more ...string) []string {
	return append([]string{"restore", "create", name, "--from-backup", backup, "--namespace-mappings", s.namespace + ":" + into}, more...)
}
