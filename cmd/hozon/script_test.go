// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"hozon.dev/hozon/internal/cluster/clustertest"
)

// TestMain makes this test binary be hozon, velero, and a plugin of kubectl, when a script calls it so.
func TestMain(m *testing.M) {
	command := func() { os.Exit(run()) }
	testscript.Main(m, map[string]func(){"hozon": command, "velero": command, "kubectl-hozon": command})
}

// commands are those that the scripts have beyond testscript's own.
var commands = map[string]func(*testscript.TestScript, bool, []string){
	// exits CODE COMMAND… wants the command to end with that exit code.
	"exits": func(ts *testscript.TestScript, neg bool, args []string) {
		want, err := strconv.Atoi(args[0])
		if neg || err != nil || len(args) < 2 {
			ts.Fatalf("usage: exits CODE COMMAND…")
		}
		got := 0
		var exit *exec.ExitError
		if err := ts.Exec(args[1], args[2:]...); errors.As(err, &exit) {
			got = exit.ExitCode()
		} else if err != nil {
			ts.Fatalf("%v", err)
		}
		if got != want {
			ts.Fatalf("exit code %d, want %d", got, want)
		}
	},
}

// TestScripts runs the whole program on the scripts that need no cluster.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{Dir: "testdata/script", Cmds: commands, Setup: func(e *testscript.Env) error {
		e.Setenv("HOME", e.WorkDir)
		e.Setenv("FIXTURES", fixtures(t))
		return nil
	}})
}

// TestClusterScripts runs the whole program against a real API server without controllers, a new one for each script.
func TestClusterScripts(t *testing.T) {
	if testing.Short() {
		t.Skip("starts control planes")
	}
	testscript.Run(t, testscript.Params{Dir: "testdata/cluster", Cmds: commands, Setup: withCluster})
}

// withCluster gives a script a control plane of its own, and kubectl.
func withCluster(e *testscript.Env) error {
	t := e.T().(testing.TB)
	c := clustertest.Start(t, clustertest.Options{UnsafeNoFsync: true})
	crds, err := filepath.Abs(filepath.Join("..", "..", "deploy", "crd"))
	if err != nil {
		return err
	}
	e.Setenv("HOME", e.WorkDir)
	e.Setenv("FIXTURES", fixtures(t))
	e.Setenv("KUBECONFIG", c.Kubeconfig())
	e.Setenv("CRDS", crds)
	e.Setenv("PATH", filepath.Dir(c.KubectlPath())+string(os.PathListSeparator)+e.Getenv("PATH"))
	return nil
}

var readmeLine = regexp.MustCompile(`(?m)^bin/(hozon [^#\n]*[^#\n ])`)

// TestReadme runs the commands of the README's five minutes, as they stand there, on a cluster with a namespace shop.
func TestReadme(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a control plane")
	}
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	script := "exec kubectl create namespace shop\nexec kubectl create configmap settings -n shop --from-literal=a=b\nmkdir store\nenv HOZON_STORE=$WORK/store\n"
	lines := readmeLine.FindAllStringSubmatch(string(text), -1)
	if len(lines) < 5 {
		t.Fatalf("found %d commands in the README: has its form changed?", len(lines))
	}
	for _, m := range lines {
		script += m[1] + "\n"
	}
	script += "exec kubectl get configmap settings -n shop2\n"
	file := filepath.Join(t.TempDir(), "readme.txtar")
	if err := os.WriteFile(file, []byte(script), 0o600); err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{Files: []string{file}, Cmds: commands, Setup: withCluster})
}

var guideLine = regexp.MustCompile(`(?m)^hozon .*$`)

