// SPDX-License-Identifier: Apache-2.0

package controlplane

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"hozon.dev/hozon/internal/blob/dir"
	"hozon.dev/hozon/internal/cli/env"
	"hozon.dev/hozon/internal/host/hosttest"
	"hozon.dev/hozon/internal/store"
	"hozon.dev/hozon/test/daemon"
	"hozon.dev/hozon/test/s3server"
)

// plainEtcd starts a host with nothing but an etcd on it, as systemd would, and returns its address.
func plainEtcd(t *testing.T, binary, flags string) (*hosttest.Host, string) {
	t.Helper()
	h := hosttest.Start(t, "cp-1")
	port, peer := reserve(t), reserve(t)
	h.Sh(t, "ln -s "+binary+" /usr/local/bin/etcd")
	startEtcd(t, h, port, peer, "--data-dir=/var/lib/etcd "+flags)
	return h, fmt.Sprintf("http://127.0.0.1:%d", port)
}

func startEtcd(t *testing.T, h *hosttest.Host, port, peer int, flags string) {
	t.Helper()
	h.Sh(t, fmt.Sprintf("setsid nohup /usr/local/bin/etcd --name=cp-1 --listen-client-urls=http://127.0.0.1:%[1]d --advertise-client-urls=http://127.0.0.1:%[1]d "+
		"--listen-peer-urls=http://127.0.0.1:%[2]d --initial-advertise-peer-urls=http://127.0.0.1:%[2]d --initial-cluster=cp-1=http://127.0.0.1:%[2]d "+
		"--unsafe-no-fsync %[3]s >>/var/log/etcd.log 2>&1 </dev/null &", port, peer, flags))
}

