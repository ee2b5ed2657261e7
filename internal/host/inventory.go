// SPDX-License-Identifier: Apache-2.0

package host

import (
	"path/filepath"
	"slices"

	"k8s.io/apimachinery/pkg/util/validation"
	"sigs.k8s.io/yaml"

	"hozon.dev/hozon/internal/fail"
)

// Policy says which machines are spoken to.
type Policy string

const (
	Strict    Policy = "strict"     // those whose key is in the known-hosts file
	AcceptNew Policy = "accept-new" // also those that are not in it; their key is added
)

// Role is what a machine does in its cluster.
type Role string

const (
	ControlPlane Role = "control-plane"
	Etcd         Role = "etcd"
	Worker       Role = "worker"
)

// Access is how to get onto machines.
type Access struct {
	User       string `json:"user,omitempty"`       // "": root
	Port       int    `json:"port,omitempty"`       // 0: 22
	Key        string `json:"key,omitempty"`        // file with the private key; "": the agent at $SSH_AUTH_SOCK
	Sudo       bool   `json:"sudo,omitempty"`       // commands go through sudo, which must not ask for a password
	HostKeys   Policy `json:"hostKeys,omitempty"`   // "": strict
	KnownHosts string `json:"knownHosts,omitempty"` // file; "": ~/.ssh/known_hosts

	KeyText KeyText `json:"-"` // instead of Key: the private key itself, which never lies in a file
}

// KeyText is a private key that prints as nothing.
type KeyText []byte

func (KeyText) String() string   { return "a private key" }
func (KeyText) GoString() string { return "a private key" }

// Spec is one machine of an inventory.
type Spec struct {
	Name     string   `json:"name"`
	Address  string   `json:"address,omitempty"`  // name or IP; "": this machine, without SSH
	Root     string   `json:"root,omitempty"`     // without an address: the folder below which a container has its machine
	Roles    []Role   `json:"roles,omitempty"`    // none: all that are found on it
	Layout   string   `json:"layout,omitempty"`   // of its control plane; "": found out by looking
	Profiles []string `json:"profiles,omitempty"` // lists of files to save of it; none: those that fit
	Files    []string `json:"files,omitempty"`    // further files and folders to save: installation files, notes
	Access   `json:",inline"`
}

// Inventory is a list of machines.
type Inventory struct {
	Access Access `json:"ssh,omitempty"` // for all machines that say nothing else
	Hosts  []Spec `json:"hosts"`
}

// This is the inventory of one machine, the one that the program runs on.
func This() Inventory { return Inventory{Hosts: []Spec{{Name: "localhost"}}} }

// ParseInventory reads an inventory file. Fields that it does not know are refused: a misspelt one would otherwise be a default in silence.
func ParseInventory(text []byte) (Inventory, error) {
	var inv Inventory
	if err := yaml.UnmarshalStrict(text, &inv); err != nil {
		return inv, fail.Errorf(fail.Invalid, "inventory: %w", err)
	}
	return inv, inv.Complete()
}

// Complete gives the machines what holds for all of them, and refuses what cannot be.
func (inv *Inventory) Complete() error {
	if len(inv.Hosts) == 0 {
		return fail.Errorf(fail.Invalid, "inventory: it names no hosts")
	}
	seen := map[string]bool{}
	for i := range inv.Hosts {
		h := &inv.Hosts[i]
		h.inherit(inv.Access)
		if err := h.check(); err != nil {
			return fail.Errorf(fail.Invalid, "inventory: host %d (%q): %w", i+1, h.Name, err)
		}
		if seen[h.Name] {
			return fail.Errorf(fail.Invalid, "inventory: host %q is there twice", h.Name)
		}
		seen[h.Name] = true
	}
	return nil
}

func (s *Spec) inherit(a Access) {
	set := func(own *string, all, otherwise string) {
		if *own == "" {
			*own = all
		}
		if *own == "" {
			*own = otherwise
		}
	}
	set(&s.User, a.User, "root")
	if s.Key == "" && len(s.KeyText) == 0 {
		s.Key, s.KeyText = a.Key, a.KeyText
	}
	set(&s.KnownHosts, a.KnownHosts, "")
	set((*string)(&s.HostKeys), string(a.HostKeys), string(Strict))
	if s.Port == 0 {
		s.Port = a.Port
	}
	if s.Port == 0 {
		s.Port = 22
	}
	s.Sudo = s.Sudo || a.Sudo
}

func (s *Spec) check() error {
	if msgs := validation.IsDNS1123Subdomain(s.Name); len(msgs) > 0 {
		return fail.Errorf(fail.Invalid, "name: %s", msgs[0]) // it becomes a folder of the archive
	}
	if s.HostKeys != Strict && s.HostKeys != AcceptNew {
		return fail.Errorf(fail.Invalid, "hostKeys %q: use %s or %s", s.HostKeys, Strict, AcceptNew)
	}
	if s.Port < 1 || s.Port > 65535 {
		return fail.Errorf(fail.Invalid, "port %d", s.Port)
	}
	if s.Root != "" && (s.Address != "" || !filepath.IsAbs(s.Root)) {
		return fail.Errorf(fail.Invalid, "root %q: it is an absolute path, of a machine without address", s.Root)
	}
	for _, r := range s.Roles {
		if !slices.Contains([]Role{ControlPlane, Etcd, Worker}, r) {
			return fail.Errorf(fail.Invalid, "role %q: use %s, %s or %s", r, ControlPlane, Etcd, Worker)
		}
	}
	for _, f := range s.Files {
		if !filepath.IsAbs(f) || filepath.Clean(f) != f || f == "/" {
			return fail.Errorf(fail.Invalid, "file %q: give a clean absolute path", f)
		}
	}
	return nil
}
