// SPDX-License-Identifier: Apache-2.0

package chart

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"os/exec"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/util/yaml"

	"hozon.dev/hozon/internal/install"
	"hozon.dev/hozon/test/daemon"
)

var resources = install.Resources{CPURequest: "500m", MemRequest: "128Mi", CPULimit: "1", MemLimit: "512Mi"}

// TestChart renders the chart with the real helm.
func TestChart(t *testing.T) {
	if testing.Short() {
		t.Skip("builds helm")
	}
	helm, err := daemon.Build(t.Context(), "tools/build", "tools/helm", "helm.sh/helm/v3/cmd/helm", "helm")
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		values  string
		options install.Options
	}{
		"nothing": {"{}", install.Options{Namespace: "velero", Image: "hozon:dev", SnapshotLocation: true, Server: resources, RBAC: install.ClusterAdmin}},
		"everything": {`{
			"image": "registry.example.com:5000/hozon", "provider": "aws", "bucket": "b", "prefix": "p", "caCert": "pem", "credentials": "[default]\n",
			"backupLocationConfig": {"region": "minio", "s3ForcePathStyle": true}, "snapshotLocationConfig": {"region": "r"},
			"serviceAccountAnnotations": {"a": "b"}, "podAnnotations": {"c": "d"}, "podLabels": {"e": "f"}, "priorityClassName": "high",
			"controlPlaneBackup": {"enabled": true, "name": "prod", "schedule": "0 1 * * *", "keep": 3, "recipients": ["age1a", "age1b"]},
			"nodeAgent": {"enabled": true, "hostRoot": true, "kubeletRootDir": "/k", "configMap": "c", "priorityClassName": "p", "resources": {"limits": {"memory": "1Gi"}}},
			"rbac": "split", "args": ["--restore-only"], "resources": {"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"cpu": "2", "memory": "2Gi"}}}`,
			install.Options{
				Namespace: "second", Image: "registry.example.com:5000/hozon", Provider: "aws", Bucket: "b", Prefix: "p", CACert: []byte("pem"),
				Credentials: []byte("[default]\n"), LocationConfig: map[string]string{"region": "minio", "s3ForcePathStyle": "true"},
				SnapshotLocation: true, SnapshotConfig: map[string]string{"region": "r"}, AccountAnnotations: map[string]string{"a": "b"},
				PodAnnotations: map[string]string{"c": "d"}, PodLabels: map[string]string{"e": "f"}, PriorityClass: "high", RBAC: install.Split,
				NodeAgent: install.NodeAgent{
					Enabled: true, HostRoot: true, KubeletRoot: "/k", ConfigMap: "c", PriorityClass: "p", Resources: install.Resources{MemLimit: "1Gi"},
				},
				ControlPlane: install.ControlPlane{Cluster: "prod", Schedule: "0 1 * * *", Keep: 3, Recipients: []string{"age1a", "age1b"}},
				Args:         []string{"--restore-only"}, Server: install.Resources{CPURequest: "1", MemRequest: "1Gi", CPULimit: "2", MemLimit: "2Gi"},
			}},
		"an account of one's own": {`{"nodeAgent": {"enabled": true, "privileged": true}, "provider": "file", "bucket": "/b", "snapshotLocation": false, "serviceAccountName": "mine", "image": "hozon@sha256:00"}`,
			install.Options{Namespace: "velero", Image: "hozon@sha256:00", Provider: "file", Bucket: "/b", Account: "mine", NodeAgent: install.NodeAgent{Enabled: true, Privileged: true}, Server: resources, RBAC: install.ClusterAdmin}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := render(t, helm, c.options.Namespace, c.values)
			if err != nil {
				t.Fatal(err)
			}
			want, err := c.options.Manifests()
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(byName(t, want), got); diff != "" {
				t.Errorf("install (-) and the chart (+) differ:\n%s", diff)
			}
		})
	}
	for values, text := range map[string]string{`{"provider": "aws"}`: "belong together", `{"controlPlaneBackup": {"enabled": true}}`: "need a location", `{"rbac": "none"}`: "use cluster-admin or split"} {
		if _, err := render(t, helm, "velero", values); err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("%s: %v", values, err)
		}
	}
}

// render returns the objects of the chart, by kind and name. The kinds of velero.io are its crds, and not rendered without being asked for.
func render(t *testing.T, helm, namespace, values string) (map[string]any, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), helm, "template", "velero", "../../deploy/chart", "--namespace", namespace, "--values", "-", "--include-crds", "--kube-version", "1.36")
	cmd.Stdin = strings.NewReader(values)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return nil, errors.New(stderr.String())
	}
	all := map[string]any{}
	for d := yaml.NewYAMLOrJSONDecoder(&stdout, 1<<16); ; {
		var fields map[string]any
		if err := d.Decode(&fields); errors.Is(err, io.EOF) {
			return all, nil
		} else if err != nil {
			return nil, err
		}
		if fields != nil {
			add(t, all, fields)
		}
	}
}

func byName(t *testing.T, manifests []install.Manifest) map[string]any {
	t.Helper()
	all := map[string]any{}
	for _, m := range manifests {
		var fields map[string]any
		if err := json.Unmarshal(m.Body, &fields); err != nil {
			t.Fatal(err)
		}
		add(t, all, fields)
	}
	return all
}

// add leaves out the namespace, which helm makes, and the label of the CRDs, which helm takes as they are in their files.
func add(t *testing.T, all, fields map[string]any) {
	t.Helper()
	meta := fields["metadata"].(map[string]any)
	kind, name := fields["kind"].(string), meta["name"].(string)
	switch kind {
	case "Namespace":
		return
	case "CustomResourceDefinition":
		labels, _ := meta["labels"].(map[string]any)
		maps.DeleteFunc(labels, func(key string, _ any) bool { return key == "component" })
		if len(labels) == 0 {
			delete(meta, "labels")
		}
	}
	if _, twice := all[kind+"/"+name]; twice {
		t.Errorf("%s/%s is there twice", kind, name)
	}
	// YAML and JSON read numbers in different ways.
	data, err := json.Marshal(fields)
	if err != nil {
		t.Fatal(err)
	}
	var plain any
	if err := json.Unmarshal(data, &plain); err != nil {
		t.Fatal(err)
	}
	all[kind+"/"+name] = plain
}