func client(t *testing.T, address string) *clientv3.Client {
	t.Helper()
	c, err := clientv3.New(clientv3.Config{Endpoints: []string{address}, Logger: zap.NewNop(), DialTimeout: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func put(t *testing.T, address, key, value string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	if _, err := client(t, address).Put(ctx, key, value); err != nil {
		t.Fatal(err)
	}
}

func current(t *testing.T) string {
	t.Helper()
	if testing.Short() {
		t.Skip("starts an etcd")
	}
	binary, err := daemon.Build(t.Context(), "devcluster/build")
	if err != nil {
		t.Fatal(err)
	}
	return binary
}

// TestBackupToStore puts archives into a bucket of S3 and into a folder, with the disk and without, and keeps the last two.
func TestBackupToStore(t *testing.T) {
	node, address := plainEtcd(t, current(t), "")
	put(t, address, "/registry/secrets/a/b", marker)
	s3 := s3server.Start(t)
	if err := s3.CreateBucket("archives"); err != nil {
		t.Fatal(err)
	}
	t.Setenv("AWS_ACCESS_KEY_ID", s3.AccessKey)
	t.Setenv("AWS_SECRET_ACCESS_KEY", s3.SecretKey)
	key, identity := newKey(t)
	bucket := "s3://archives/prod?region=us-east-1&path-style=true&endpoint=" + url.QueryEscape(s3.Endpoint)
	t.Chdir(t.TempDir())
	folder := t.TempDir()
	hosts := inventory(t, node.Spec)
	for url, args := range map[string][]string{
		bucket: nil,
		folder: {"--use-disk"},
	} {
		for n := range 3 {
			later := func() time.Time { return time.Now().Add(time.Duration(n) * time.Minute) } // names have seconds
			args := append([]string{"backup", "cluster", "-c", "prod", "--inventory", hosts, "--recipient", key.Recipient().String(), "--keep", "2", "--store", url, "-o", "json"}, args...)
			var r struct {
				File   string
				Sealed bool
				Etcd   struct{ Revision int64 }
			}
			decodeJSON(t, mustAt(t, later, args...), &r)
			if !r.Sealed || r.Etcd.Revision != 2 || !strings.Contains(r.File, "/metadata/hozon/clusters/prod/prod_backup_") {
				t.Errorf("%+v", r)
			}
		}
	}
	entries, err := filepath.Glob(s3.BucketDir("archives") + "/prod/metadata/hozon/clusters/prod/*.age")
	if err != nil || len(entries) == 0 {
		t.Fatalf("%v %v", entries, err)
	}
	last := filepath.Base(entries[len(entries)-1])
	if out := must(t, "cluster", "inspect", last, "--identity", identity, "--etcd-prefix", "/registry", "--store", bucket); !strings.Contains(out, "secrets") {
		t.Errorf("read out of the bucket: %s", out)
	}
	noMarker(t, s3.BucketDir("archives"))
	noMarker(t, folder)
	for _, folder := range []string{s3.BucketDir("archives") + "/prod", folder} {
		files, err := filepath.Glob(folder + "/metadata/hozon/clusters/prod/*")
		if err != nil || len(files) != 4 {
			t.Errorf("%v %v", files, err)
			continue
		}
		if listing := tar(t, unseal(t, files[0], key), "-tzf", "-"); !strings.Contains(listing, "etcd/snapshot.db") || !strings.HasSuffix(files[1], ".age.json") {
			t.Errorf("%v: %s", files, listing)
		}
	}
	if left, err := os.ReadDir("hozon-workspace"); err != nil || len(left) != 0 {
		t.Errorf("left in the workspace: %v %v", left, err)
	}
	if a := archives(t, folder); a.Kept != 2 || a.Failed != 0 || a.Last.Size == 0 || !a.Last.Sealed || time.Until(a.Last.Expires) < 300*24*time.Hour {
		t.Errorf("%+v", a)
	}
	away := node.Spec
	away.Name, away.Port = "away", 1
	in := func(hours int) func() time.Time {
		return func() time.Time { return time.Now().Add(time.Duration(hours) * time.Hour) }
	}
	again := []string{"backup", "cluster", "-c", "prod", "--recipient", key.Recipient().String(), "--store", folder, "--inventory"}
	if _, talk, code := hozonAt(t, in(1), append(again, inventory(t, away))...); code != env.ExitFailed || !strings.Contains(talk, "host away") {
		t.Errorf("exit code %d: %s", code, talk)
	}
	notes, err := filepath.Glob(folder + "/metadata/hozon/clusters/prod/*.failed")
	if a := archives(t, folder); err != nil || a.Kept != 2 || a.Failed != 1 || len(notes) != 1 || !strings.Contains(string(read(t, notes[0])), "host away") {
		t.Errorf("%+v, notes %v", a, notes)
	}
	mustAt(t, in(2), append(again, hosts)...)
	if a := archives(t, folder); a.Kept != 3 || a.Failed != 0 {
		t.Errorf("%+v", a)
	}
	if notes, _ := filepath.Glob(folder + "/metadata/hozon/clusters/prod/*.failed"); len(notes) != 0 {
		t.Errorf("left: %v", notes)
	}
	must(t, "backup", "cluster", "-c", "prod", "--host-root", rootOf(t, address), "--backup-file", "mine.tar.gz")
	if listing := tar(t, read(t, "mine.tar.gz"), "-tzf", "-"); !strings.Contains(listing, "hosts/localhost/packages.txt") {
		t.Errorf("%s", listing)
	}
	if out, talk, code := hozon(t, "backup", "cluster", "-c", "prod", "--inventory", hosts, "--keep", "2"); code != env.ExitUsage {
		t.Errorf("exit code %d: %s%s", code, out, talk)
	}
}

// archives are what the server learns from a store.
func archives(t *testing.T, folder string) store.Archives {
	t.Helper()
	b, err := dir.Open(folder, false)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	s, err := store.Open(t.Context(), b)
	if err != nil {
		t.Fatal(err)
	}
	shelf, err := s.Shelf(store.Clusters, "prod")
	if err != nil {
		t.Fatal(err)
	}
	a, err := shelf.Archives(t.Context(), store.Archives{})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// rootOf is the root of the host whose etcd listens at an address, as a container on it has it mounted.
func rootOf(t *testing.T, address string) string {
	t.Helper()
	processes, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range processes {
		if text, err := os.ReadFile(p); err == nil && strings.Contains(string(text), "--listen-client-urls="+address+"\x00") {
			return filepath.Join(filepath.Dir(p), "root")
		}
	}
	t.Fatal("etcd is not to be seen")
	return ""
}

// TestV2 saves an etcd 3.5 that has a v2 store too, and starts another one with what was saved, as OpenShift's run-book does.
func TestV2(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("starts an etcd")
	}
	old, err := daemon.Build(t.Context(), "tools/build", "tools/etcd-3.5", "go.etcd.io/etcd/server/v3", "etcd")
	if err != nil {
		t.Fatal(err)
	}
	node, address := plainEtcd(t, old, "--enable-v2 --snapshot-count=10")
	put(t, address, "three", "3")
	for i := range 25 {
		v2(t, http.MethodPut, address, fmt.Sprintf("/a/key%d", i), url.Values{"value": {fmt.Sprint(i)}})
	}
	archive := filepath.Join(t.TempDir(), "a.tar.gz")
	must(t, "backup", "cluster", "-c", "prod", "--inventory", inventory(t, node.Spec), "--backup-file", archive)
	text := read(t, archive)
	listing := tar(t, text, "-tzf", "-")
	for _, want := range []string{"etcd/v2/keys.json", "etcd/v2/member/wal/", ".wal\n", "etcd/v2/member/snap/", ".snap\n"} {
		if !strings.Contains(listing, want) {
			t.Errorf("%q is not in the archive: %s", want, listing)
		}
	}
	if dump := tar(t, text, "--to-stdout", "-xzf", "-", "etcd/v2/keys.json"); !strings.Contains(dump, `"key":"/a/key24","value":"24"`) {
		t.Errorf("%s", dump)
	}

	other := hosttest.Start(t, "cp-2")
	other.Sh(t, "ln -s "+old+" /usr/local/bin/etcd; mkdir -p /var/lib/etcd /srv")
	if err := other.Connect(t).Stream(t.Context(), strings.NewReader(string(text)), nil, "sh", "-c", "cat >/srv/a.tar.gz"); err != nil {
		t.Fatal(err)
	}
	other.Sh(t, `cd /srv; tar -xzf a.tar.gz etcd; mv etcd/v2/member /var/lib/etcd/; head -c -32 etcd/snapshot.db >/var/lib/etcd/member/snap/db; chmod -R go-rwx /var/lib/etcd`)
	port, peer := reserve(t), reserve(t)
	startEtcd(t, other, port, peer, "--data-dir=/var/lib/etcd --enable-v2 --force-new-cluster")
	again := fmt.Sprintf("http://127.0.0.1:%d", port)
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	r, err := client(t, again).Get(ctx, "three")
	if err != nil || len(r.Kvs) != 1 || string(r.Kvs[0].Value) != "3" {
		t.Fatalf("the key of v3: %v %v", r, err)
	}
	if got := v2(t, http.MethodGet, again, "/a/key24", nil); got != "24" {
		t.Errorf("the key of v2: %q", got)
	}
}

func v2(t *testing.T, method, address, key string, form url.Values) string {
	t.Helper()
	q, err := http.NewRequestWithContext(t.Context(), method, address+"/v2/keys"+key, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	q.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r, err := http.DefaultClient.Do(q)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	text, err := io.ReadAll(r.Body)
	var answer struct{ Node struct{ Value string } }
	if err != nil || json.Unmarshal(text, &answer) != nil {
		t.Fatalf("%s %s: %v", method, key, string(text))
	}
	return answer.Node.Value
}
