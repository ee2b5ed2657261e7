// SPDX-License-Identifier: Apache-2.0

// Package peer runs real Velero beside a cluster, so that Hozon can be measured against it.
//
// Its nouns: Velero is the pair of binaries (the program and its plugin for S3, as released), a Server is one run of
// Velero's server outside of the cluster that it serves, a Run is what one backup or restore by it used.
//
// Velero is run as its own users have it: jobs are objects that are created through the API, and a job has ended when the
// API says so, which is watched and not polled. Nothing of Velero is changed.
//
// Two servers cannot run at once on one machine: Velero's library takes port 8080 of it, whatever the flags.
// Linux only: what processes use is read from /proc.
package peer

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"hozon.dev/hozon/internal/cluster/clustertest"
	"hozon.dev/hozon/test/daemon"
)

// Version is that of Velero in its module beside this package.
const Version = "v1.18.3"

// Namespace is the one that Velero's objects are in.
const Namespace = "velero"

// Velero is the program and the folder with its plugin.
type Velero struct {
	Binary    string
	PluginDir string
}

// Build finds or makes the binaries; the first time takes minutes.
func Build(ctx context.Context) (Velero, error) {
	const velero = "github.com/vmware-tanzu/velero"
	binary, err := daemon.Build(ctx, "tools/build", "bench/velero", velero+"/cmd/velero", "velero", "-X "+velero+"/pkg/buildinfo.Version="+Version)
	if err != nil {
		return Velero{}, err
	}
	const plugin = "velero-plugin-for-aws"
	path, err := daemon.Build(ctx, "tools/build", "bench/velero-aws", "github.com/vmware-tanzu/"+plugin+"/"+plugin, plugin)
	return Velero{Binary: binary, PluginDir: filepath.Dir(path)}, err
}

// Bucket is where backups are kept.
type Bucket struct {
	Name, Endpoint, Region string
	AccessKey, SecretKey   string
}

// Install makes in the cluster what Velero's server wants to find there.
func (v Velero) Install(ctx context.Context, c *clustertest.Cluster) error {
	definitions := exec.CommandContext(ctx, v.Binary, "install", "--crds-only", "--dry-run", "-o", "json")
	definitions.Env = append(os.Environ(), "KUBECONFIG="+c.Kubeconfig())
	var text, talk bytes.Buffer
	definitions.Stdout, definitions.Stderr = &text, &talk
	if err := definitions.Run(); err != nil {
		return fmt.Errorf("print Velero's definitions: %w\n%s", err, talk.Bytes())
	}
	create := c.Kubectl(ctx, "create", "-f", "-")
	create.Stdin = &text
	if out, err := create.CombinedOutput(); err != nil {
		return fmt.Errorf("create Velero's definitions: %w\n%s", err, out)
	}
	wait := c.Kubectl(ctx, "wait", "--for=condition=Established", "--timeout=60s", "crd", "-l", "component=velero")
	if out, err := wait.CombinedOutput(); err != nil {
		return fmt.Errorf("await Velero's definitions: %w\n%s", err, out)
	}
	if err := post(ctx, c, "/api/v1/namespaces", object{"apiVersion": "v1", "kind": "Namespace", "metadata": object{"name": Namespace}}); err != nil {
		return err
	}
	// Restores look up the image of the pods that would copy volumes.
	return post(ctx, c, "/apis/apps/v1/namespaces/"+Namespace+"/deployments", deployment())
}

type object = map[string]any

func deployment() object {
	labels := object{"component": "velero"}
	container := object{"name": "velero", "image": "velero/velero:" + Version}
	return object{
		"apiVersion": "apps/v1", "kind": "Deployment", "metadata": object{"name": "velero"},
		"spec": object{
			"selector": object{"matchLabels": labels}, "replicas": 0,
			"template": object{"metadata": object{"labels": labels}, "spec": object{"containers": []any{container}}},
		},
	}
}

// locationName is what Velero takes when a backup names none.
const locationName = "default"

func location(b Bucket) object {
	return object{
		"apiVersion": "velero.io/v1", "kind": "BackupStorageLocation", "metadata": object{"name": locationName},
		"spec": object{
			"provider": "aws", "default": true, "objectStorage": object{"bucket": b.Name},
			// The checksum that the plugin asks for by default is one that other servers than Amazon's may lack.
			"config": object{"region": b.Region, "s3ForcePathStyle": "true", "s3Url": b.Endpoint, "checksumAlgorithm": ""},
		},
	}
}

// locate makes the location anew, so that what it says of itself is not what an earlier server found.
func locate(ctx context.Context, c *clustertest.Cluster, b Bucket) error {
	if _, err := request(ctx, c, http.MethodDelete, path("backupstoragelocations")+"/"+locationName, nil, http.StatusOK, http.StatusNotFound); err != nil {
		return err
	}
	return post(ctx, c, path("backupstoragelocations"), location(b))
}

// path is where the API has Velero's objects of a kind.
func path(resource string) string {
	return "/apis/velero.io/v1/namespaces/" + Namespace + "/" + resource
}

func post(ctx context.Context, c *clustertest.Cluster, path string, o object) error {
	body, err := json.Marshal(o)
	if err != nil {
		return err
	}
	_, err = request(ctx, c, http.MethodPost, path, body, http.StatusCreated)
	return err
}

func request(ctx context.Context, c *clustertest.Cluster, method, path string, body []byte, wanted ...int) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, c.URL+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := c.Client().Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", method, path, err)
	}
	if !slices.Contains(wanted, resp.StatusCode) {
		return nil, fmt.Errorf("%s %s: %s: %s", method, path, resp.Status, answer)
	}
	return answer, nil
}

// status is what this package reads of Velero's objects.
type status struct {
	Phase            string   `json:"phase"`
	Message          string   `json:"message"`
	ValidationErrors []string `json:"validationErrors"`
	Errors           int      `json:"errors"`
	FailureReason    string   `json:"failureReason"`
	Progress         struct {
		ItemsBackedUp int `json:"itemsBackedUp"`
		ItemsRestored int `json:"itemsRestored"`
	} `json:"progress"`
}

func (s status) String() string {
	return strings.TrimSpace(fmt.Sprintf("%s %s %s %s, %d errors", s.Phase, s.Message, s.FailureReason, strings.Join(s.ValidationErrors, "; "), s.Errors))
}

// watch reads the changes of one object until it is as wanted. opened is closed when the watch stands.
func watch(ctx context.Context, c *clustertest.Cluster, resource, name string, opened chan<- struct{}, wanted func(status) bool) (status, error) {
	where := c.URL + path(resource) + "?watch=true&fieldSelector=metadata.name%3D" + name
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, where, nil)
	if err != nil {
		return status{}, err
	}
	resp, err := c.Client().Do(req)
	if err != nil {
		return status{}, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return status{}, fmt.Errorf("watch %s %s: %s", resource, name, resp.Status)
	}
	if opened != nil {
		close(opened)
	}
	d := json.NewDecoder(resp.Body)
	for {
		var event struct {
			Object struct {
				Status status `json:"status"`
			} `json:"object"`
		}
		if err := d.Decode(&event); err != nil {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return status{}, fmt.Errorf("watch %s %s: %w", resource, name, err)
		}
		if wanted(event.Object.Status) {
			return event.Object.Status, nil
		}
	}
}
