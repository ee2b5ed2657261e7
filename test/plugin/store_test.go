// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	velerov1 "hozon.dev/hozon/api/velero/v1"
	"hozon.dev/hozon/internal/blob"
	"hozon.dev/hozon/internal/blob/blobtest"
	"hozon.dev/hozon/internal/blob/extern"
	"hozon.dev/hozon/internal/fail"
	"hozon.dev/hozon/internal/location"
	"hozon.dev/hozon/internal/plugin"
	"hozon.dev/hozon/test/daemon"
	"hozon.dev/hozon/test/s3server"
)

// TestFolder lists what programs can do, and what is wrong with others.
func TestFolder(t *testing.T) {
	f, _ := folder(t, example(t))
	all, err := f.Plugins(t.Context())
	if err != nil || len(all) != 2 {
		t.Fatalf("%v, %v", all, err)
	}
	for i, want := range []plugin.Plugin{{Kind: plugin.KindObjectStore, Name: "example.test/folder"}, {Kind: plugin.KindSnapshotter, Name: "example.test/disk"}} {
		if all[i].Kind != want.Kind || all[i].Name != want.Name || filepath.Base(all[i].Command) != "velero-plugin-example" {
			t.Errorf("%+v", all[i])
		}
	}
	_, err = f.ObjectStore(t.Context(), "aws", plugin.Config{})
	if !fail.Is(err, fail.Unsupported) || !strings.Contains(err.Error(), "no plugin of kind ObjectStore and name velero.io/aws") || !strings.Contains(err.Error(), "there are example.test/folder") {
		t.Errorf("a plugin that is not there: %v", err)
	}
	nowhere := &plugin.Folder{Dir: filepath.Join(t.TempDir(), "missing")}
	if all, err := nowhere.Plugins(t.Context()); err != nil || len(all) != 0 {
		t.Errorf("a folder that is not there: %v, %v", all, err)
	}
}

