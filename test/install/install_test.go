// SPDX-License-Identifier: Apache-2.0

package install

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"hozon.dev/hozon/internal/cluster/clustertest"
	"hozon.dev/hozon/test/s3server"
)

// imageEnv names the tar that `make image` makes (as hozon:dev), to be installed instead of an image that the test makes itself.
const imageEnv = "HOZON_IMAGE"

// TestInstall goes once through the life of an installation.
func TestInstall(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a cluster with a node")
	}
	u := newUser(t)
	u.run("install", "--image", u.image, "--provider", "aws", "--plugins", "velero/velero-plugin-for-aws:v1.14.3", "--bucket", "store",
		"--secret-file", u.credentials, "--backup-location-config", u.config, "--use-volume-snapshots=false", "--wait", "--timeout", "3m")
	u.kubectl("wait", "-n", "velero", "backupstoragelocation/default", "--for=jsonpath={.status.phase}=Available", "--timeout=60s")
	u.contains(u.run("version"), "Server:\n\tVersion: hozon v")

	u.kubectl("create", "namespace", "shop")
	u.kubectl("create", "configmap", "settings", "-n", "shop", "--from-literal=colour=blue")
	out := u.run("backup", "create", "monday", "--include-namespaces", "shop", "--wait")
	u.contains(out, `Backup request "monday" submitted successfully.`, "Backup completed with status: Completed")
	u.contains(u.run("backup", "get"), "monday", "Completed")
	u.contains(u.run("backup", "describe", "monday", "--details"), "Phase:", "Completed", "- shop/settings")
	u.contains(u.run("backup", "logs", "monday"), "level=info")
	archive := filepath.Join(t.TempDir(), "monday.tar.gz")
	u.contains(u.run("backup", "download", "monday", "-o", archive), "has been successfully downloaded")
	if listing, err := exec.CommandContext(t.Context(), "tar", "-tzf", archive).Output(); err != nil || !strings.Contains(string(listing), "resources/configmaps/namespaces/shop/settings.json") {
		t.Errorf("the archive that was downloaded: %v\n%s", err, listing)
	}

	u.kubectl("delete", "namespace", "shop")
	u.contains(u.run("restore", "create", "back", "--from-backup", "monday", "--wait"), "Restore completed with status: Completed")
	u.contains(u.kubectl("get", "configmap", "settings", "-n", "shop", "-o", "jsonpath={.data.colour}"), "blue")
	u.contains(u.run("restore", "describe", "back", "--details"), "shop/settings(created)")

	u.run("schedule", "create", "often", "--schedule", "@every 1h", "--include-namespaces", "shop")
	u.contains(u.run("backup", "create", "now", "--from-schedule", "often", "--wait"), "Backup completed with status: Completed")

	// The records of the cluster go, what is in the bucket stays and is found by the next installation.
	u.run("uninstall", "--force")
	u.run("install", "--image", u.image, "--provider", "aws", "--bucket", "store",
		"--secret-file", u.credentials, "--backup-location-config", u.config, "--use-volume-snapshots=false", "--rbac", "split", "--wait")
	u.kubectl("wait", "-n", "velero", "--for=create", "backup/monday", "--timeout=90s")
	u.contains(u.run("backup", "describe", "monday"), "Completed")
	u.contains(u.run("backup", "create", "split", "--include-namespaces", "shop", "--wait"), "Backup completed with status: Completed")
	// The bucket is out of this user's reach: the server hands out the files.
	u.kubectl("patch", "backupstoragelocation/default", "-n", "velero", "--type=merge", "-p", `{"spec":{"config":{"publicUrl":"http://127.0.0.1:1"}}}`)
	u.contains(u.run("backup", "logs", "split"), "Backed up a total of")
	u.contains(u.run("backup", "describe", "split", "--details"), "- shop/settings")
	archive = filepath.Join(t.TempDir(), "split.tar.gz")
	u.contains(u.run("backup", "download", "split", "-o", archive), "has been successfully downloaded")
	if err := exec.CommandContext(t.Context(), "tar", "-tzf", archive).Run(); err != nil {
		t.Errorf("the archive that the server handed out: %v", err)
	}
	bundle := filepath.Join(t.TempDir(), "bundle.tar.gz")
	u.run("debug", "--backup", "split", "--output", bundle)
	if log, err := exec.CommandContext(t.Context(), "tar", "-xzOf", bundle, "--wildcards", "*/velero.log").Output(); err != nil || !strings.Contains(string(log), "backup ended") {
		t.Errorf("the server's log in the bundle: %v\n%s", err, log)
	}

	u.kubectl("delete", "namespace", "shop")
	u.contains(u.run("restore", "create", "again", "--from-backup", "now", "--wait"), "Restore completed with status: Completed")
}

