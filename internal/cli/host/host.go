// SPDX-License-Identifier: Apache-2.0

// Package host has the commands below `hozon host`, one file each: files of machines are saved, compared and brought back.
package host

import (
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"hozon.dev/hozon/internal/cli/env"
	"hozon.dev/hozon/internal/host"
	"hozon.dev/hozon/internal/host/profile"
	"hozon.dev/hozon/internal/seal"
)

// New is `hozon host`.
func New(e *env.Env) *cobra.Command {
	c := &cobra.Command{Use: "host", Short: "Save the files of machines, say what has changed, bring them back"}
	c.AddCommand(newProfiles(e), newBackup(e), newGet(e), newDiff(e), newRestore(e), newDelete(e))
	return c
}

// machines are the flags that choose machines.
type machines struct {
	inventory string
	names     []string
}

func (m *machines) addFlags(f *pflag.FlagSet) {
	f.StringVar(&m.inventory, "inventory", "", "File with the machines (default: this one).")
	f.StringSliceVar(&m.names, "host", nil, "Only these machines of it.")
}

func (m *machines) read() ([]host.Spec, error) {
	inv, err := env.ReadInventory(m.inventory)
	if err != nil || len(m.names) == 0 {
		return inv.Hosts, err
	}
	var chosen []host.Spec
	for _, name := range m.names {
		s, err := find(inv.Hosts, name)
		if err != nil {
			return nil, err
		}
		chosen = append(chosen, s)
	}
	return chosen, nil
}

func find(specs []host.Spec, name string) (host.Spec, error) {
	i := slices.IndexFunc(specs, func(s host.Spec) bool { return s.Name == name })
	if i < 0 {
		return host.Spec{}, env.Usagef("the inventory has no host %q", name)
	}
	return specs[i], nil
}

// known are the profiles that come with the program and those of files, which go before.
func known(files []string) ([]profile.Profile, error) {
	all := profile.Builtin()
	for _, file := range files {
		text, err := env.ReadText(file)
		if err != nil {
			return nil, err
		}
		p, err := profile.Parse([]byte(text))
		if err != nil {
			return nil, env.Usagef("%s: %w", file, err)
		}
		all = append([]profile.Profile{p}, slices.DeleteFunc(all, func(o profile.Profile) bool { return o.Name == p.Name })...)
	}
	return all, nil
}

// identity is the flag with what opens sealed archives.
type identity string

func (i *identity) addFlag(e *env.Env, f *pflag.FlagSet) {
	f.StringVar((*string)(i), "identity", e.Getenv("HOZON_IDENTITY"), "File with the age identity that opens sealed archives (default: $HOZON_IDENTITY).")
}

func (i identity) read(sealed bool) (seal.Identities, error) {
	if !sealed {
		return nil, nil
	}
	if i == "" {
		return nil, env.Usagef("the archives are sealed: give the identity that opens them with --identity FILE")
	}
	text, err := env.ReadText(string(i))
	if err != nil {
		return nil, err
	}
	return seal.ParseIdentities(text)
}

// oneName is the check of arguments of commands about one backup.
func oneName(_ *cobra.Command, args []string) error {
	if len(args) != 1 || strings.TrimSpace(args[0]) == "" {
		return env.Usagef("give the name of one host backup; `hozon host get` lists them")
	}
	return nil
}