// TestGuides runs the commands of a guide as they stand there, in a folder with the files that they name.
func TestGuides(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a control plane")
	}
	text, err := os.ReadFile("../../doc/guide/control-plane.md")
	if err != nil {
		t.Fatal(err)
	}
	script := "cp $FIXTURES/etcd/enc/encryption.yaml encryption.yaml\nmkdir store\n"
	// What saves a control plane needs one: test/controlplane does it. The rest needs a snapshot.
	_, rest, _ := strings.Cut(string(text), "\n# Objects back out of an etcd snapshot")
	lines := guideLine.FindAllString(rest, -1)
	if len(lines) < 6 {
		t.Fatalf("found %d commands in the guide: has its form changed?", len(lines))
	}
	script += strings.Join(lines, "\n") + "\nexec kubectl get secret s0 -n alpha\n! exec kubectl get namespace beta\n"
	file := filepath.Join(t.TempDir(), "guide.txtar")
	if err := os.WriteFile(file, []byte(script), 0o600); err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{Files: []string{file}, Cmds: commands, Setup: func(e *testscript.Env) error {
		if err := withCluster(e); err != nil {
			return err
		}
		data, err := exec.Command("gunzip", "-c", filepath.Join(fixtures(t), "etcd/enc/snapshot.db.gz")).Output()
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(e.WorkDir, "snapshot.db"), data, 0o600)
	}})
}

// TestProjectGuide runs the commands of the guide on projects as they stand there, on the run-book's project. That the image was rewritten
// is a difference, so diff ends with 1 there.
func TestProjectGuide(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a control plane")
	}
	text, err := os.ReadFile("../../doc/guide/project.md")
	if err != nil {
		t.Fatal(err)
	}
	setup, err := os.ReadFile("testdata/guide/project.txtar")
	if err != nil {
		t.Fatal(err)
	}
	lines := guideLine.FindAllString(string(text), -1)
	if len(lines) < 12 {
		t.Fatalf("found %d commands in the guide: has its form changed?", len(lines))
	}
	for i, line := range lines {
		if line == "hozon project diff tree" {
			lines[i] = "exits 1 " + line + "\nstdout 'containers/0/image: .*registry.example.com'"
		}
	}
	before, files, _ := strings.Cut(string(setup), "\n-- ")
	script := before + "\n" + strings.Join(lines, "\n") + "\nexec kubectl get configmap notes -n myproject\nexec kubectl get pvc uploaded -n myproject-test\n-- " + files
	file := filepath.Join(t.TempDir(), "guide.txtar")
	if err := os.WriteFile(file, []byte(script), 0o600); err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{Files: []string{file}, Cmds: commands, Setup: withCluster})
}

// TestBackupFilesGuide runs the commands of the guide on files out of a backup as they stand there, on what Velero saved.
func TestBackupFilesGuide(t *testing.T) {
	if testing.Short() {
		t.Skip("opens a repository for each command")
	}
	text, err := os.ReadFile("../../doc/guide/backup-files.md")
	if err != nil {
		t.Fatal(err)
	}
	lines := guideLine.FindAllString(string(text), -1)
	if len(lines) < 6 {
		t.Fatalf("found %d commands in the guide: has its form changed?", len(lines))
	}
	script := strings.Join(lines, "\n") + "\nstdout 'Copied'\ncmp file-007.txt many/00/file-007.txt\nexists scratch/blob.bin\n"
	file := filepath.Join(t.TempDir(), "guide.txtar")
	if err := os.WriteFile(file, []byte(script), 0o600); err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{Files: []string{file}, Cmds: commands, Setup: func(e *testscript.Env) error {
		e.Setenv("HOME", e.WorkDir)
		return os.Symlink(filepath.Join(fixtures(t), "fsbackup", "bucket"), filepath.Join(e.WorkDir, "backups"))
	}})
}

// fixtures is the folder with data written by the real tools, beside the repository.
func fixtures(t testing.TB) string {
	t.Helper()
	dir, err := filepath.Abs("../../../shared/fixtures")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(dir); err != nil {
		t.Fatalf("the reference data is not beside the repository: %v", err)
	}
	return dir
}
