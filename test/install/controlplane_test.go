// SPDX-License-Identifier: Apache-2.0

package install

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"filippo.io/age"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"hozon.dev/hozon/test/daemon"
)

// TestControlPlaneJob has the CronJob of --with-control-plane-backup save, by its own schedule and when it is asked, an etcd that runs on a node, from a pod with our image there; the
// last two archives stay, sealed, and one can be opened.
func TestControlPlaneJob(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a cluster with a node")
	}
	u := newUser(t)
	u.etcd(t)
	key, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	u.run("install", "--image", u.image, "--provider", "aws", "--bucket", "store", "--secret-file", u.credentials, "--backup-location-config", u.config,
		"--use-volume-snapshots=false", "--with-control-plane-backup", "--control-plane-name", "prod", "--control-plane-schedule", "* * * * *", "--control-plane-keep", "2",
		"--recipient", key.Recipient().String(), "--wait", "--timeout", "3m")
	// Without a node of the control plane it waits; with one it runs when its time has come, which the alerts go by.
	u.kubectl("label", "node", "--all", "node-role.kubernetes.io/control-plane=")
	u.kubectl("wait", "-n", "velero", "cronjob/hozon-control-plane", "--for=jsonpath={.status.lastSuccessfulTime}", "--timeout=5m")
	u.kubectl("patch", "-n", "velero", "cronjob/hozon-control-plane", "-p", `{"spec": {"suspend": true}}`)
	for i := range 2 {
		job := fmt.Sprintf("now-%d", i)
		u.kubectl("create", "job", job, "-n", "velero", "--from=cronjob/hozon-control-plane")
		u.kubectl("wait", "-n", "velero", "job/"+job, "--for=condition=complete", "--timeout=5m")
		u.contains(u.kubectl("logs", "-n", "velero", "job/"+job), "verified")
	}
	archives, err := filepath.Glob(u.s3.BucketDir("store") + "/metadata/hozon/clusters/prod/*.age")
	if err != nil || len(archives) != 2 {
		t.Fatalf("%v %v", archives, err)
	}
	identity := filepath.Join(t.TempDir(), "key.txt")
	if err := os.WriteFile(identity, []byte(key.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("AWS_ACCESS_KEY_ID", u.s3.AccessKey)
	t.Setenv("AWS_SECRET_ACCESS_KEY", u.s3.SecretKey)
	store := "s3://store?region=us-east-1&path-style=true&endpoint=" + url.QueryEscape(u.s3.Endpoint)
	u.contains(u.run("cluster", "inspect", filepath.Base(archives[1]), "--store", store, "--identity", identity), "namespaces", "node-1")
	u.run("uninstall", "--force")
	if out := u.kubectl("get", "cronjobs", "-A", "-o", "name"); strings.TrimSpace(out) != "" {
		t.Errorf("uninstall leaves %s", out)
	}
}

// etcd runs one on the node, as systemd would, with a namespace in it.
func (u *user) etcd(t *testing.T) {
	t.Helper()
	kube, err := daemon.Build(t.Context(), "devcluster/build")
	if err != nil {
		t.Fatal(err)
	}
	node := filepath.Base(filepath.Dir(u.cluster.NodeRoot()))
	socket := filepath.Join(t.TempDir(), "etcd.sock")
	script := `mkdir -p /var/lib/etcd; exec -a etcd "$0" --name=node-1 --data-dir=/var/lib/etcd --listen-client-urls=http://127.0.0.1:2379,unix://"$1" --advertise-client-urls=http://127.0.0.1:2379 \
		--listen-peer-urls=http://127.0.0.1:2380 --unsafe-no-fsync`
	run := exec.CommandContext(t.Context(), "nsenter", "--target", node, "--mount", "--pid", "--net", "--", "bash", "-c", script, kube, socket)
	if err := run.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = run.Wait() }) // the node's end is its own
	client, err := clientv3.New(clientv3.Config{Endpoints: []string{"unix://" + socket}, Logger: zap.NewNop(), DialTimeout: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	if _, err := client.Put(ctx, "/registry/namespaces/default", `{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"default","uid":"1"}}`); err != nil {
		t.Fatal(err)
	}
}
