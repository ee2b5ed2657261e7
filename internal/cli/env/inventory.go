// SPDX-License-Identifier: Apache-2.0

package env

import (
	"context"
	"fmt"
	"io"
	"os"

	"github.com/spf13/pflag"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"hozon.dev/hozon/internal/dr"
	"hozon.dev/hozon/internal/fail"
	"hozon.dev/hozon/internal/host"
)

// maxText bounds files that are written by hand.
const maxText = 1 << 20

// ReadText reads a file that somebody wrote by hand.
func ReadText(name string) (string, error) {
	f, err := os.Open(name)
	if err != nil {
		return "", UsageError(err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxText+1))
	if err != nil {
		return "", fmt.Errorf("read %s: %w", name, err)
	}
	if len(text) > maxText {
		return "", Usagef("read %s: larger than %d bytes", name, maxText)
	}
	return string(text), nil
}

// Hosts are the flags that name the machines of a cluster.
type Hosts struct{ Inventory, Layout, Root string }

// AddFlags registers the flags.
func (o *Hosts) AddFlags(f *pflag.FlagSet) {
	f.StringVar(&o.Inventory, "inventory", "", "File with the machines (default: this one).")
	f.StringVar(&o.Layout, "layout", "", "How the control plane is laid out, where the inventory does not say it (default: found out by looking).")
	f.StringVar(&o.Root, "host-root", "", "In a container, with the machine's PIDs and network: the folder at which the machine's root is mounted.")
}

// Read reads the machines; without a file it is this machine.
func (o *Hosts) Read() ([]host.Spec, error) {
	inv, err := ReadInventory(o.Inventory)
	if err != nil {
		return nil, err
	}
	for i := range inv.Hosts {
		if s := &inv.Hosts[i]; s.Layout == "" {
			s.Layout = o.Layout
		}
		if s := &inv.Hosts[i]; s.Root == "" && s.Address == "" {
			s.Root = o.Root
		}
	}
	return inv.Hosts, dr.CheckLayouts(inv.Hosts)
}

// OfCluster reads the machines; without a file, those of the cluster as the one knows them that --kubeconfig names and that manages it, as bmctl has it; else it is this machine.
// One that is being changed is refused, if it has to be settled.
func (o *Hosts) OfCluster(ctx context.Context, e *Env, cluster string, settled bool) ([]host.Spec, error) {
	if o.Inventory != "" || o.Root != "" || e.Kubeconfig == "" {
		return o.Read()
	}
	admin, err := e.Admin()
	if err != nil {
		return nil, err
	}
	managed, err := dr.Managed(ctx, admin, cluster)
	switch {
	case fail.Is(err, fail.NotFound):
		return o.Read()
	case err != nil:
		return nil, err
	case managed.Reconciling && settled:
		return nil, fail.Errorf(fail.Busy, "cluster %s is Reconciling, says its admin cluster: wait until it is not, or name the machines with --inventory", cluster)
	case managed.Reconciling:
		e.Say("Warning: cluster %s is Reconciling, says its admin cluster: what it changes meanwhile may be in the way", cluster)
	}
	specs := managed.Machines
	for i := range specs {
		specs[i].Layout = o.Layout
	}
	return specs, dr.CheckLayouts(specs)
}

// Admin is the cluster that --kubeconfig names, as bmctl has it: the one that manages the cluster in question. nil: none is named.
func (e *Env) Admin() (*rest.Config, error) {
	if e.Kubeconfig == "" {
		return nil, nil
	}
	config, err := clientcmd.BuildConfigFromFlags("", e.Kubeconfig)
	if err != nil {
		return nil, Usagef("--kubeconfig %s: it cannot be used", e.Kubeconfig)
	}
	return config, nil
}

// ReadInventory reads the machines of a cluster; without a file it is this machine.
func ReadInventory(name string) (host.Inventory, error) {
	if name == "" {
		return host.This(), nil
	}
	text, err := ReadText(name)
	if err != nil {
		return host.Inventory{}, err
	}
	inv, err := host.ParseInventory([]byte(text))
	if err != nil {
		return inv, fmt.Errorf("%s: %w", name, err)
	}
	return inv, nil
}