// TestBadProgram: a program that is no plugin is named, and spoils nothing. The same plugin twice is refused.
func TestBadProgram(t *testing.T) {
	f, _ := folder(t, example(t))
	bad := filepath.Join(f.Dir, "bad")
	if err := os.WriteFile(bad, []byte("#!/bin/sh\necho I am no plugin\nexit 1\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := copyFile(example(t), filepath.Join(f.Dir, "twin")); err != nil {
		t.Fatal(err)
	}
	all, err := f.Plugins(t.Context())
	if err == nil || !strings.Contains(err.Error(), bad) || !strings.Contains(err.Error(), "both are the ") || len(all) != 2 {
		t.Errorf("%v, %v", all, err)
	}
	if _, err := f.ObjectStore(t.Context(), "example.test/folder", plugin.Config{Settings: map[string]string{"root": t.TempDir()}}); err != nil {
		t.Errorf("the good one: %v", err)
	}
	_, err = f.ObjectStore(t.Context(), "example.test/other", plugin.Config{})
	if err == nil || !strings.Contains(err.Error(), bad) {
		t.Errorf("a plugin that may be in the bad one: %v", err)
	}
}

// TestBucket: a plugin's store keeps what a Bucket promises, as far as it can.
func TestBucket(t *testing.T) {
	f, _ := folder(t, example(t))
	blobtest.Suite{
		Open: func(t *testing.T) blob.Bucket {
			root := t.TempDir()
			if err := os.Mkdir(filepath.Join(root, "bucket"), 0o700); err != nil {
				t.Fatal(err)
			}
			s, err := f.ObjectStore(t.Context(), "example.test/folder", plugin.Config{Settings: map[string]string{"root": root}})
			if err != nil {
				t.Fatal(err)
			}
			return &extern.Bucket{Store: s, Provider: "example.test/folder", Name: "bucket", Prefix: "some/prefix"}
		},
		Skip: map[string]string{"LongNames": "the plugin says in words only what it does not take"},
	}.Run(t)
}

// TestCredential: the credential of a location's Secret reaches the plugin, on no disk.
func TestCredential(t *testing.T) {
	f, _ := folder(t, example(t))
	c := plugin.Config{Settings: map[string]string{"root": t.TempDir(), "wantCredential": "secret text"}, Credential: []byte("secret text")}
	if _, err := f.ObjectStore(t.Context(), "example.test/folder", c); err != nil {
		t.Error(err)
	}
	c.Credential = []byte("another")
	if _, err := f.ObjectStore(t.Context(), "example.test/folder", c); err == nil || !strings.Contains(err.Error(), "the credential is") {
		t.Errorf("the wrong one: %v", err)
	}
	_, err := f.ObjectStore(t.Context(), "example.test/folder", plugin.Config{})
	if err == nil || !strings.Contains(err.Error(), "config has no root") || !strings.Contains(err.Error(), "velero-plugin-example") {
		t.Errorf("a configuration that it does not take: %v", err)
	}
}

// TestDeath: a program that dies is started again and gets its configuration again; what can be asked twice is, what cannot is a passing fault.
func TestDeath(t *testing.T) {
	f, log := folder(t, example(t))
	root := t.TempDir()
	if err := os.Mkdir(filepath.Join(root, "b"), 0o700); err != nil {
		t.Fatal(err)
	}
	s, err := f.ObjectStore(t.Context(), "example.test/folder", plugin.Config{Settings: map[string]string{"root": root}})
	if err != nil {
		t.Fatal(err)
	}
	write := func(w io.Writer) error { _, err := io.WriteString(w, "x"); return err }
	if err := s.Put(t.Context(), "b", "k", write); err != nil {
		t.Fatal(err)
	}
	die(t, root)
	if exists, err := s.Exists(t.Context(), "b", "k"); err != nil || !exists {
		t.Errorf("asked twice: %v, %v", exists, err)
	}
	die(t, root)
	if r, err := s.Get(t.Context(), "b", "k"); err != nil {
		t.Errorf("read twice: %v", err)
	} else if text, err := io.ReadAll(r); err != nil || string(text) != "x" || r.Close() != nil {
		t.Errorf("read twice: %q, %v", text, err)
	}
	die(t, root)
	if err := s.Put(t.Context(), "b", "k2", write); !fail.Is(err, fail.Transient) || !strings.Contains(err.Error(), "died in the call PutObject") {
		t.Errorf("not asked twice: %v", err)
	}
	if err := s.Put(t.Context(), "b", "k2", write); err != nil {
		t.Errorf("the next call: %v", err)
	}
	if !log.has("plugin died") {
		t.Error("the log does not say that it died")
	}
}

// TestDeathAgain: a program that dies whenever it is called is given up.
func TestDeathAgain(t *testing.T) {
	f, _ := folder(t, example(t))
	root := t.TempDir()
	s, err := f.ObjectStore(t.Context(), "example.test/folder", plugin.Config{Settings: map[string]string{"root": root}})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(root, "dead"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	var last error
	for range 12 {
		last = s.Put(t.Context(), "b", "k", func(io.Writer) error { return nil })
		if !fail.Is(last, fail.Transient) {
			break
		}
	}
	if !fail.Is(last, fail.Unsupported) || !strings.Contains(last.Error(), "has died 10 times in a row") {
		t.Errorf("%v", last)
	}
}

// TestBrokenUpload: what breaks off before its end is not stored.
func TestBrokenUpload(t *testing.T) {
	f, _ := folder(t, example(t))
	root := t.TempDir()
	if err := os.Mkdir(filepath.Join(root, "b"), 0o700); err != nil {
		t.Fatal(err)
	}
	s, err := f.ObjectStore(t.Context(), "example.test/folder", plugin.Config{Settings: map[string]string{"root": root}})
	if err != nil {
		t.Fatal(err)
	}
	enough := errors.New("enough")
	err = s.Put(t.Context(), "b", "k", func(w io.Writer) error {
		_, err := w.Write(make([]byte, 100<<10))
		return errors.Join(err, enough)
	})
	if !errors.Is(err, enough) {
		t.Errorf("%v", err)
	}
	if exists, err := s.Exists(t.Context(), "b", "k"); exists || err != nil {
		t.Errorf("it is there: %v, %v", exists, err)
	}
}

// TestPeerAWS: the real velero-plugin-for-aws keeps what a Bucket promises on an S3 server, opened as a location that wants the plugin.
func TestPeerAWS(t *testing.T) {
	if os.Getenv("HOZON_PEER") == "" {
		t.Skip("needs the real plugin: make peer")
	}
	const name = "velero-plugin-for-aws"
	path, err := daemon.Build(t.Context(), "tools/build", "bench/velero-aws", "github.com/vmware-tanzu/"+name+"/"+name, name)
	if err != nil {
		t.Fatal(err)
	}
	f, _ := folder(t, path)
	server := s3server.Start(t)
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	open := location.Plugins(func(ctx context.Context, provider string, settings map[string]string, credential []byte) (extern.Store, error) {
		return f.ObjectStore(ctx, provider, plugin.Config{Settings: settings, Credential: credential})
	})
	n := 0
	words := "the plugin hands on in words only what the S3 server, which keeps keys as paths, does not take"
	blobtest.Suite{
		Skip: map[string]string{"LongNames": words, "KeyThroughKey": words, "DeleteBesidePut": words},
		Open: func(t *testing.T) blob.Bucket {
			n++
			bucket := fmt.Sprintf("plugin-%d", n)
			if err := server.CreateBucket(bucket); err != nil {
				t.Fatal(err)
			}
			b, err := open.Open(t.Context(), &velerov1.BackupStorageLocation{
				ObjectMeta: metav1.ObjectMeta{Name: "l", Annotations: map[string]string{velerov1.AnnotationObjectStore: "plugin"}},
				Spec: velerov1.BackupStorageLocationSpec{
					Provider:      "aws",
					ObjectStorage: &velerov1.ObjectStorageLocation{Bucket: bucket, Prefix: "p"},
					Config:        map[string]string{"region": "us-east-1", "s3ForcePathStyle": "true", "s3Url": server.Endpoint, "checksumAlgorithm": ""},
				},
			}, location.Secrets{Credential: []byte("[default]\naws_access_key_id=" + server.AccessKey + "\naws_secret_access_key=" + server.SecretKey + "\n")})
			if err != nil {
				t.Fatal(err)
			}
			return b
		},
	}.Run(t)
}
