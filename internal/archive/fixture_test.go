// SPDX-License-Identifier: Apache-2.0

package archive_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"hozon.dev/hozon/internal/archive"
	"hozon.dev/hozon/internal/fail"
)

// fixtures are backups written by other tools; the folder lies beside the repository.
const fixtures = "../../../shared/fixtures"

type expected struct {
	Backups map[string]struct {
		TarEntries  int
		ItemCount   int
		Items       map[string]string
		VersionDirs map[string][]string
	}
	Cases map[string]struct{ Outcome, Item string }
}

func expect(t *testing.T, set string) expected {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(fixtures, set, "expected.json"))
	if err != nil {
		t.Fatalf("the reference data must lie in ../shared/fixtures beside the repository: %v", err)
	}
	var e expected
	if err := json.Unmarshal(b, &e); err != nil {
		t.Fatal(err)
	}
	return e
}

func openFixture(set, backup string) (*os.File, error) {
	return os.Open(filepath.Join(fixtures, set, "bucket", "backups", backup, backup+".tar.gz"))
}

func open(t testing.TB, set, backup string) *os.File {
	t.Helper()
	f, err := openFixture(set, backup)
	if err != nil {
		t.Fatalf("the reference data must lie in ../shared/fixtures beside the repository: %v", err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// canonical is the hash that expected.json has of an item.
func canonical(t *testing.T, body []byte) string {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		t.Fatal(err)
	}
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		t.Fatal(err)
	}
	// encoding/json escapes these two, which plain UTF-8 JSON does not.
	b := bytes.TrimSuffix(buf.Bytes(), []byte("\n"))
	b = bytes.ReplaceAll(b, []byte(`\u2028`), []byte("\u2028"))
	b = bytes.ReplaceAll(b, []byte(`\u2029`), []byte("\u2029"))
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:8])
}

func TestReadVelero(t *testing.T) {
	for _, set := range []string{"plain", "failed", "restic", "fsbackup"} {
		for name, want := range expect(t, set).Backups {
			t.Run(set+"/"+name, func(t *testing.T) {
				items, versions := map[string]string{}, map[string]map[string]bool{}
				copies := map[string]string{}
				sum, err := archive.Read(open(t, set, name), archive.ReadOptions{}, func(e archive.Entry) error {
					if e.Err != nil {
						t.Errorf("%s: %v", e.Path, e.Err)
					}
					key := e.Ref.GroupResource() + "|" + e.Ref.Namespace + "|" + e.Ref.Name
					if e.Unversioned {
						items[key] = canonical(t, e.Body)
						return nil
					}
					if versions[e.Ref.GroupResource()] == nil {
						versions[e.Ref.GroupResource()] = map[string]bool{}
					}
					versions[e.Ref.GroupResource()][e.Version] = true
					if e.Preferred {
						copies[key] = canonical(t, e.Body)
					}
					return nil
				})
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(want.Items, items); diff != "" {
					t.Errorf("items (-want +got):\n%s", diff)
				}
				if diff := cmp.Diff(items, copies); diff != "" {
					t.Errorf("the versioned copies differ:\n%s", diff)
				}
				for gr, dirs := range want.VersionDirs {
					if len(versions[gr]) != len(dirs) {
						t.Errorf("%s has versions %v, want %v", gr, versions[gr], dirs)
					}
				}
				if sum.Entries != want.TarEntries || sum.Items != want.ItemCount || sum.Format != "1.1.0" {
					t.Errorf("%+v; want %d entries, %d items", sum, want.TarEntries, want.ItemCount)
				}
			})
		}
	}
}

func TestReadBroken(t *testing.T) {
	for name, want := range expect(t, "broken").Cases {
		t.Run(name, func(t *testing.T) {
			bad := map[string]bool{}
			_, err := archive.Read(open(t, "broken", name), archive.ReadOptions{}, func(e archive.Entry) error {
				if e.Err != nil {
					bad[e.Ref.GroupResource()+" "+e.Ref.ID()+".json"] = true
					t.Log(e.Err)
				}
				return nil
			})
			t.Log(err)
			switch want.Outcome {
			case "refused":
				if !fail.Is(err, fail.Corrupt) && !fail.Is(err, fail.Unsupported) {
					t.Errorf("error %v of kind %v", err, fail.Of(err))
				}
			case "item-error":
				if diff := cmp.Diff(map[string]bool{want.Item: true}, bad); diff != "" || err != nil {
					t.Errorf("error %v; items with errors:\n%s", err, diff)
				}
			case "not-listed": // the archive itself is good
				if err != nil || len(bad) > 0 {
					t.Errorf("error %v, bad items %v", err, bad)
				}
			default:
				t.Errorf("unknown outcome %q", want.Outcome)
			}
		})
	}
}
