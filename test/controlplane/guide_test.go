// SPDX-License-Identifier: Apache-2.0

package controlplane

import (
	"os"
	"strings"
	"testing"

	"hozon.dev/hozon/internal/cli/env"
	"hozon.dev/hozon/internal/host/hosttest"
)

// commands are the lines of a guide's shell blocks.
func commands(t *testing.T, guide string) []string {
	t.Helper()
	var all []string
	inside := false
	for line := range strings.Lines(string(read(t, "../../doc/guide/"+guide))) {
		line = strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(line, "```"):
			inside = line == "```sh"
		case inside && line != "":
			all = append(all, line)
		}
	}
	return all
}

// TestGuideOpenShift runs the commands of the guide, in their order, on a master that has an etcd and an API server, a node and a spare machine.
func TestGuideOpenShift(t *testing.T) {
	master := StartOpenShift3(t, "master-0")
	node, spare := hosttest.Start(t, "app-node-0"), hosttest.Start(t, "master-3")
	ofNode := list(t, "openshift-node.txt")
	layOut(t, node, ofNode)
	master.Sh(t, "mkdir -p /etc/etcd/ca; echo 0A >/etc/origin/master/ca.serial.txt; echo key >/etc/etcd/ca/ca.key; chown 12:34 /etc/origin/master/ca.serial.txt")
	WriteFile(t, master.Host, "/root/openshift-ansible/hosts", "[masters]", "0640")
	master.Spec.Files = []string{"/root/openshift-ansible"}
	hosts := inventory(t, master.Spec, node.Spec, spare.Spec)
	key, identity := newKey(t)
	inventoryText, identityText := read(t, hosts), read(t, identity)
	guide := commands(t, "openshift.md")
	t.Chdir(t.TempDir())
	for name, text := range map[string]string{
		"hosts.yaml": string(inventoryText), "key.txt": string(identityText), "recipients.txt": key.Recipient().String(), "notes.txt": "call the network people",
	} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	seen := 0
	for _, line := range guide {
		words := strings.Fields(line)
		out, talk, code := hozon(t, words[1:]...)
		want := env.ExitOK
		if strings.HasPrefix(line, "hozon host diff") {
			want = 1
		}
		if code != want || words[0] != "hozon" {
			t.Fatalf("%s: exit code %d, want %d\n%s%s", line, code, want, out, talk)
		}
		seen++
		switch {
		case strings.HasPrefix(line, "hozon backup cluster"): // from here on things go wrong
			master.Sh(t, "rm -rf /etc/origin/master/ca.serial.txt /etc/etcd/ca; echo x >>/etc/origin/node/pods/etcd.yaml")
		case strings.Contains(line, "--to master-3"):
			if got := spare.Sh(t, "stat -c '%a %u:%g' /etc/origin/master/ca.serial.txt; cat /etc/etcd/ca/ca.key /root/openshift-ansible/hosts"); !strings.Contains(got, "12:34") || !strings.Contains(got, "key\n[masters]") {
				t.Errorf("the spare machine: %s", got)
			}
		case strings.Contains(line, "--host master-0 --identity") && strings.HasSuffix(line, "--yes"):
			if got := master.Sh(t, "cat /etc/origin/master/ca.serial.txt /etc/etcd/ca/ca.key; stat -c %u:%g /etc/origin/master/ca.serial.txt; tail -n 1 /etc/origin/node/pods/etcd.yaml"); got != "0A\nkey\n12:34\nmetadata: {name: master-etcd, namespace: kube-system}\n" {
				t.Errorf("the master: %s", got)
			}
		}
	}
	if seen < 10 {
		t.Errorf("the guide has %d commands", seen)
	}
	noMarker(t, "store")
}
