// SPDX-License-Identifier: Apache-2.0

package controlplane

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"hozon.dev/hozon/internal/cli/env"
	"hozon.dev/hozon/internal/host/hosttest"
	"hozon.dev/hozon/test/s3server"
)

// TestHostStore keeps files of a machine in a bucket of S3: sealed, compared, brought back; of those that nobody has named the newest stay, the others are deleted by name.
func TestHostStore(t *testing.T) {
	h := hosttest.Start(t, "worker-1")
	WriteFile(t, h, "/etc/app/conf", marker, "0640")
	own := file(t, "own.yaml", "name: app\nabout: mine\nlooks: [/etc/app]\nfiles: [{path: /etc/app}]\n")
	s3 := s3server.Start(t)
	if err := s3.CreateBucket("hosts"); err != nil {
		t.Fatal(err)
	}
	t.Setenv("AWS_ACCESS_KEY_ID", s3.AccessKey)
	t.Setenv("AWS_SECRET_ACCESS_KEY", s3.SecretKey)
	store := "s3://hosts/prod?region=us-east-1&path-style=true&endpoint=" + url.QueryEscape(s3.Endpoint)
	key, identity := newKey(t)
	hosts := inventory(t, h.Spec)
	now := time.Now()
	backup := func(args ...string) {
		t.Helper()
		now = now.Add(time.Minute) // names have seconds
		mustAt(t, func() time.Time { return now }, append([]string{"host", "backup", "--inventory", hosts, "--profile-file", own, "--recipient", key.Recipient().String(), "--store", store}, args...)...)
	}
	t.Chdir(t.TempDir())
	stop := watch(t, s3.BucketDir("hosts"))
	backup("named")
	for range 3 {
		backup("--keep", "2")
	}
	lines := strings.Split(strings.TrimSpace(must(t, "host", "get", "--store", store)), "\n")
	if len(lines) != 4 || !strings.Contains(lines[1], "named") {
		t.Errorf("%q", lines)
	}
	noMarker(t, s3.BucketDir("hosts"))
	with := []string{"--inventory", hosts, "--store", store, "--identity", identity}
	h.Sh(t, "rm /etc/app/conf")
	if out, _, code := hozon(t, append([]string{"host", "diff", "named"}, with...)...); code != 1 || !strings.Contains(out, "/etc/app/conf") {
		t.Errorf("exit code %d: %s", code, out)
	}
	must(t, append([]string{"host", "restore", "named", "--yes"}, with...)...)
	if got := h.Sh(t, "cat /etc/app/conf; stat -c %a /etc/app/conf"); got != marker+"640\n" {
		t.Errorf("%q", got)
	}
	stop()
	must(t, "host", "delete", "named", "--confirm", "--store", store)
	if out := must(t, "host", "get", "--store", store); strings.Contains(out, "named") {
		t.Errorf("%s", out)
	}
	for name, args := range map[string][]string{
		"there is none":  {"host", "delete", "named", "--confirm", "--store", store},
		"Nothing was":    {"host", "delete", strings.Fields(lines[2])[0], "--store", store},
		"without a NAME": {"host", "backup", "again", "--keep", "2", "--inventory", hosts, "--store", store},
	} {
		if out, talk, code := hozon(t, args...); code == env.ExitOK || !strings.Contains(out+talk, name) {
			t.Errorf("%v: exit code %d, want %q\n%s%s", args, code, name, out, talk)
		}
	}
}
