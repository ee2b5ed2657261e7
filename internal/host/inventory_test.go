// SPDX-License-Identifier: Apache-2.0

package host_test

import (
	"net"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh/agent"

	"hozon.dev/hozon/internal/fail"
	"hozon.dev/hozon/internal/host"
)

// serveAgent is an SSH agent that holds one key: that of the Go project, behind a socket like any other.
func serveAgent(t *testing.T, key any) string {
	t.Helper()
	keys := agent.NewKeyring()
	if err := keys.Add(agent.AddedKey{PrivateKey: key}); err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(t.TempDir(), "agent")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go agent.ServeAgent(keys, c)
		}
	}()
	return socket
}

func TestInventory(t *testing.T) {
	inv, err := host.ParseInventory([]byte(`
ssh: {user: admin, sudo: true, key: /keys/id, hostKeys: accept-new}
hosts:
- {name: cp1, address: 192.0.2.1, roles: [control-plane, etcd]}
- {name: cp2, address: 192.0.2.2, port: 2222, user: root, files: [/root/inventory.ini]}
- {name: me}
`))
	if err != nil {
		t.Fatal(err)
	}
	a, b := inv.Hosts[0], inv.Hosts[1]
	if a.User != "admin" || !a.Sudo || a.Key != "/keys/id" || a.Port != 22 || a.HostKeys != host.AcceptNew || len(a.Roles) != 2 {
		t.Errorf("%+v", a)
	}
	if b.User != "root" || b.Port != 2222 || len(b.Files) != 1 {
		t.Errorf("%+v", b)
	}
}

func TestInventoryRefuses(t *testing.T) {
	for text, want := range map[string]string{
		"hosts: []":                                 "no hosts",
		"hosts: [{name: a, adress: b}]":             "adress",
		"hosts: [{name: a}, {name: a}]":             "twice",
		"hosts: [{name: ../a}]":                     "name",
		"hosts: [{address: a}]":                     "name",
		"hosts: [{name: a, roles: [boss]}]":         "boss",
		"hosts: [{name: a, port: 70000}]":           "port",
		"hosts: [{name: a, files: [b]}]":            "absolute",
		"hosts: [{name: a, files: [/a/../b]}]":      "clean",
		"ssh: {hostKeys: none}\nhosts: [{name: a}]": "none",
		"hosts: [{name: a, password: x}]":           "password",
		"- a":                                       "inventory",
	} {
		if _, err := host.ParseInventory([]byte(text)); !fail.Is(err, fail.Invalid) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}

func FuzzInventory(f *testing.F) {
	f.Add([]byte("ssh: {user: a}\nhosts: [{name: a, port: 22}]"))
	f.Fuzz(func(t *testing.T, text []byte) {
		if _, err := host.ParseInventory(text); err != nil && !fail.Is(err, fail.Invalid) {
			t.Fatal(err)
		}
	})
}
