// SPDX-License-Identifier: Apache-2.0

package peer

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"os"
	"os/exec"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"time"
)

func archive(t *testing.T, files ...string) *bytes.Buffer {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	w := tar.NewWriter(z)
	for i := 0; i < len(files); i += 2 {
		name, body := files[i], files[i+1]
		if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o755, Size: int64(len(body)), Typeflag: tar.TypeReg}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(body)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return &b
}

func TestCompare(t *testing.T) {
	const dir = "resources/pods/namespaces/a/"
	first := archive(t,
		"metadata/version", "1",
		dir+"same.json", `{"a":1,"b":{"c":12345678901234567890}}`,
		dir+"moved.json", `{"metadata":{"resourceVersion":"1"}}`,
		dir+"different.json", `{"metadata":{"resourceVersion":"1"},"x":12345678901234567890}`,
		dir+"first.json", `{}`,
		"resources/backups.velero.io/namespaces/a/x.json", `{"x":1}`,
	)
	second := archive(t,
		dir+"same.json", `{ "b":{"c":12345678901234567890}, "a":1}`,
		dir+"moved.json", `{"metadata":{"resourceVersion":"2"}}`,
		dir+"different.json", `{"metadata":{"resourceVersion":"1"},"x":12345678901234567891}`,
		dir+"second.json", `{}`,
		"resources/backups.velero.io/namespaces/a/x.json", `{"x":2}`,
	)
	got, err := Compare(first, second, "velero.io")
	if err != nil {
		t.Fatal(err)
	}
	want := Comparison{
		Same: 1, Moved: []string{dir + "moved.json"}, Different: []string{dir + "different.json"},
		OnlyFirst: []string{dir + "first.json"}, OnlySecond: []string{dir + "second.json"},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%+v\nwant %+v", got, want)
	}
}

func TestCompareRefuses(t *testing.T) {
	good := func() *bytes.Buffer { return archive(t, "resources/pods/namespaces/a/x.json", `{}`) }
	for name, bad := range map[string]*bytes.Buffer{
		"not gzip":  bytes.NewBufferString("archive"),
		"not JSON":  archive(t, "resources/pods/namespaces/a/x.json", `{`),
		"truncated": bytes.NewBuffer(good().Bytes()[:40]),
	} {
		if _, err := Compare(good(), bad, "velero.io"); err == nil || !strings.Contains(err.Error(), "second archive") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestParse(t *testing.T) {
	const stat = "42 (a) b (c) S 1 7 3 0 -1 4194560 1 2 3 4 10 20 30 40 20 0 9 0 5000 1000000 3 18446744073709551615 1 1 0"
	id, u, err := parse(stat)
	if err != nil {
		t.Fatal(err)
	}
	if want := (usage{cpu: time.Second, memory: 3 * int64(os.Getpagesize())}); id != 7 || u != want {
		t.Errorf("group %d, %+v", id, u)
	}
	if _, _, err := parse("42 (a) S 1 7"); err == nil {
		t.Error("a short line is taken")
	}
}

// What a child used counts while it lives and after it has ended.
func TestGroupCountsChildren(t *testing.T) {
	cmd := exec.Command("sh", "-c", "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done & wait; echo; cat")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := out.Read(make([]byte, 1)); err != nil { // the child has ended, its parent lives
		t.Fatal(err)
	}
	u, err := group(cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	if u.cpu < 20*time.Millisecond || u.memory == 0 {
		t.Errorf("%+v", u)
	}
	in.Close()
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
}
