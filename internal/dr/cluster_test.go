// SPDX-License-Identifier: Apache-2.0

package dr

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"hozon.dev/hozon/internal/cluster"
	"hozon.dev/hozon/internal/cluster/clustertest"
	"hozon.dev/hozon/internal/collect"
	"hozon.dev/hozon/internal/dr/decode"
)

const encryption = `apiVersion: apiserver.config.k8s.io/v1
kind: EncryptionConfiguration
resources:
- resources: [secrets, gears.factory.example.com]
  providers:
  - aesgcm: {keys: [{name: new, secret: "bDwmMdjoNqiQAJaR7hnMIngnu8Sk/OYdjjhQLaUIkzg="}, {name: old, secret: "XOIJaVOa16Tsae0DEjPD4BgG0XCSksssoEzE+J+YtB0="}]}
- resources: [configmaps]
  providers:
  - aescbc: {keys: [{name: new, secret: "XOIJaVOa16Tsae0DEjPD4BgG0XCSksssoEzE+J+YtB0="}]}
  - identity: {}
`

// TestRealClusters fills clusters with objects of many kinds, deletes some, takes etcd's own snapshot, and compares every object that comes out with
// what the API server lists.
func TestRealClusters(t *testing.T) {
	if testing.Short() {
		t.Skip("starts control planes")
	}
	config := filepath.Join(t.TempDir(), "encryption.yaml")
	if err := os.WriteFile(config, []byte(encryption), 0o600); err != nil {
		t.Fatal(err)
	}
	keys, err := decode.ReadKeyring([]byte(encryption))
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		flags   []string
		options Options
	}{
		"protobuf, encrypted":       {[]string{"--encryption-provider-config=" + config}, Options{Keys: keys}},
		"JSON, with another prefix": {[]string{"--storage-media-type=application/json", "--etcd-prefix=/kubernetes.io"}, Options{}},
	} {
		t.Run(name, func(t *testing.T) {
			peer := clustertest.Start(t, clustertest.Options{UnsafeNoFsync: true, APIServerFlags: c.flags})
			fill(t, peer)
			want := listed(t, peer)
			snapshot := save(t, peer)
			image, err := Open(t.Context(), bytes.NewReader(snapshot), int64(len(snapshot)), c.options)
			if err != nil {
				t.Fatal(err)
			}
			got, problems := readAll(t, image)
			if len(problems) > 0 {
				t.Errorf("problems: %s", strings.Join(problems, "\n"))
			}
			compare(t, got, want)
		})
	}
}

// compare wants every object on both sides to be the same; leases are renewed all the time.
func compare(t *testing.T, got, want map[string]collect.Item) {
	t.Helper()
	if len(want) < 225 {
		t.Errorf("only %d objects were listed", len(want))
	}
	for ref, w := range want {
		g, ok := got[ref]
		if !ok {
			t.Errorf("%s is missing", ref)
			continue
		}
		if strings.HasPrefix(ref, "leases.") {
			continue
		}
		if canonical(t, g.Body, false) != canonical(t, w.Body, false) {
			t.Errorf("%s\nfrom etcd: %s\nAPI:       %s", ref, g.Body, w.Body)
		}
	}
	for ref := range got {
		if _, ok := want[ref]; !ok {
			t.Errorf("%s should not be there", ref)
		}
	}
}

func run(t *testing.T, c *exec.Cmd) {
	t.Helper()
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("%v: %v\n%s", c.Args, err, out)
	}
}

// fill makes objects of many kinds, changes them, and deletes some.
func fill(t *testing.T, peer *clustertest.Cluster) {
	t.Helper()
	ctx := t.Context()
	run(t, peer.Kubectl(ctx, "apply", "-f", "testdata/definitions.yaml"))
	run(t, peer.Kubectl(ctx, "wait", "--for=condition=Established", "crd/gears.factory.example.com", "--timeout=60s"))
	run(t, peer.Kubectl(ctx, "apply", "-f", "testdata/objects.yaml"))
	for round := range 3 {
		run(t, peer.Kubectl(ctx, "patch", "configmap", "settings", "-n", "shop", "-p", fmt.Sprintf(`{"data":{"round":"%d"}}`, round)))
	}
	run(t, peer.Kubectl(ctx, "delete", "configmap/gone", "secret/gone", "gear/gone", "-n", "shop"))
	run(t, peer.Kubectl(ctx, "delete", "secret/back", "-n", "shop"))
	run(t, peer.Kubectl(ctx, "create", "secret", "generic", "back", "-n", "shop", "--from-literal=second=life"))
}

// listed is what the API server serves.
func listed(t *testing.T, peer *clustertest.Cluster) map[string]collect.Item {
	t.Helper()
	client, err := cluster.Open(cluster.Options{Kubeconfig: peer.Kubeconfig()})
	if err != nil {
		t.Fatal(err)
	}
	types, _, err := client.Types(t.Context(), false)
	if err != nil {
		t.Fatal(err)
	}
	k := &kept{items: map[string]collect.Item{}}
	found, err := collect.Run(t.Context(), client, collect.Request{Types: types}, k)
	if err != nil || len(found.Problems) > 0 {
		t.Fatal(err, found.Problems)
	}
	for ref, it := range k.items {
		if it.Type.Group == "events.k8s.io" { // the same objects as the core group's events, which are what etcd has
			delete(k.items, ref)
		}
	}
	return k.items
}

// save has etcd write a snapshot.
func save(t *testing.T, peer *clustertest.Cluster) []byte {
	t.Helper()
	client, err := clientv3.New(clientv3.Config{Endpoints: []string{"unix://" + filepath.Join(peer.Dir, "etcd.sock")}, DialTimeout: time.Minute, Logger: zap.NewNop()})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	stream, err := client.Snapshot(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	b, err := io.ReadAll(stream)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
