// SPDX-License-Identifier: Apache-2.0

package profile

import (
	"slices"
	"strings"
	"testing"

	"hozon.dev/hozon/internal/fail"
)

func TestBuiltin(t *testing.T) {
	all := Builtin()
	var names []string
	for _, p := range all {
		names = append(names, p.Name)
		if p.About == "" || len(p.After) == 0 || len(p.Looks) == 0 {
			t.Errorf("%s: %+v", p.Name, p)
		}
	}
	want := []string{"containerd", "docker", "etcd", "k3s", "kubeadm-control-plane", "kubeadm-worker", "openshift-3.11-master", "openshift-3.11-node", "openshift-4", "rke2"}
	if !slices.Equal(names, want) {
		t.Errorf("%v", names)
	}
}

func TestFitting(t *testing.T) {
	var names []string
	for _, p := range Fitting(Builtin(), []string{"/etc/origin/master", "/etc/origin/node", "/etc/docker"}) {
		names = append(names, p.Name)
	}
	if !slices.Equal(names, []string{"docker", "openshift-3.11-master", "openshift-3.11-node"}) {
		t.Errorf("%v", names)
	}
	master, err := Named(Builtin(), "openshift-3.11-master", "etcd")
	if err != nil {
		t.Fatal(err)
	}
	if paths := Paths(master); !slices.Contains(paths, "/etc/etcd") || slices.Contains(paths, "/etc/sysconfig/etcd") || !slices.Contains(paths, "/etc/default/etcd") {
		t.Errorf("%v", paths)
	}
	if _, err := Named(Builtin(), "none"); !fail.Is(err, fail.Invalid) {
		t.Errorf("%v", err)
	}
}

func TestRefused(t *testing.T) {
	for text, want := range map[string]string{
		"name: a\nfiles: [{path: etc}]":          "absolute",
		"name: a\nfiles: [{path: /etc/../root}]": "absolute",
		"name: a\nfiles: [{path: /}]":            "absolute",
		"name: a\nfile: [{path: /etc/a}]":        "unknown field",
		"name: a\nfiles: []":                     "no files",
		"name: A b\nfiles: [{path: /etc/a}]":     "name",
		"name: [":                                "profile",
	} {
		if _, err := Parse([]byte(text)); !fail.Is(err, fail.Invalid) || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", text, err)
		}
	}
}
