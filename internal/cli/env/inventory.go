// SPDX-License-Identifier: Apache-2.0

package env

import (
	"fmt"
	"io"
	"os"

	"github.com/spf13/pflag"

	"hozon.dev/hozon/internal/dr"
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
