// SPDX-License-Identifier: Apache-2.0

package server

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	velerov1 "hozon.dev/hozon/api/velero/v1"
)

// hozon runs our own command line against the server, wants it to succeed, and its output to hold all of the texts.
func (w *world) hozon(texts []string, args ...string) {
	w.t.Helper()
	cmd := exec.CommandContext(w.t.Context(), self(w.t), append(args, "--namespace", w.ns, "--kubeconfig", w.cluster.Kubeconfig())...)
	cmd.Dir = w.dir
	cmd.Env = append(os.Environ(), "HOME="+w.dir, programEnv+"=1")
	out, err := cmd.CombinedOutput()
	if err != nil {
		w.t.Fatalf("hozon %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	for _, text := range texts {
		if !strings.Contains(string(out), text) {
			w.t.Errorf("hozon %s has no %q:\n%s", strings.Join(args, " "), text, out)
		}
	}
}

// TestServerOwnCLI drives the server by our own command line.
func TestServerOwnCLI(t *testing.T) {
	w := newWorld(t)
	w.serve()
	w.awaitLocation("default", velerov1.BackupStorageLocationPhaseAvailable)
	w.hozon([]string{"Backup completed with status: Completed"}, "backup", "create", "a", "--include-namespaces", w.app, "--wait")
	w.hozon([]string{"a ", "Completed"}, "backup", "get")
	w.hozon([]string{"Completed", w.app + "/settings"}, "backup", "describe", "a", "--details")
	w.hozon([]string{"Backed up a total of"}, "backup", "logs", "a")
	w.hozon([]string{"Restore completed with status: Completed"}, "restore", "create", "r", "--from-backup", "a", "--namespace-mappings", w.app+":"+w.app+"-r", "--wait")
	w.hozon([]string{"settings(created)"}, "restore", "describe", "r", "--details")
	w.hozon([]string{"submitted successfully"}, "backup", "delete", "a", "--confirm")
	await(w, w.backup("a"), &velerov1.BackupList{}, deleted)

	w.freezeStore()
	w.create(w.backup("hangs"))
	w.awaitPhase("hangs", velerov1.BackupPhaseInProgress)
	w.hozon([]string{"Request to cancel backup"}, "backup", "cancel", "hangs")
	w.awaitBackup("hangs", velerov1.BackupPhaseFailed)
	w.thawStore()
}
