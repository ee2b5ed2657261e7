// SPDX-License-Identifier: Apache-2.0

package install

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"hozon.dev/hozon/internal/cluster/clustertest"
	"hozon.dev/hozon/test/daemon"
)

// TestPeerInstall installs over a real Velero 1.18.3 that runs with backups, a schedule and a second location, works on, and lets Velero take its place back.
// With HOZON_PEER (`make peer`) only: building Velero takes minutes.
func TestPeerInstall(t *testing.T) {
	if os.Getenv("HOZON_PEER") == "" {
		t.Skip("needs the real velero: make peer")
	}
	u := newUser(t)
	v := u.velero()
	flags := []string{"install", "--provider", "aws", "--plugins", pluginImage, "--bucket", "store", "--secret-file", u.credentials,
		"--backup-location-config", u.config + ",checksumAlgorithm=", "--use-volume-snapshots=false", "--wait"}
	v.run(flags...)
	u.kubectl("create", "namespace", "shop")
	u.kubectl("create", "configmap", "settings", "-n", "shop", "--from-literal=colour=blue")
	u.kubectl("wait", "-n", "velero", "backupstoragelocation/default", "--for=jsonpath={.status.phase}=Available", "--timeout=90s")
	v.contains(v.run("backup", "create", "by-velero", "--include-namespaces", "shop", "--labels", "x=y", "--wait"), "Backup completed with status: Completed")
	v.run("backup-location", "create", "archive", "--provider", "aws", "--bucket", "store", "--prefix", "archive", "--access-mode", "ReadOnly", "--config", u.config)
	v.run("schedule", "create", "often", "--schedule", "* * * * *", "--include-namespaces", "shop")
	before := u.kept()

	u.run(append(flags, "--image", u.image)...)
	u.contains(u.run("version"), "Server:\n\tVersion: hozon v")
	if diff := cmp.Diff(before, u.kept(before.names()...)); diff != "" {
		t.Errorf("the installation has changed what was there (-before +after):\n%s", diff)
	}
	u.fires("hozon.dev/run")
	u.comesBack("by-velero")
	u.contains(u.run("backup", "create", "by-hozon", "--include-namespaces", "shop", "--wait"), "Backup completed with status: Completed")
	before = u.kept()

	v.run(append(flags, "--apply")...)
	v.contains(v.run("version"), "Server:\n\tVersion: v1.18.3")
	if diff := cmp.Diff(before, u.kept(before.names()...)); diff != "" {
		t.Errorf("Velero's installation has changed what was there (-before +after):\n%s", diff)
	}
	v.fires("")
	v.comesBack("by-velero")
	v.comesBack("by-hozon")
}

// pluginImage is Velero's plugin for S3.
const pluginImage = "velero/velero-plugin-for-aws:v1.14.3"

// velero gives the node the images of the real Velero, and returns the user with its command.
func (u *user) velero() *user {
	u.t.Helper()
	const module, plugin = "github.com/vmware-tanzu/velero", "velero-plugin-for-aws"
	program, err := daemon.Build(u.t.Context(), "tools/build", "bench/velero", module+"/cmd/velero", "velero", "-X "+module+"/pkg/buildinfo.Version=v1.18.3")
	if err != nil {
		u.t.Fatal(err)
	}
	store, err := daemon.Build(u.t.Context(), "tools/build", "bench/velero-aws", "github.com/vmware-tanzu/"+plugin+"/"+plugin, plugin)
	if err != nil {
		u.t.Fatal(err)
	}
	for _, i := range []clustertest.Image{
		{Name: "docker.io/velero/velero:v1.18.3", User: "65532:65532", Files: []clustertest.File{{Path: "velero", From: program}, {Path: "tmp", Mode: os.ModeDir | 0o777}}},
		{Name: "docker.io/" + pluginImage, User: "65532:65532", Entrypoint: []string{"/bin/cp", "/plugins/" + plugin, "/target/"},
			Files: []clustertest.File{{Path: "bin/cp", From: u.cluster.Busybox()}, {Path: "plugins/" + plugin, From: store}}},
	} {
		if err := u.cluster.LoadImage(u.t.Context(), i); err != nil {
			u.t.Fatal(err)
		}
	}
	other := *u
	other.program = program
	return &other
}

// records are the specs of velero.io's objects, by kind and name.
type records map[string]any

func (r records) names() []string {
	var all []string
	for name := range r {
		all = append(all, name)
	}
	return all
}

// kept are the objects of velero.io that an installation has to leave as they are: all, or those that are named.
func (u *user) kept(names ...string) records {
	u.t.Helper()
	var list struct {
		Items []struct {
			Kind     string
			Metadata struct {
				Name, UID string
				Labels    map[string]string
			}
			Spec map[string]any
		}
	}
	text := u.kubectl("get", "backups,schedules,backupstoragelocations,restores", "-n", "velero", "-o", "json")
	if err := json.Unmarshal([]byte(text), &list); err != nil {
		u.t.Fatal(err)
	}
	wanted, all := map[string]bool{}, records{}
	for _, name := range names {
		wanted[name] = true
	}
	for _, item := range list.Items {
		name := item.Kind + "/" + item.Metadata.Name
		if len(names) == 0 || wanted[name] {
			all[name] = map[string]any{"uid": item.Metadata.UID, "labels": item.Metadata.Labels, "spec": item.Spec}
		}
	}
	return all
}

// fires waits for a backup that the schedule has made now, by a server that sets the annotation, or sets none.
func (u *user) fires(annotation string) {
	u.t.Helper()
	began := time.Now()
	for deadline := began.Add(4 * time.Minute); time.Now().Before(deadline); time.Sleep(2 * time.Second) {
		var list struct {
			Items []struct {
				Metadata struct {
					CreationTimestamp time.Time
					Annotations       map[string]string
				}
				Status struct{ Phase string }
			}
		}
		if err := json.Unmarshal([]byte(u.kubectl("get", "backups", "-n", "velero", "-l", "velero.io/schedule-name=often", "-o", "json")), &list); err != nil {
			u.t.Fatal(err)
		}
		for _, b := range list.Items {
			if ours := b.Metadata.Annotations["hozon.dev/run"] != ""; b.Metadata.CreationTimestamp.After(began.Truncate(time.Second)) && b.Status.Phase == "Completed" && ours == (annotation != "") {
				return
			}
		}
	}
	u.t.Errorf("the schedule has made no backup\n%s", u.state())
}

// comesBack loses the namespace and restores it.
func (u *user) comesBack(backup string) {
	u.t.Helper()
	u.kubectl("delete", "namespace", "shop")
	u.contains(u.run("restore", "create", filepath.Base(u.program)+"-"+backup+"-"+strings.ToLower(time.Now().Format("150405")), "--from-backup", backup, "--wait"), "Restore completed with status: Completed")
	u.contains(u.kubectl("get", "configmap", "settings", "-n", "shop", "-o", "jsonpath={.data.colour}"), "blue")
}