// user works with the cluster from outside of it.
type user struct {
	t           *testing.T
	cluster     *clustertest.Cluster
	program     string
	image       string
	credentials string
	config      string // of the location
	s3          *s3server.Server
}

func newUser(t *testing.T) *user {
	t.Helper()
	c := clustertest.Start(t, clustertest.Options{Node: true, UnsafeNoFsync: true})
	program := filepath.Join(t.TempDir(), "hozon")
	build := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-o", program, "hozon.dev/hozon/cmd/hozon")
	build.Env = append(os.Environ(), "CGO_ENABLED=0") // nothing but the program is in the image
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	image := load(t, c, program)
	s3 := s3server.Start(t)
	if err := s3.CreateBucket("store"); err != nil {
		t.Fatal(err)
	}
	outside := s3.Endpoint
	inside, err := c.Reach(t.Context(), strings.TrimPrefix(outside, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	credentials := filepath.Join(t.TempDir(), "credentials")
	text := "[default]\naws_access_key_id=" + s3.AccessKey + "\naws_secret_access_key=" + s3.SecretKey + "\n"
	if err := os.WriteFile(credentials, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return &user{s3: s3, t: t, cluster: c, program: program, image: image, credentials: credentials,
		config: "region=us-east-1,s3ForcePathStyle=true,s3Url=http://" + inside + ",publicUrl=" + outside}
}

// load gives the node an image and returns its name.
func load(t *testing.T, c *clustertest.Cluster, program string) string {
	t.Helper()
	file := os.Getenv(imageEnv)
	if file == "" {
		image := clustertest.Image{
			Name: "hozon.test/hozon:1", User: "65532:65532", Entrypoint: []string{"/hozon"},
			Files: []clustertest.File{{Path: "hozon", From: program}, {Path: "velero-restore-helper", LinkTo: "hozon"}},
		}
		if err := c.LoadImage(t.Context(), image); err != nil {
			t.Fatal(err)
		}
		return image.Name
	}
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := c.LoadImageTar(t.Context(), f); err != nil {
		t.Fatal(err)
	}
	return "hozon:dev"
}

// run runs hozon, which must succeed, and returns what it printed.
func (u *user) run(args ...string) string {
	u.t.Helper()
	cmd := exec.CommandContext(u.t.Context(), u.program, args...)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+u.cluster.Kubeconfig(), "HOME="+u.t.TempDir())
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		u.t.Fatalf("hozon %s: %v\n%s%s\n%s", strings.Join(args, " "), err, stdout.String(), stderr.String(), u.state())
	}
	return stdout.String()
}

func (u *user) kubectl(args ...string) string {
	u.t.Helper()
	out, err := u.cluster.Kubectl(u.t.Context(), args...).CombinedOutput()
	if err != nil {
		u.t.Fatalf("kubectl %s: %v\n%s\n%s", strings.Join(args, " "), err, out, u.state())
	}
	return string(out)
}

// state is what the server and its pods say of themselves.
func (u *user) state() string {
	var all []string
	for _, args := range [][]string{
		{"-n", "velero", "get", "pods", "-o", "wide"}, {"-n", "velero", "describe", "pods"},
		{"-n", "velero", "logs", "deployment/velero", "--tail=40"}, {"-n", "velero", "logs", "daemonset/node-agent", "--tail=40"}, {"-n", "velero", "get", "podvolumebackups,podvolumerestores", "-o", "yaml"}, {"-n", "velero", "get", "backupstoragelocations", "-o", "yaml"},
	} {
		out, err := u.cluster.Kubectl(u.t.Context(), args...).CombinedOutput()
		all = append(all, string(out))
		if err != nil {
			all = append(all, err.Error())
		}
	}
	return strings.Join(all, "\n")
}

func (u *user) contains(text string, wants ...string) {
	u.t.Helper()
	for _, want := range wants {
		if !strings.Contains(text, want) {
			u.t.Errorf("%q is not in:\n%s", want, text)
		}
	}
}
