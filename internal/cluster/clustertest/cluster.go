// SPDX-License-Identifier: Apache-2.0

// Package clustertest runs real Kubernetes clusters for tests, the demo, the
// benchmark and `make dev`: etcd and kube-apiserver, and on request
// kube-controller-manager and kube-scheduler, as child processes on 127.0.0.1,
// and a node that runs pods.
//
// Most test packages share one: TestMain calls Main, a test calls Shared and
// works in a Namespace of its own. A test that needs an empty cluster,
// controllers, or to break the API server calls Start. Programs call Launch.
//
// Any number of clusters runs side by side. A cluster needs a folder and one
// port, which stays its own while the API server is down. When Close returns,
// its processes and its folder are gone; when the parent is killed the
// processes die with it, and a later Start removes the folder.
//
// Without a node, pods are created and scheduled nowhere. Without controllers
// nothing reacts to objects either; above all a deleted namespace stays
// Terminating. The binaries come from devcluster/build and tools/node/install.
//
// A node is containerd and a kubelet in namespaces of the kernel, so that
// clusters with nodes run side by side too, and nothing of one outlives its
// cluster. Logs, exec and the pods' API server work; so do hostPath volumes,
// whose paths are this machine's (but for /run, /var/lib, /var/log and /proc).
// There is no registry, no DNS, no kube-proxy (but for the API server, Services
// lead nowhere), and no way out of the node's network; see LoadImage and Reach.
package clustertest

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"

	"hozon.dev/hozon/test/daemon"
)

// Version is what the API server says it is.
const Version = "v1.36.3"

// Options say what a cluster has; the zero value is etcd and kube-apiserver,
// durable, without the ServiceAccount admission plugin (nobody would make the
// service accounts that pods need).
type Options struct {
	Controllers    bool     // also kube-controller-manager and kube-scheduler
	Node           bool     // also a node, and what Controllers means; see CheckNode
	UnsafeNoFsync  bool     // etcd does not wait for the disk: faster, and fine if the data may be lost with the machine
	APIServerFlags []string // added at the end of kube-apiserver's, so that they win
}

// A Cluster is a running control plane. Its methods that stop and start
// things must not be called at the same time as each other.
type Cluster struct {
	URL string // https://127.0.0.1:port
	Dir string // holds everything of the cluster, logs included; removed by Close

	opts    Options
	binary  string
	port    *daemon.Port
	lock    *os.File
	token   string
	client  *http.Client
	node    *node // nil if it has none
	closing sync.Once

	mu        sync.Mutex // guards processes, and what the node forwards
	processes map[string]*daemon.Process
}

// startTimeout is far above the 3 to 5 seconds that a start takes, for a
// machine that is busy with other things.
const startTimeout = 2 * time.Minute

// Launch starts a cluster in the folder dir, which must be empty or not exist,
// and returns when it is ready to be used. ctx bounds the start (including a
// first build, which takes minutes), not the life, of the cluster.
func Launch(ctx context.Context, dir string, opts Options) (*Cluster, error) {
	opts.Controllers = opts.Controllers || opts.Node
	binary, programs, err := prepare(ctx, opts)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	c := &Cluster{opts: opts, binary: binary, processes: map[string]*daemon.Process{}}
	if opts.Node {
		c.node = &node{programs: programs, cgroup: cgroupName()}
	}
	if err := c.occupy(dir); err != nil {
		return nil, fmt.Errorf("launch cluster: %w", err)
	}
	if err := c.launch(ctx); err != nil {
		c.Close()
		return nil, fmt.Errorf("launch cluster: %w", err)
	}
	return c, nil
}

// Prepare builds and installs what a cluster with these options needs, as
// Launch would; what there is to say about it goes to standard error.
func Prepare(ctx context.Context, opts Options) error {
	_, _, err := prepare(ctx, opts)
	return err
}

func prepare(ctx context.Context, opts Options) (binary string, node map[string]string, err error) {
	if opts.Node {
		if node, err = nodePrograms(ctx); err != nil {
			return "", nil, err
		}
	}
	binary, err = daemon.Build(ctx, "devcluster/build")
	return binary, node, err
}

// launch brings the components up in the order of their dependence. etcd is
// not awaited: the API server does that itself.
func (c *Cluster) launch(ctx context.Context) error {
	if err := c.writeFiles(); err != nil {
		return err
	}
	if c.node != nil {
		if err := c.prepareNode(); err != nil {
			return err
		}
	}
	if err := c.run("etcd", c.etcdFlags()); err != nil {
		return err
	}
	if err := c.StartAPIServer(ctx); err != nil {
		return err
	}
	if !c.opts.Controllers {
		return c.await(ctx, "/api/v1/namespaces/default")
	}
	if err := c.run("kube-controller-manager", c.controllerManagerFlags()); err != nil {
		return err
	}
	if err := c.run("kube-scheduler", c.schedulerFlags()); err != nil {
		return err
	}
	// What a new pod in a new cluster needs first.
	if err := c.await(ctx, "/api/v1/namespaces/default/serviceaccounts/default"); err != nil {
		return err
	}
	if err := c.await(ctx, "/api/v1/namespaces/default/configmaps/kube-root-ca.crt"); err != nil {
		return err
	}
	if c.node != nil {
		return c.startNode(ctx)
	}
	return nil
}

// occupy makes dir this cluster's own.
func (c *Cluster) occupy(dir string) error {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	if len(entries) > 0 {
		return fmt.Errorf("folder %s is not empty", dir)
	}
	if c.lock, err = lockDir(dir); err != nil {
		return err
	}
	c.Dir = dir
	return nil
}

// run starts a component of the multi-call binary.
func (c *Cluster) run(component string, flags []string) error {
	p, err := daemon.Start(daemon.Command{
		Name: component,
		Path: c.binary,
		Args: append([]string{component}, flags...),
		Dir:  c.Dir,
	})
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.processes[component] = p
	return nil
}

// Kubeconfig returns the path of a kubeconfig (mode 0600) whose user is in
// system:masters.
func (c *Cluster) Kubeconfig() string { return filepath.Join(c.Dir, "kubeconfig") }

// Client returns an HTTP client that is logged in as the kubeconfig's user.
func (c *Cluster) Client() *http.Client { return c.client }

// KubectlPath returns the path of a kubectl of the cluster's version.
func (c *Cluster) KubectlPath() string { return filepath.Join(c.Dir, "bin", "kubectl") }

// Kubectl returns the command `kubectl args…` for this cluster, to be run by
// the caller.
func (c *Cluster) Kubectl(ctx context.Context, args ...string) *exec.Cmd {
	// The discovery cache must not be shared: another cluster may have had
	// the same port.
	own := []string{"--kubeconfig", c.Kubeconfig(), "--cache-dir", filepath.Join(c.Dir, "kubectl-cache")}
	return exec.CommandContext(ctx, c.KubectlPath(), append(own, args...)...)
}

// Close kills the processes, removes the folder and gives the port back. Only
// the first call does something.
func (c *Cluster) Close() error {
	var err error
	c.closing.Do(func() {
		for _, p := range c.all() {
			p.Kill()
		}
		if c.client != nil {
			c.client.CloseIdleConnections()
		}
		if c.port != nil {
			c.port.Close()
		}
		err = errors.Join(c.closeNode(), os.RemoveAll(c.Dir))
		c.lock.Close()
	})
	if err != nil {
		return fmt.Errorf("close cluster: %w", err)
	}
	return nil
}
