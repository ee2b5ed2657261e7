// SPDX-License-Identifier: Apache-2.0

package server

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	velerov1 "hozon.dev/hozon/api/velero/v1"
)

// TestServerFolder keeps backups in a folder, whose files the server hands out itself, to those who have a URL of its own making.
func TestServerFolder(t *testing.T) {
	w := newWorld(t)
	root := t.TempDir()
	if err := os.Mkdir(filepath.Join(root, "backups"), 0o700); err != nil {
		t.Fatal(err)
	}
	l := w.location("folder", "backups", false)
	l.Spec.Provider, l.Spec.Credential, l.Spec.Config = "file", nil, map[string]string{"fspath": root}
	w.create(l)
	w.serve()
	w.awaitLocation("folder", velerov1.BackupStorageLocationPhaseAvailable)
	b := w.backup("a")
	b.Spec.StorageLocation = "folder"
	w.create(b)
	w.awaitBackup("a", velerov1.BackupPhaseCompleted)
	if log := w.download(velerov1.DownloadTargetKindBackupLog, "a"); !strings.Contains(log, "Backed up a total of") {
		t.Errorf("log: %q", log)
	}
	d := &velerov1.DownloadRequest{ObjectMeta: w.meta("download-backuplog-a")}
	w.get(d)
	for change, want := range map[[2]string]int{
		{"-logs", "-results"}:       http.StatusForbidden, // hands out another file than was asked for
		{"expires=", "expires=9"}:   http.StatusForbidden,
		{"signature=", "signature"}: http.StatusForbidden,
		{"/backup/", "/backup/x/"}:  http.StatusNotFound,
	} {
		url := strings.Replace(d.Status.DownloadURL, change[0], change[1], 1)
		if url == d.Status.DownloadURL {
			t.Fatalf("%s has no %s", url, change[0])
		}
		res, err := http.Get(url)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != want {
			t.Errorf("%s: %s, want %d", url, res.Status, want)
		}
	}
}
