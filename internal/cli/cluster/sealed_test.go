// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"bytes"
	"compress/gzip"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"filippo.io/age"

	"hozon.dev/hozon/internal/cli/env"
	"hozon.dev/hozon/internal/seal"
)

// TestSealed inspects a snapshot where it lies sealed, and is refused without the identity and with another one.
func TestSealed(t *testing.T) {
	dir := t.TempDir()
	snapshot := filepath.Join(dir, "snapshot.db.age")
	mine, other := sealFixture(t, snapshot), writeIdentity(t, filepath.Join(dir, "other.txt"))
	key := filepath.Join(dir, "key.txt")
	write(t, key, mine.String())
	for name, c := range map[string]struct {
		args []string
		want string
		code int
	}{
		"right":             {[]string{"--identity", key}, "Objects (222)", env.ExitOK},
		"wrong":             {[]string{"--identity", other}, "none of the 1 identities opens it", env.ExitFailed},
		"none":              {nil, "--identity FILE", env.ExitUsage},
		"no identity in it": {[]string{"--identity", snapshot}, "age-keygen", env.ExitUsage},
	} {
		t.Run(name, func(t *testing.T) {
			var out, talk bytes.Buffer
			e := &env.Env{Out: &out, Err: &talk, Getenv: func(string) string { return "" }, Now: time.Now, Name: "hozon"}
			command := New(e)
			command.SilenceErrors, command.SilenceUsage = true, true
			command.SetArgs(append([]string{"inspect", snapshot}, c.args...))
			err := command.ExecuteContext(t.Context())
			text := out.String()
			if err != nil {
				text += err.Error()
			}
			if !strings.Contains(text, c.want) || e.Code(err) != c.code {
				t.Errorf("code %d:\n%s", e.Code(err), text)
			}
			if strings.Contains(text, "AGE-SECRET-KEY-1") {
				t.Error("the identity was printed")
			}
		})
	}
}

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func writeIdentity(t *testing.T, file string) string {
	t.Helper()
	key, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	write(t, file, key.String())
	return file
}

// sealFixture seals the snapshot of the reference data.
func sealFixture(t *testing.T, to string) *age.X25519Identity {
	t.Helper()
	key, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.Open("../../../../shared/fixtures/etcd/plain/snapshot.db.gz")
	if err != nil {
		t.Fatalf("the reference data is not beside the repository: %v", err)
	}
	defer f.Close()
	gz, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	w, err := seal.NewWriter(&out, seal.Recipients{key.Recipient()})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(w, gz); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	write(t, to, out.String())
	return key
}
