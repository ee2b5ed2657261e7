// SPDX-License-Identifier: Apache-2.0

// Command kube is a Kubernetes control plane and a node's kubelet in one
// binary: it behaves as the component whose name it was called by, or whose
// name is its first argument.
//
//	kube etcd --data-dir …
//	kube kubectl get pods
//
// It holds upstream code only; the launcher that knows which flags make a
// cluster is the package internal/cluster/clustertest of the main module.
package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"
	"go.etcd.io/etcd/server/v3/etcdmain"
	"k8s.io/component-base/cli"
	kubectl "k8s.io/kubectl/pkg/cmd"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllermanager "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
	kubelet "k8s.io/kubernetes/cmd/kubelet/app"
)

// components returns every program in this binary; each gets its arguments
// with the program's name first and returns the exit code.
func components() map[string]func(args []string) int {
	return map[string]func([]string) int{
		"etcd": func(args []string) int {
			etcdmain.Main(args)
			return 0
		},
		"kube-apiserver":          cobraProgram(apiserver.NewAPIServerCommand),
		"kube-controller-manager": cobraProgram(controllermanager.NewControllerManagerCommand),
		"kube-scheduler":          cobraProgram(func() *cobra.Command { return scheduler.NewSchedulerCommand() }),
		"kubelet":                 cobraProgram(func() *cobra.Command { return kubelet.NewKubeletCommand(context.Background()) }),
		"kubectl":                 cobraProgram(kubectl.NewDefaultKubectlCommand),
	}
}

// cobraProgram runs a component's root command. The command is made only when
// it is called: making one registers flags that another component's would
// collide with.
func cobraProgram(newCommand func() *cobra.Command) func(args []string) int {
	return func(args []string) int {
		os.Args = args
		return cli.Run(newCommand())
	}
}

func main() {
	os.Exit(run(os.Args, os.Stderr))
}

func run(args []string, stderr io.Writer) int {
	all := components()
	if len(args) > 0 {
		if c, ok := all[filepath.Base(args[0])]; ok {
			return c(args)
		}
	}
	if len(args) > 1 {
		if c, ok := all[args[1]]; ok {
			return c(args[1:])
		}
	}
	fmt.Fprintf(stderr, "usage: kube COMPONENT [flags]\ncomponents: %v\n", slices.Sorted(maps.Keys(all)))
	return 2
}
