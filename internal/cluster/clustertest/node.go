// SPDX-License-Identifier: Apache-2.0

package clustertest

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"hozon.dev/hozon/test/daemon"
)

// What every node has; each lives in a network of its own, so that the same
// addresses do for all.
const (
	NodeName     = "node-1"
	nodeIP       = "172.30.0.1"
	podRange     = "10.244.0.0/16"
	serviceIP    = "10.96.0.1"
	serviceRange = "10.96.0.0/12"
	nodeProcess  = "node"
)

//go:embed node.sh
var nodeScript string

// A node is containerd and a kubelet inside namespaces of their own: nothing
// of it is seen from outside but its folder and its cgroups, and the kernel
// takes it down with its first process.
type node struct {
	dir       string            // below the cluster's; see node.sh
	programs  map[string]string // what tools/node/install found
	cgroup    string
	network   *network
	api       net.Listener // of the Service "kubernetes", inside
	egress    net.Listener // where the API server asks for connections to the inside
	forwarded []net.Listener
}

// CheckNode returns why this machine cannot run a node, nil if it can.
func CheckNode() error {
	if os.Geteuid() != 0 {
		return errors.New("a node needs root")
	}
	return checkNamespaces()
}

// nodePrograms finds what a node runs, or makes it, which takes minutes.
func nodePrograms(ctx context.Context) (map[string]string, error) {
	if err := CheckNode(); err != nil {
		return nil, err
	}
	found, err := daemon.Build(ctx, "tools/node/install")
	if err != nil {
		return nil, err
	}
	programs := map[string]string{}
	for line := range strings.Lines(found) {
		name, path, _ := strings.Cut(strings.TrimSpace(line), "=")
		programs[name] = path
	}
	return programs, nil
}

// prepareNode writes what the node and, before it, the API server read, and
// begins to listen for the API server.
func (c *Cluster) prepareNode() error {
	sweepCgroups()
	n := c.node
	n.dir = filepath.Join(c.Dir, "node")
	for _, dir := range []string{n.dir, filepath.Join(n.dir, "cni")} {
		if err := os.Mkdir(dir, 0o700); err != nil {
			return err
		}
	}
	ca, err := os.ReadFile(filepath.Join(c.Dir, caFile))
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(c.Dir, egressFile), []byte(egressConfig), 0o600); err != nil {
		return err
	}
	for name, content := range c.nodeFiles(ca) {
		if err := os.WriteFile(filepath.Join(n.dir, name), []byte(content), 0o600); err != nil {
			return err
		}
	}
	n.egress, err = net.Listen("unix", filepath.Join(c.Dir, egressSocket))
	return err
}

// startNode starts the node and returns when it is Ready.
func (c *Cluster) startNode(ctx context.Context) error {
	n := c.node
	p, err := daemon.Start(daemon.Command{
		Name:       nodeProcess,
		Path:       "/bin/bash",
		Args:       []string{"-c", nodeScript},
		Dir:        n.dir,
		Namespaces: namespaces,
		Env: []string{
			"KUBE=" + c.binary, "CONTAINERD=" + n.programs["containerd"], "IP=" + n.programs["ip"],
			"NODE_NAME=" + NodeName, "NODE_IP=" + nodeIP, "CGROUP=" + n.cgroup,
			"SERVICE_IP=" + serviceIP, "SERVICE_RANGE=" + serviceRange,
		},
	})
	if err != nil {
		return err
	}
	c.mu.Lock()
	c.processes[nodeProcess] = p
	c.mu.Unlock()
	if n.network, err = openNetwork(p.PID()); err != nil {
		return err
	}
	go serveConnect(n.egress, n.network.dial)
	if n.api, err = c.forward(ctx, serviceIP+":443", c.port.Addr()); err != nil {
		return err
	}
	if err := c.awaitFile(ctx, filepath.Join(n.dir, "containerd.sock")); err != nil {
		return err
	}
	if err := c.LoadImage(ctx, c.pauseImage()); err != nil {
		return err
	}
	return c.awaitReady(ctx)
}

