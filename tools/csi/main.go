// SPDX-License-Identifier: Apache-2.0

// Command csi is a CSI driver whose volumes are folders of the node. It speaks to the kubelet as any driver does: it registers itself at the kubelet's socket of
// plugins, and mounts a volume when a pod wants it. Volumes are not made by it: a PersistentVolume with any volumeHandle is one, and so is a volume that lives and
// dies with its pod.
//
// Volumes with the attribute "files" are of file systems that lose something, by way of FUSE: "ownerless" takes owners and forgets them, "plain" refuses
// extended attributes.
//
// It is for tests: nothing is kept safe, and nothing is measured.
package main

import (
	"flag"
	"fmt"
	"net"
	"os"
	"path/filepath"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc"
	registration "k8s.io/kubelet/pkg/apis/pluginregistration/v1"
)

// name is what a CSIDriver object, and volumes, call it.
const name = "folder.csi.hozon.test"

func main() {
	kubelet := flag.String("kubelet", "/var/lib/kubelet", "the kubelet's folder")
	node := flag.String("node", "", "the node's name")
	flag.Parse()
	if err := run(*kubelet, *node); err != nil {
		fmt.Fprintln(os.Stderr, "csi:", err)
		os.Exit(1)
	}
}

func run(kubelet, node string) error {
	own := filepath.Join(kubelet, "plugins", name)
	d := &driver{node: node, folders: filepath.Join(own, "volumes")}
	if err := os.MkdirAll(d.folders, 0o700); err != nil {
		return err
	}
	socket := filepath.Join(own, "csi.sock")
	failed := make(chan error)
	services := map[string]func(*grpc.Server){
		socket: func(s *grpc.Server) {
			csi.RegisterIdentityServer(s, d)
			csi.RegisterNodeServer(s, d)
		},
		filepath.Join(kubelet, "plugins_registry", name+"-reg.sock"): func(s *grpc.Server) {
			registration.RegisterRegistrationServer(s, registrar{socket: socket})
		},
	}
	for path, register := range services {
		l, err := listen(path)
		if err != nil {
			return err
		}
		s := grpc.NewServer()
		register(s)
		go func() { failed <- s.Serve(l) }()
	}
	return <-failed
}

func listen(path string) (net.Listener, error) {
	if err := os.Remove(path); err != nil && !os.IsNotExist(err) {
		return nil, err
	}
	return net.Listen("unix", path)
}
