// SPDX-License-Identifier: Apache-2.0

package host_test

import (
	"archive/tar"
	"bytes"
	"context"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"hozon.dev/hozon/internal/fail"
	"hozon.dev/hozon/internal/host"
	"hozon.dev/hozon/internal/host/hosttest"
)

// TestHosts runs the same on this machine and on one behind SSH, as root and through sudo.
func TestHosts(t *testing.T) {
	peer := hosttest.Start(t, "cp-1")
	other := peer.Spec
	other.User, other.Sudo = "operator-1", true
	for name, spec := range map[string]host.Spec{"this machine": {Name: "me"}, "ssh": peer.Spec, "sudo": other} {
		t.Run(name, func(t *testing.T) {
			h, err := host.Connect(t.Context(), spec)
			if err != nil {
				t.Fatal(err)
			}
			defer h.Close()
			commands(t, h)
			files(t, h)
		})
	}
}

func commands(t *testing.T, h *host.Host) {
	odd := "a b'c\"d$HOME\n*;é"
	out, err := h.Run(t.Context(), "printf", "%s", odd)
	if err != nil || string(out) != odd {
		t.Errorf("an odd argument: %q, %v", out, err)
	}
	var got bytes.Buffer
	if err := h.Stream(t.Context(), strings.NewReader("through"), &got, "cat"); err != nil || got.String() != "through" {
		t.Errorf("in and out: %q, %v", got.String(), err)
	}
	_, err = h.Run(t.Context(), "sh", "-c", "echo it hurts >&2; exit 7")
	if err == nil || !strings.Contains(err.Error(), "it hurts") || !strings.Contains(err.Error(), h.Name()) || !strings.Contains(err.Error(), "7") {
		t.Errorf("a command that fails: %v", err)
	}
	if out, err := h.Run(t.Context(), "id", "-u"); err != nil || strings.TrimSpace(string(out)) != "0" {
		t.Errorf("runs as %s, %v", out, err)
	}
	if _, err := h.Run(t.Context(), "sh", "-c", "yes | head -c 20000000"); err == nil {
		t.Error("output without end was kept")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	start := time.Now()
	if _, err := h.Run(ctx, "sleep", "600"); err == nil || time.Since(start) > 30*time.Second {
		t.Errorf("a cancelled command: %v after %s", err, time.Since(start))
	}
}

// files lays out files with everything that a file can have, and looks at what arrives.
func files(t *testing.T, h *host.Host) {
	script := `rm -rf /tmp/hozon-files; mkdir -p /tmp/hozon-files/dir; cd /tmp/hozon-files/dir
		printf secret >key; chmod 0640 key; chown 1234:4321 key; setfattr -n user.colour -v blue key
		ln -s key link; mkdir -m 0700 empty; printf x >"odd name'é"; mkfifo pipe`
	if _, err := h.Run(t.Context(), "sh", "-euc", script); err != nil {
		t.Fatal(err)
	}
	defer h.Run(context.WithoutCancel(t.Context()), "rm", "-rf", "/tmp/hozon-files")
	got := map[string]*tar.Header{}
	content := map[string]string{}
	err := h.Files(t.Context(), []string{"/tmp/hozon-files/dir", "/nowhere/at all"}, func(e *tar.Header, r io.Reader) error {
		b, err := io.ReadAll(r)
		got[e.Name], content[e.Name] = e, string(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	const dir = "tmp/hozon-files/dir/"
	key := got[dir+"key"]
	if key == nil || content[dir+"key"] != "secret" || key.Mode != 0o640 || key.Uid != 1234 || key.Gid != 4321 || key.PAXRecords["SCHILY.xattr.user.colour"] != "blue" {
		t.Errorf("key: %+v %q", key, content[dir+"key"])
	}
	if l := got[dir+"link"]; l == nil || l.Typeflag != tar.TypeSymlink || l.Linkname != "key" {
		t.Errorf("link: %+v", l)
	}
	if e := got[dir+"empty"]; e == nil || e.Typeflag != tar.TypeDir || e.Mode != 0o700 {
		t.Errorf("empty folder: %+v", e)
	}
	if content[dir+"odd name'é"] != "x" {
		t.Errorf("an odd name is missing: %v", content)
	}
	if err := h.Files(t.Context(), []string{"/nowhere"}, nil); err != nil {
		t.Errorf("nothing to save: %v", err)
	}
	stop := fail.Errorf(fail.Invalid, "enough")
	if err := h.Files(t.Context(), []string{"/etc"}, func(*tar.Header, io.Reader) error { return stop }); !fail.Is(err, fail.Invalid) {
		t.Errorf("a reader that stops: %v", err)
	}
}

func TestDial(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			io.WriteString(c, "hello")
			c.Close()
		}
	}()
	h := hosttest.Start(t, "cp-1").Connect(t)
	c, err := h.Dial(t.Context(), "tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if got, err := io.ReadAll(c); err != nil || string(got) != "hello" {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := h.Dial(t.Context(), "tcp", "127.0.0.1:1"); err == nil || !strings.Contains(err.Error(), "cp-1") {
		t.Errorf("nobody listens: %v", err)
	}
}

// TestRefusals are the ways in which a machine is not spoken to; each says why and what to do.
func TestRefusals(t *testing.T) {
	peer := hosttest.Start(t, "cp-1")
	another := hosttest.Start(t, "cp-2")
	known, err := os.ReadFile(peer.Spec.KnownHosts)
	if err != nil {
		t.Fatal(err)
	}
	write := func(text string) string {
		file := filepath.Join(t.TempDir(), "known_hosts")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	otherKey, err := os.ReadFile(another.Spec.KnownHosts)
	if err != nil {
		t.Fatal(err)
	}
	changed := strings.Fields(string(known))[0] + " " + strings.Join(strings.Fields(string(otherKey))[1:], " ") + "\n"
	for name, c := range map[string]struct {
		change func(*host.Spec)
		want   string
	}{
		"key not known":        {func(s *host.Spec) { s.KnownHosts = write("") }, "not in"},
		"key changed":          {func(s *host.Spec) { s.KnownHosts = write(changed) }, "CHANGED"},
		"changed, accept-new":  {func(s *host.Spec) { s.KnownHosts, s.HostKeys = write(changed), host.AcceptNew }, "CHANGED"},
		"no known hosts":       {func(s *host.Spec) { s.KnownHosts = "/nowhere" }, "ssh-keyscan"},
		"our key is not right": {func(s *host.Spec) { s.Key = another.Spec.Key }, "put the old one back"},
		"no key":               {func(s *host.Spec) { s.Key = "/nowhere" }, "/nowhere"},
		"key is none":          {func(s *host.Spec) { s.Key = s.KnownHosts }, "no private SSH key"},
		"nobody there":         {func(s *host.Spec) { s.Port = 1 }, "is the machine up"},
		"no agent":             {func(s *host.Spec) { s.Key = "" }, "agent"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("SSH_AUTH_SOCK", "")
			s := peer.Spec
			c.change(&s)
			h, err := host.Connect(t.Context(), s)
			if err == nil {
				h.Close()
			}
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "cp-1") {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
	t.Run("a new key is added", func(t *testing.T) {
		s := peer.Spec
		s.KnownHosts, s.HostKeys = filepath.Join(t.TempDir(), "new", "known_hosts"), host.AcceptNew
		for _, policy := range []host.Policy{host.AcceptNew, host.Strict} {
			s.HostKeys = policy
			h, err := host.Connect(t.Context(), s)
			if err != nil {
				t.Fatal(err)
			}
			h.Close()
		}
		if text, _ := os.ReadFile(s.KnownHosts); strings.Count(string(text), "\n") != 1 {
			t.Errorf("known hosts: %s", text)
		}
	})
	t.Run("no sudo", func(t *testing.T) {
		s := peer.Spec
		s.User, s.Sudo = "nobody-1", true
		h, err := host.Connect(t.Context(), s)
		if err != nil {
			t.Fatal(err)
		}
		defer h.Close()
		if _, err := h.Run(t.Context(), "true"); !fail.Is(err, fail.Denied) || !strings.Contains(err.Error(), "sudo without a password") {
			t.Errorf("got %v", err)
		}
	})
}

func TestAgent(t *testing.T) {
	peer := hosttest.Start(t, "cp-1")
	text, err := os.ReadFile(peer.Spec.Key)
	if err != nil {
		t.Fatal(err)
	}
	key, err := ssh.ParseRawPrivateKey(text)
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("SSH_AUTH_SOCK", serveAgent(t, key))
	s := peer.Spec
	s.Key = ""
	h, err := host.Connect(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	if out, err := h.Run(t.Context(), "hostname"); err != nil || strings.TrimSpace(string(out)) != "cp-1" {
		t.Errorf("%s, %v", out, err)
	}
}
