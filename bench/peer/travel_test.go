// SPDX-License-Identifier: Apache-2.0

package peer

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"hozon.dev/hozon/internal/cluster/clustertest"
	"hozon.dev/hozon/test/s3server"
)

// TestPeerServes has our command line drive the server of the real Velero, and backups travel in both directions: what Velero wrote is
// restored by us, what we wrote is restored by Velero, and both equal what was saved. With HOZON_PEER (`make peer`) only: building Velero
// takes minutes.
func TestPeerServes(t *testing.T) {
	if os.Getenv("HOZON_PEER") == "" {
		t.Skip("needs the real velero: make peer")
	}
	u := newUser(t)
	u.startVelero()
	u.kubectl("apply", "-f", "testdata/shop.yaml")
	saved := u.objects("shop")

	// Ours drives theirs.
	u.contains(u.run("version"), "Server:\n\tVersion: "+Version)
	u.contains(u.run("plugin", "get"), "velero.io/aws", "ObjectStore")
	u.contains(u.run("backup-location", "get"), "default", "aws", "store", "Available", "ReadWrite", "true")
	u.contains(u.run("backup", "create", "theirs", "--include-namespaces", "shop", "--wait"),
		`Backup request "theirs" submitted successfully.`, "Backup completed with status: Completed")
	u.contains(u.run("backup", "get"), "theirs", "Completed")
	u.contains(u.run("backup", "describe", "theirs", "--details"), "Completed", "Included:  shop", "- shop/settings", "Items backed up:")
	u.contains(u.run("backup", "logs", "theirs"), "level=info")
	archive := filepath.Join(t.TempDir(), "theirs.tar.gz")
	u.run("backup", "download", "theirs", "-o", archive)
	u.run("schedule", "create", "often", "--schedule", "@every 24h", "--include-namespaces", "shop", "--paused")
	u.run("schedule", "unpause", "often", "--skip-immediately")
	u.contains(u.run("schedule", "get"), "often", "@every 24h", "false")
	u.contains(u.run("backup", "create", "now", "--from-schedule", "often", "--wait"), "Completed")

	// What Velero wrote, we restore.
	u.run("restore", "create", "r1", "--store", u.store, "--from-backup", "theirs", "--namespace-mappings", "shop:shop-by-hozon")
	u.equal(saved, "shop-by-hozon")
	u.contains(u.run("backup", "verify", "theirs", "--store", u.store), "is intact")

	// What we wrote, Velero restores.
	u.run("backup", "create", "ours", "--store", u.store, "--include-namespaces", "shop")
	record, err := os.ReadFile(filepath.Join(u.bucketDir, "backups", "ours", "velero-backup.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := u.server.Announce(t.Context(), record); err != nil {
		t.Fatal(err)
	}
	u.contains(u.run("backup", "describe", "ours", "--details"), "Completed", "- shop/settings")
	u.contains(u.run("restore", "create", "r2", "--from-backup", "ours", "--namespace-mappings", "shop:shop-by-velero", "--wait"),
		"Restore completed with status: Completed")
	u.equal(saved, "shop-by-velero")
	u.contains(u.run("restore", "describe", "r2", "--details"), "shop-by-velero/settings(created)")
	u.contains(u.run("restore", "logs", "r2"), "level=info")
	u.contains(u.run("restore", "get"), "r2", "ours", "Completed")

	// Deleting takes the bytes too.
	u.contains(u.run("backup", "delete", "ours", "theirs", "--confirm"), `Request to delete backup "ours" submitted successfully.`)
	u.gone(filepath.Join(u.bucketDir, "backups", "ours"))
	u.gone(filepath.Join(u.bucketDir, "backups", "theirs"))
	u.run("schedule", "delete", "often", "--confirm")
}

// user works with our command line on a cluster in which the real Velero runs.
type user struct {
	t         *testing.T
	cluster   *clustertest.Cluster
	velero    Velero
	bucket    Bucket
	server    *Server
	program   string
	store     string // URL of the bucket
	bucketDir string
}

func newUser(t *testing.T) *user {
	t.Helper()
	u := &user{t: t, cluster: clustertest.Start(t, clustertest.Options{Controllers: true, UnsafeNoFsync: true}), program: filepath.Join(t.TempDir(), "hozon")}
	build := exec.CommandContext(t.Context(), "go", "build", "-C", "../..", "-o", u.program, "./cmd/hozon")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	var err error
	if u.velero, err = Build(t.Context()); err != nil {
		t.Fatal(err)
	}
	s3 := s3server.Start(t)
	if err := s3.CreateBucket("store"); err != nil {
		t.Fatal(err)
	}
	u.bucketDir, u.store = s3.BucketDir("store"), "s3://store?conditional-put=true&region="+s3server.Region+"&endpoint="+s3.Endpoint
	if err := u.velero.Install(t.Context(), u.cluster); err != nil {
		t.Fatal(err)
	}
	u.bucket = Bucket{Name: "store", Endpoint: s3.Endpoint, Region: "us-east-1", AccessKey: s3.AccessKey, SecretKey: s3.SecretKey}
	t.Setenv("AWS_ACCESS_KEY_ID", s3.AccessKey)
	t.Setenv("AWS_SECRET_ACCESS_KEY", s3.SecretKey)
	t.Cleanup(func() {
		if u.server == nil {
			return
		}
		if t.Failed() {
			t.Log(u.server.Complaints())
		}
		u.server.Stop()
	})
	return u
}

// startVelero runs Velero's server in the place of the one that runs.
func (u *user) startVelero(flags ...string) {
	u.t.Helper()
	u.start(func(c Config) (*Server, error) { return u.velero.Start(u.t.Context(), u.cluster, c) }, flags)
}

// startHozon runs ours.
func (u *user) startHozon(flags ...string) {
	u.t.Helper()
	u.start(func(c Config) (*Server, error) { return StartHozon(u.t.Context(), u.program, u.cluster, c) }, flags)
}

func (u *user) start(start func(Config) (*Server, error), flags []string) {
	u.t.Helper()
	if u.server != nil {
		u.server.Stop()
	}
	s, err := start(Config{Dir: u.t.TempDir(), Temp: u.t.TempDir(), Bucket: u.bucket, Flags: flags})
	if err != nil {
		u.t.Fatal(err)
	}
	u.server = s
}

// run runs hozon, which must succeed, and returns what it printed.
func (u *user) run(args ...string) string {
	u.t.Helper()
	cmd := exec.CommandContext(u.t.Context(), u.program, args...)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+u.cluster.Kubeconfig(), "HOME="+u.t.TempDir())
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		u.t.Fatalf("hozon %s: %v\n%s%s", strings.Join(args, " "), err, stdout.String(), stderr.String())
	}
	return stdout.String()
}

