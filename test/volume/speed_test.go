// SPDX-License-Identifier: Apache-2.0

package volume

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"hozon.dev/hozon/internal/cluster/clustertest"
)

// speedSize is how much is copied; HOZON_TRANSFER=1 makes it 1 GiB in 10,000 files, and the ratios count then.
func speedSize() (files int, bytes int64, full bool) {
	if os.Getenv("HOZON_TRANSFER") != "" {
		return 10_000, 1 << 30, true
	}
	return 500, 24 << 20, false
}

// TestSpeed pulls a tree by hozon and by tar through kubectl exec, in turns, and then again with 1 % of the files changed.
func TestSpeed(t *testing.T) {
	w := newWorld(t)
	ns := w.Namespace(t)
	files, bytes, full := speedSize()
	data := t.TempDir()
	random := rand.NewChaCha8([32]byte{1})
	content := make([]byte, bytes/int64(files))
	write := func(i int) {
		_, _ = random.Read(content)
		path := filepath.Join(data, fmt.Sprint("dir", i/100), fmt.Sprint("file", i))
		must(t, os.MkdirAll(filepath.Dir(path), 0o755))
		must(t, os.WriteFile(path, content, 0o644))
	}
	for i := range files {
		write(i)
	}
	w.start(t, podSpec(ns, "speed", clustertest.BusyboxName, data))
	place := ns + "/speed:/data"
	// What is made once is not counted: the helper's container.
	w.must(t, "volume", "pull", place, t.TempDir(), "--include", "none")

	rounds := 1
	if full {
		rounds = 3
	}
	var byTar, byHozon, again time.Duration
	for range rounds {
		tarred, pulled := t.TempDir(), t.TempDir()
		byTar += w.tar(t, ns, tarred)
		byHozon += took(func() { w.must(t, "volume", "pull", place, pulled) })
		same(t, data, pulled)
		for i := 0; i < files; i += 100 {
			write(i)
		}
		again += took(func() { w.must(t, "volume", "pull", place, pulled) })
		same(t, data, pulled)
		os.RemoveAll(tarred)
		os.RemoveAll(pulled)
	}
	first, second := byTar.Seconds()/byHozon.Seconds(), byTar.Seconds()/again.Seconds()
	t.Logf("%d files, %d bytes, mean of %d: tar %s; first pull %s, %.2f of tar's speed; with 1%% changed %s, %.1f times",
		files, bytes, rounds, byTar/time.Duration(rounds), byHozon/time.Duration(rounds), first, again/time.Duration(rounds), second)
	if full && (first < 0.6 || second < 10) {
		t.Error("the floors are 0.6 and 10")
	}
}

func took(f func()) time.Duration {
	began := time.Now()
	f()
	return time.Since(began)
}

func (w world) tar(t testing.TB, ns, dir string) time.Duration {
	t.Helper()
	return took(func() {
		script := fmt.Sprintf(`set -o pipefail; "$0" --kubeconfig %s -n %s exec speed -- tar -C /data -cf - . | tar -C %s -xf -`, w.Kubeconfig(), ns, dir)
		if out, err := exec.CommandContext(t.Context(), "bash", "-c", script, w.KubectlPath()).CombinedOutput(); err != nil {
			t.Fatalf("tar: %v\n%s", err, out)
		}
	})
}