// Reach makes the TCP server at addr, on this machine's loopback, reachable
// for the pods of the node, and returns its address there.
func (c *Cluster) Reach(ctx context.Context, addr string) (string, error) {
	if c.node == nil {
		return "", errors.New("reach from a node: the cluster has none")
	}
	l, err := c.forward(ctx, serviceIP+":0", addr)
	if err != nil {
		return "", fmt.Errorf("reach %s from the node: %w", addr, err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.node.forwarded = append(c.node.forwarded, l)
	return l.Addr().String(), nil
}

// forward listens on inner, inside the node's network, once it has that
// address, and passes what connects on to outer.
func (c *Cluster) forward(ctx context.Context, inner, outer string) (net.Listener, error) {
	var l net.Listener
	err := c.poll(ctx, func() (err error) {
		l, err = c.node.network.listen(inner)
		return err
	})
	if err != nil {
		return nil, err
	}
	go serveForward(l, outer)
	return l, nil
}

// awaitReady waits until the node takes pods: it is Ready, and the controllers
// have taken the taint away that a new one has.
func (c *Cluster) awaitReady(ctx context.Context) error {
	return c.poll(ctx, func() error {
		body, err := c.get(ctx, "/api/v1/nodes/"+NodeName)
		if err != nil {
			return err
		}
		if !bytes.Contains(body, []byte(`"reason":"KubeletReady"`)) || bytes.Contains(body, []byte(`"taints"`)) {
			return fmt.Errorf("node is not ready: %.2000s", body)
		}
		return nil
	})
}

func (c *Cluster) awaitFile(ctx context.Context, path string) error {
	return c.poll(ctx, func() error {
		_, err := os.Stat(path)
		return err
	})
}

// LoadImage gives an image to the node; pods name it with
// `imagePullPolicy: Never`.
func (c *Cluster) LoadImage(ctx context.Context, image Image) error {
	if c.node == nil {
		return fmt.Errorf("load image %s: the cluster has no node", image.Name)
	}
	r, w := io.Pipe()
	defer r.Close()
	go func() { w.CloseWithError(image.write(w)) }()
	return c.LoadImageTar(ctx, r)
}

// LoadImageTar gives the node the images of a tar of an OCI image layout.
func (c *Cluster) LoadImageTar(ctx context.Context, tar io.Reader) error {
	cmd := exec.CommandContext(ctx, c.node.programs["ctr"], "--address", filepath.Join(c.node.dir, "containerd.sock"),
		"--namespace", "k8s.io", "images", "import", "-")
	cmd.Stdin = tar
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("load image: %w\n%s", err, out)
	}
	return nil
}

// NodeRoot returns the root of the node's file system, with all that is
// mounted there, as root on this machine sees it. The cluster must have a node.
func (c *Cluster) NodeRoot() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return fmt.Sprintf("/proc/%d/root", c.processes[nodeProcess].PID())
}

// Busybox returns the path of a static busybox, for images with a shell. The
// cluster must have a node.
func (c *Cluster) Busybox() string { return c.node.programs["busybox"] }

// BusyboxName is the name of BusyboxImage.
const BusyboxName = "hozon.test/busybox:1"

// BusyboxImage returns an image with a shell and all the programs that busybox
// has, and nothing else.
func (c *Cluster) BusyboxImage(ctx context.Context) (Image, error) {
	applets, err := exec.CommandContext(ctx, c.Busybox(), "--list").Output()
	if err != nil {
		return Image{}, fmt.Errorf("list what busybox has: %w", err)
	}
	image := Image{Name: BusyboxName, Env: []string{"PATH=/bin"}, Files: []File{{Path: "bin/busybox", From: c.Busybox()}}}
	for name := range strings.Lines(string(applets)) {
		if name = strings.TrimSpace(name); name != "busybox" {
			image.Files = append(image.Files, File{Path: "bin/" + name, LinkTo: "busybox"})
		}
	}
	return image, nil
}

// pauseImage holds a pod's namespaces; what is left behind in a shared process
// namespace is reaped by it.
func (c *Cluster) pauseImage() Image {
	return Image{
		Name:       pauseImageName,
		Files:      []File{{Path: "bin/sh", From: c.node.programs["busybox"]}},
		Entrypoint: []string{"/bin/sh", "-c", "trap 'exit 0' TERM; while :; do sleep 3600 & wait $!; done"},
	}
}

// logs returns the ends of the logs of the programs in the node.
func (n *node) logs() string {
	var b strings.Builder
	for _, name := range []string{"containerd", "kubelet"} {
		fmt.Fprintf(&b, "--- %s\n%s\n", name, daemon.LogTail(filepath.Join(n.dir, name+".log"), 30))
	}
	return b.String()
}

// closeNode is called after the node's processes were killed.
func (c *Cluster) closeNode() error {
	n := c.node
	if n == nil {
		return nil
	}
	for _, l := range append([]net.Listener{n.egress, n.api}, n.forwarded...) {
		if l != nil {
			l.Close()
		}
	}
	if n.network != nil {
		n.network.close()
	}
	return removeCgroup(n.cgroup)
}

// nodeKubeconfig is for the inside, where the API server is at its Service's
// address.
func (c *Cluster) nodeKubeconfig(ca []byte) string {
	outside := string(c.kubeconfig(ca))
	return strings.Replace(outside, c.URL, "https://"+serviceIP+":443", 1)
}
