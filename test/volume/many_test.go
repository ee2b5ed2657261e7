// SPDX-License-Identifier: Apache-2.0

package volume

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// mostMemory is what either end may need, however many files there are.
const mostMemory = 128 << 20

// TestManyFiles pulls and pushes many files, and wants the memory of both ends not to grow with their number.
// HOZON_TRANSFER_FILES=1000000 is the real thing.
func TestManyFiles(t *testing.T) {
	w := newWorld(t)
	ns := w.Namespace(t)
	files := 20_000
	if text := os.Getenv("HOZON_TRANSFER_FILES"); text != "" {
		var err error
		files, err = strconv.Atoi(text)
		must(t, err)
	}
	data, here, there := t.TempDir(), t.TempDir(), t.TempDir()
	for i := range files {
		dir := filepath.Join(data, strconv.Itoa(i/1000))
		if i%1000 == 0 {
			must(t, os.Mkdir(dir, 0o755))
		}
		must(t, os.WriteFile(filepath.Join(dir, strconv.Itoa(i)), []byte{byte(i)}, 0o644))
	}
	w.start(t, podSpec(ns, "many", appImage, data))
	w.start(t, podSpec(ns, "to", appImage, there))
	for _, tt := range []struct {
		name, pod string
		args      []string
		sent      int
	}{
		{"pull", "many", []string{"pull", ns + "/many:/data", here}, files},
		{"pull again", "many", []string{"pull", ns + "/many:/data", here, "--delete"}, 0},
		{"push", "to", []string{"push", here, ns + "/to:/data"}, files},
		{"push again", "to", []string{"push", here, ns + "/to:/data", "--delete"}, 0},
	} {
		began := time.Now()
		out, client, helper := w.measured(t, w.container(t, ns, tt.pod), append([]string{"volume", "-o", "json"}, tt.args...)...)
		t.Logf("%s of %d files: %s; peak of the client %d MiB, of the helper %d MiB", tt.name, files, time.Since(began).Round(10*time.Millisecond), client>>20, helper>>20)
		if s := stats(t, out); s.Sent != int64(tt.sent) || s.Files != int64(files) || s.Failed > 0 {
			t.Errorf("%s: %+v", tt.name, s)
		}
		if client > mostMemory || helper > mostMemory || helper == 0 {
			t.Errorf("%s: peak memory of the client %d MiB, of the helper %d MiB", tt.name, client>>20, helper>>20)
		}
	}
	for i := 0; i < files; i += max(files/1000, 1) {
		for _, dir := range []string{here, there} {
			got, err := os.ReadFile(filepath.Join(dir, strconv.Itoa(i/1000), strconv.Itoa(i)))
			if err != nil || !bytes.Equal(got, []byte{byte(i)}) {
				t.Errorf("file %d: %v, %v", i, got, err)
			}
		}
	}
}

// container is the id of a pod's container.
func (w world) container(t testing.TB, ns, pod string) string {
	t.Helper()
	id := w.kubectl(t, "", "-n", ns, "get", "pod", pod, "-o", "jsonpath={.status.containerStatuses[0].containerID}")
	_, id, ok := strings.Cut(id, "://")
	if !ok {
		t.Fatalf("pod %s has no container", pod)
	}
	return id
}

// measured runs hozon and returns what it printed, its peak memory, and that of the helper that serves it, in bytes.
func (w world) measured(t testing.TB, container string, args ...string) (out string, client, helper int64) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), w.hozon, args...)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+w.Kubeconfig(), "HOZON_HELPER_IMAGE="+helperImage)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	must(t, cmd.Start())
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	for tick := time.Tick(50 * time.Millisecond); ; {
		select {
		case err := <-ended:
			if err != nil {
				t.Fatalf("hozon %q: %v\n%s", args, err, stderr.String())
			}
			return stdout.String(), cmd.ProcessState.SysUsage().(*syscall.Rusage).Maxrss << 10, helper
		case <-tick:
			helper = max(helper, peakOf("--container-id="+container))
		}
	}
}

// peakOf is the peak memory, in bytes, of the process with an argument; 0 if there is none.
func peakOf(argument string) int64 {
	lines, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, name := range lines {
		line, err := os.ReadFile(name)
		if err != nil || !bytes.Contains(line, []byte("\x00"+argument+"\x00")) || !bytes.HasPrefix(line, []byte("/hozon\x00")) {
			continue
		}
		status, err := os.ReadFile(filepath.Join(filepath.Dir(name), "status"))
		if err != nil {
			continue
		}
		for field := range strings.Lines(string(status)) {
			var kib int64
			if _, err := fmt.Sscanf(field, "VmHWM: %d kB", &kib); err == nil {
				return kib << 10
			}
		}
	}
	return 0
}
