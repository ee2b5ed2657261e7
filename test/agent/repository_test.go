// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	velerov1 "hozon.dev/hozon/api/velero/v1"
	"hozon.dev/hozon/internal/vault/vaulttest"
)

// changed makes a location of a copy of a bucket of the reference data, to which something was done.
func (w *world) changed(name, fixture string, change func(bucket string)) {
	w.t.Helper()
	root := w.t.TempDir()
	if err := os.CopyFS(filepath.Join(root, "bucket"), os.DirFS(filepath.Join(vaulttest.Fixtures(w.t), fixture, "bucket"))); err != nil {
		w.t.Fatal(err)
	}
	change(filepath.Join(root, "bucket"))
	w.location(name, root)
}

// largest is the file with the most bytes of a pattern.
func largest(t *testing.T, pattern string) string {
	t.Helper()
	all, err := filepath.Glob(pattern)
	if err != nil || len(all) == 0 {
		t.Fatalf("%s: %v", pattern, err)
	}
	size := func(path string) int64 {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		return info.Size()
	}
	return slices.MaxFunc(all, func(a, b string) int { return int(size(a) - size(b)) })
}

// TestBadRepository: what is wrong with a repository is told of the volume, with the way out; what of it can be had comes back, and so does every other volume.
func TestBadRepository(t *testing.T) {
	w := newWorld(t)
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	var pack, resticPack string
	w.changed("gone", "fsbackup", func(bucket string) { must(os.RemoveAll(filepath.Join(bucket, "kopia"))) })
	w.changed("restic-gone", "restic", func(bucket string) { must(os.RemoveAll(filepath.Join(bucket, "restic"))) })
	w.changed("newer", "fsbackup", func(bucket string) {
		path := filepath.Join(bucket, "kopia/files/kopia.repository")
		text, err := os.ReadFile(path)
		must(err)
		must(os.WriteFile(path, bytes.Replace(text, []byte("AES256_GCM"), []byte("AES512_XYZ"), 1), 0o600))
	})
	w.changed("damaged", "fsbackup", func(bucket string) {
		pack = largest(t, filepath.Join(bucket, "kopia/files/p*"))
		must(os.Remove(pack))
	})
	w.changed("restic-damaged", "restic", func(bucket string) {
		resticPack = largest(t, filepath.Join(bucket, "restic/cellar/data/*/*"))
		must(os.Remove(resticPack))
	})
	w.changed("restic-locked", "restic", func(bucket string) { // by a restic that has died long ago: whoever only reads need not care
		must(os.MkdirAll(filepath.Join(bucket, "restic/cellar/locks"), 0o700))
		must(os.WriteFile(filepath.Join(bucket, "restic/cellar/locks", strings.Repeat("ab", 32)), []byte("exclusive"), 0o600))
	})
	w.agent()
	mover := w.start(w.mover("mover", emptyDir("gone"), emptyDir("restic-gone"), emptyDir("newer"), emptyDir("damaged"), emptyDir("restic-damaged"), emptyDir("restic-locked")))
	made := map[string]*velerov1.PodVolumeRestore{}
	for _, v := range mover.Spec.Volumes {
		if v.EmptyDir == nil {
			continue
		}
		spec := velerov1.PodVolumeRestoreSpec{BackupStorageLocation: v.Name, UploaderType: "kopia", SourceNamespace: "files", SnapshotID: snapshotOf(t, "fsbackup", "files-1", "scratch")}
		if strings.HasPrefix(v.Name, "restic") {
			spec.UploaderType, spec.SourceNamespace, spec.SnapshotID = "restic", "cellar", snapshotOf(t, "restic", "cellar-0301", "wine")
		}
		made[v.Name] = w.restore(v.Name, mover, v.Name, spec)
	}
	lists := map[string][]vaulttest.Entry{
		"damaged": vaulttest.Kopia(vaulttest.List(t, "fsbackup/files/files-1-scratch.json.gz")), "restic-damaged": vaulttest.List(t, "restic/files/cellar-0301-wine.json.gz"),
	}
	lists["restic-locked"] = lists["restic-damaged"]
	for name, wants := range map[string][]string{
		"gone":           {"open repository kopia/files in ", "there is none", "compare the bucket and the prefix of location gone"},
		"restic-gone":    {"open repository restic/cellar in ", "there is none", "from a copy of it"},
		"newer":          {"open repository kopia/files in ", "its format is newer than this program, which has to be updated", "AES512_XYZ"},
		"damaged":        {"files were not restored, the others were: ", "kopia/files/" + filepath.Base(pack) + " is missing: blob.bin, many/00/file-007.txt, "},
		"restic-damaged": {"files were not restored, the others were: ", "data/" + filepath.Base(resticPack)[:2] + "/" + filepath.Base(resticPack) + " is missing: blob.bin, deep/"},
		"restic-locked":  nil,
	} {
		r := w.restored(made[name])
		t.Logf("%s: %s %s", name, r.Status.Phase, r.Status.Message)
		got := vaulttest.Disk(t, w.in(mover, onDisk, name))
		if wants == nil {
			w.wantCompleted(string(r.Status.Phase), r.Status.Message)
			vaulttest.Compare(t, got, lists[name])
			continue
		}
		if r.Status.Phase != velerov1.PodVolumeRestorePhaseFailed {
			t.Errorf("%s: %+v", name, r.Status)
		}
		contains(t, r.Status.Message, append(wants, "volume "+name+" of pod "+w.app+"/mover: ")...)
		if lost := len(lists[name]) - len(got); lost < 0 || lost > 0 && !strings.Contains(r.Status.Message, fmt.Sprintf(": %d files were not restored", lost)) {
			t.Errorf("%s: %d entries of %d came back", name, len(got), len(lists[name]))
		}
		vaulttest.Compare(t, got, only(lists[name], got))
	}
}

// only are the entries of a list whose paths are in another one.
func only(list, in []vaulttest.Entry) []vaulttest.Entry {
	return slices.DeleteFunc(slices.Clone(list), func(e vaulttest.Entry) bool {
		return !slices.ContainsFunc(in, func(o vaulttest.Entry) bool { return o.Path == e.Path })
	})
}
