// SPDX-License-Identifier: Apache-2.0

package podvolume

import (
	"testing"

	"hozon.dev/hozon/internal/store"
	"hozon.dev/hozon/internal/vault/vaulttest"
)

// TestRestoreVelero restores what real Velero saved with kopia: a claim through a mover, folders of pods through an init container; into another namespace.
func TestRestoreVelero(t *testing.T) {
	w := newWorld(t, "fsbackup")
	w.class("local-disk", 1)
	w.all()
	w.kubectl("", "-n", w.ns, "wait", "--for=create", "backup/files-1", "--timeout=60s")
	w.kubectl("", "-n", w.ns, "wait", "--for=jsonpath={.status.phase}=Completed", "podvolumebackups", "-l", "velero.io/backup-name=files-1", "--timeout=60s")
	out := w.hozon(0, "restore", "create", "back", "--from-backup", "files-1", "--namespace-mappings", "files:"+w.app+"-back", "--wait")
	contains(t, out, "Completed")
	back := w.app + "-back"
	w.kubectl("", "-n", back, "wait", "--timeout=120s", "--for=condition=Ready", "pod/keeper", "pod/writer")
	claim := w.kubectl("", "-n", back, "get", "pvc", "archive", "-o", "jsonpath={.spec.volumeName}")
	for path, list := range map[string]string{
		w.in(back, "keeper", claim): "files-1-archive", w.in(back, "keeper", "tmp"): "files-1-tmp", w.in(back, "writer", "scratch"): "files-1-scratch",
	} {
		vaulttest.Compare(t, vaulttest.Disk(t, path), vaulttest.Kopia(vaulttest.List(t, "fsbackup/files/"+list+".json.gz")))
	}
	if left := w.kubectl("", "get", "pods", "-A", "-l", "hozon.dev/mover=true", "-o", "name"); left != "" {
		t.Errorf("movers are left: %s", left)
	}
	var infos []store.RestoredVolume
	if err := w.open().ReadJSON(t.Context(), store.Restore, "back", store.RestoreVolumeInfo, &infos); err != nil {
		t.Fatal(err)
	}
	if len(infos) != 3 {
		t.Errorf("volumes of the restore: %+v", infos)
	}
}