func (u *user) kubectl(args ...string) string {
	u.t.Helper()
	out, err := u.cluster.Kubectl(u.t.Context(), args...).Output()
	if err != nil {
		u.t.Fatalf("kubectl %s: %v", strings.Join(args, " "), err)
	}
	return string(out)
}

func (u *user) contains(text string, wants ...string) {
	u.t.Helper()
	for _, want := range wants {
		if !strings.Contains(text, want) {
			u.t.Errorf("%q is not in:\n%s", want, text)
		}
	}
}

// kinds are those of testdata/shop.yaml.
const kinds = "configmaps,secrets,serviceaccounts,services,deployments.apps,cronjobs.batch,roles,rolebindings,ingresses"

// objects are the objects of a namespace by kind and name, without what belongs to one moment or one namespace.
func (u *user) objects(namespace string) map[string]any {
	u.t.Helper()
	var list struct{ Items []map[string]any }
	if err := json.Unmarshal([]byte(u.kubectl("get", kinds, "-n", namespace, "-o", "json")), &list); err != nil {
		u.t.Fatal(err)
	}
	all := map[string]any{}
	for _, item := range list.Items {
		meta := item["metadata"].(map[string]any)
		kept := map[string]any{"annotations": meta["annotations"], "finalizers": meta["finalizers"]}
		labels, _ := meta["labels"].(map[string]any)
		for _, added := range []string{"velero.io/backup-name", "velero.io/restore-name"} {
			delete(labels, added)
		}
		if len(labels) > 0 {
			kept["labels"] = labels
		}
		item["metadata"] = kept
		delete(item, "status")
		if spec, ok := item["spec"].(map[string]any); ok && item["kind"] == "Service" {
			delete(spec, "clusterIP")
			delete(spec, "clusterIPs")
		}
		all[item["kind"].(string)+"/"+meta["name"].(string)] = item
	}
	return all
}

// equal wants the objects of a namespace to be those that were saved.
func (u *user) equal(saved map[string]any, namespace string) {
	u.t.Helper()
	if diff := cmp.Diff(saved, u.objects(namespace)); diff != "" {
		u.t.Errorf("namespace %s differs from what was saved (-saved +restored):\n%s", namespace, diff)
	}
}

func (u *user) gone(dir string) {
	u.t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(200 * time.Millisecond) {
		found := 0
		_ = filepath.WalkDir(dir, func(_ string, d os.DirEntry, err error) error { // a folder that is gone has no files
			if err == nil && !d.IsDir() {
				found++
			}
			return nil
		})
		if found == 0 {
			return
		}
		if time.Now().After(deadline) {
			u.t.Fatalf("%d files are left in %s", found, dir)
		}
	}
}
