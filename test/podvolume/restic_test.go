// SPDX-License-Identifier: Apache-2.0

package podvolume

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/gzip"

	"hozon.dev/hozon/internal/vault/vaulttest"
)

// TestRestoreRestic has our server bring back what old Velero saved with restic, in both of its formats, out of a bucket that may only be read: a claim through a
// mover, folders of pods through an init container. A backup into that bucket is refused, and nothing in it changes.
func TestRestoreRestic(t *testing.T) {
	w := newWorld(t, "")
	w.inS3("restic", "ReadOnly")
	w.claimStuff()
	w.class("local-disk", 1)
	data := func() []string {
		return slices.Concat(w.stored("backups"), w.stored("restic"), w.stored("kopia"), w.stored("metadata"))
	} // records of restores go there
	before := data()
	w.all()
	for _, backup := range []string{"attic-0301", "cellar-0301"} {
		w.kubectl("", "-n", w.ns, "wait", "--for=create", "backup/"+backup, "--timeout=60s")
	}
	attic, cellar := w.app+"-attic", w.app+"-cellar"
	contains(t, w.hozon(0, "restore", "create", "old", "--from-backup", "attic-0301", "--namespace-mappings", "attic:"+attic, "--wait"), "Completed")
	contains(t, w.hozon(0, "restore", "create", "newer", "--from-backup", "cellar-0301", "--namespace-mappings", "cellar:"+cellar, "--wait"), "Completed")
	w.kubectl("", "-n", attic, "wait", "--timeout=120s", "--for=condition=Ready", "pod/box-0")
	w.kubectl("", "-n", cellar, "wait", "--timeout=120s", "--for=condition=Ready", "pod/barrel")
	claim := w.kubectl("", "-n", attic, "get", "pvc", "stuff", "-o", "jsonpath={.spec.volumeName}")
	for folder, list := range map[string]string{
		w.in(attic, "box-0", claim): "attic-0301-stuff", w.in(cellar, "barrel", "wine"): "cellar-0301-wine", w.in(cellar, "barrel", "more"): "cellar-0301-more",
	} {
		vaulttest.Compare(t, vaulttest.Disk(t, folder), vaulttest.List(t, "restic/files/"+list+".json.gz"))
	}
	contains(t, w.hozon(0, "restore", "describe", "old", "--details"), "restic Restores:", "Completed", attic)

	w.hozon(1, "backup", "create", "refused", "--include-namespaces", attic, "--default-volumes-to-fs-backup", "--wait")
	contains(t, w.hozon(0, "backup", "describe", "refused"), "FailedValidation", "backup storage location default is currently in read-only mode")
	if left := w.kubectl("", "get", "pods", "-A", "-l", moverLabel, "-o", "name"); left != "" {
		t.Errorf("movers are left: %s", left)
	}
	if after := data(); !slices.Equal(after, before) {
		t.Errorf("the bucket had %q, and has %q", before, after)
	}
}

// claimStuff makes the volume stuff of the first backup of the attic a claim's: the reference data have no claim that restic saved.
func (w *world) claimStuff() {
	w.t.Helper()
	folder := filepath.Join(w.s3.BucketDir("store"), "backups/attic-0301")
	change(w.t, filepath.Join(folder, "attic-0301-podvolumebackups.json.gz"), func(text []byte) []byte {
		return edited(w.t, text, func(list *[]map[string]any) {
			(*list)[0]["metadata"].(map[string]any)["annotations"] = map[string]any{"velero.io/pvc-name": "stuff"}
		})
	})
	claim := []byte(`{"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "stuff", "namespace": "attic", "annotations": {"pv.kubernetes.io/bind-completed": "yes"}},
		"spec": {"accessModes": ["ReadWriteOnce"], "storageClassName": "local-disk", "volumeName": "of-another-life", "resources": {"requests": {"storage": "1Gi"}}}, "status": {"phase": "Bound"}}`)
	change(w.t, filepath.Join(folder, "attic-0301.tar.gz"), func(archive []byte) []byte {
		var out bytes.Buffer
		to, from := tar.NewWriter(&out), tar.NewReader(bytes.NewReader(archive))
		put := func(name string, body []byte) {
			if err := to.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(body)), Typeflag: tar.TypeReg}); err != nil {
				w.t.Fatal(err)
			}
			if _, err := to.Write(body); err != nil {
				w.t.Fatal(err)
			}
		}
		for {
			h, err := from.Next()
			if err == io.EOF {
				break
			}
			body, readErr := io.ReadAll(from)
			if err != nil || readErr != nil {
				w.t.Fatal(err, readErr)
			}
			if strings.HasSuffix(h.Name, "/box-0.json") && strings.Contains(h.Name, "/pods/") {
				body = edited(w.t, body, func(pod *map[string]any) {
					volumes := (*pod)["spec"].(map[string]any)["volumes"].([]any)
					volumes[0] = map[string]any{"name": "stuff", "persistentVolumeClaim": map[string]any{"claimName": "stuff"}}
				})
			}
			put(h.Name, body)
		}
		put("resources/persistentvolumeclaims/namespaces/attic/stuff.json", claim)
		if err := to.Close(); err != nil {
			w.t.Fatal(err)
		}
		return out.Bytes()
	})
}

// edited is a JSON text after edit.
func edited[T any](t *testing.T, text []byte, edit func(*T)) []byte {
	t.Helper()
	var value T
	if err := json.Unmarshal(text, &value); err != nil {
		t.Fatal(err)
	}
	edit(&value)
	text, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// change edits a file that is packed with gzip.
func change(t *testing.T, path string, edit func([]byte) []byte) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	packed := gzip.NewWriter(&out)
	if _, err := packed.Write(edit(text)); err != nil {
		t.Fatal(err)
	}
	if err := packed.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, out.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
}
