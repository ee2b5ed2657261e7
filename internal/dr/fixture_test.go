// SPDX-License-Identifier: Apache-2.0

package dr

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"hozon.dev/hozon/internal/collect"
	"hozon.dev/hozon/internal/dr/decode"
)

// expected is the part of a fixture's expected.json that is compared.
type expected struct {
	Counts  map[string]int
	Objects []struct {
		Resource, APIVersion, Kind, Namespace, Name, UID, ResourceVersion string
		SHA256, SHA256Core                                                string
		Volatile                                                          bool
	}
}

// fixture reads a snapshot, with its keys if it has any, and what it must hold.
func fixture(t testing.TB, name string) ([]byte, *decode.Keyring, expected) {
	t.Helper()
	dir := filepath.Join("../../../shared/fixtures/etcd", name)
	f, err := os.Open(filepath.Join(dir, "snapshot.db.gz"))
	if err != nil {
		t.Fatalf("the reference data is not beside the repository: %v", err)
	}
	defer f.Close()
	gz, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	snapshot, err := io.ReadAll(gz)
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(dir, "expected.json"))
	if err != nil {
		t.Fatal(err)
	}
	var want expected
	if err := json.Unmarshal(text, &want); err != nil {
		t.Fatal(err)
	}
	var keys *decode.Keyring
	if config, err := os.ReadFile(filepath.Join(dir, "encryption.yaml")); err == nil {
		if keys, err = decode.ReadKeyring(config); err != nil {
			t.Fatal(err)
		}
	}
	return snapshot, keys, want
}

// kept is a Sink that keeps everything.
type kept struct {
	mu    sync.Mutex
	items map[string]collect.Item
}

func (k *kept) Lane() collect.Lane { return keptLane{k} }

type keptLane struct{ *kept }

func (l keptLane) Add(it collect.Item) error {
	it.Body = bytes.Clone(it.Body) // collect takes it back
	l.mu.Lock()
	defer l.mu.Unlock()
	l.items[it.Ref.String()] = it
	return nil
}

func (l keptLane) Close() error { return nil }

func readAll(t *testing.T, image *Image) (map[string]collect.Item, []string) {
	t.Helper()
	k := &kept{items: map[string]collect.Item{}}
	found, err := image.Read(context.Background(), k)
	if err != nil {
		t.Fatal(err)
	}
	var problems []string
	for _, p := range found.Problems {
		problems = append(problems, p.Text)
	}
	return k.items, problems
}

// canonical is the hash that the reference data uses.
func canonical(t *testing.T, body []byte, core bool) string {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	var v map[string]any
	if err := d.Decode(&v); err != nil {
		t.Fatal(err)
	}
	if core {
		m := v["metadata"].(map[string]any)
		delete(m, "managedFields")
		delete(m, "resourceVersion")
	}
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(bytes.TrimRight(out.Bytes(), "\n"))
	return hex.EncodeToString(sum[:])
}

// TestFixtures compares every object of the snapshots of a real cluster with what its API server had served.
func TestFixtures(t *testing.T) {
	for _, name := range []string{"plain", "enc"} {
		t.Run(name, func(t *testing.T) {
			snapshot, keys, want := fixture(t, name)
			image, err := Open(t.Context(), bytes.NewReader(snapshot), int64(len(snapshot)), Options{Keys: keys})
			if err != nil {
				t.Fatal(err)
			}
			got, problems := readAll(t, image)
			if len(problems) > 0 {
				t.Errorf("problems: %s", strings.Join(problems, "\n"))
			}
			for _, w := range want.Objects {
				ref := w.Resource + "/" + w.Name
				if w.Namespace != "" {
					ref = w.Resource + "/" + w.Namespace + "/" + w.Name
				}
				it, ok := got[ref]
				delete(got, ref)
				if !ok {
					t.Errorf("%s is missing", ref)
					continue
				}
				if it.Type.GroupVersion() != w.APIVersion || it.Type.Kind != w.Kind || it.Head.UID != w.UID {
					t.Errorf("%s: %s %s %s, want %s %s %s", ref, it.Type.GroupVersion(), it.Type.Kind, it.Head.UID, w.APIVersion, w.Kind, w.UID)
				}
				if w.Volatile {
					continue
				}
				if it.Head.ResourceVersion != w.ResourceVersion || canonical(t, it.Body, true) != w.SHA256Core || canonical(t, it.Body, false) != w.SHA256 {
					t.Errorf("%s differs from what the API server served: resourceVersion %s, want %s\n%s", ref, it.Head.ResourceVersion, w.ResourceVersion, it.Body)
				}
			}
			for ref := range got {
				t.Errorf("%s should not be there", ref)
			}
		})
	}
}
