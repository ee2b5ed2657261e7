// SPDX-License-Identifier: Apache-2.0

package dr

import (
	"context"
	"slices"
	"strings"

	"hozon.dev/hozon/internal/fail"
	"hozon.dev/hozon/internal/host"
	"hozon.dev/hozon/internal/host/profile"
)

// Layouts that are known by their looks.
const (
	LayoutOpenShift3 = "openshift-3.11"
	LayoutOpenShift4 = "openshift-4"
	LayoutRKE2       = "rke2"
	LayoutK3s        = "k3s"
	LayoutKubeadm    = "kubeadm" // static pods below /etc/kubernetes/manifests
	LayoutSystemd    = "systemd" // plain etcd or API server, started by the system
	LayoutNone       = "none"    // nothing of a control plane runs there
)

// layout is what the machines of one kind of cluster have in common.
type layout struct {
	name     string
	marks    []string // one that exists says that it is this kind
	profiles []string // what is saved besides what flags name
}

// layouts are in the order in which they are looked for: an OpenShift has static pods, too.
var layouts = []layout{
	{LayoutOpenShift3, []string{"/etc/origin/master/master-config.yaml", "/etc/origin/node/pods", "/etc/origin/node/node-config.yaml"},
		[]string{"openshift-3.11-master", "etcd", "docker"}},
	{LayoutOpenShift4, []string{"/etc/kubernetes/static-pod-resources", "/etc/machine-config-daemon"}, []string{"openshift-4"}},
	{LayoutRKE2, []string{"/var/lib/rancher/rke2/server", "/etc/rancher/rke2"}, []string{"rke2"}},
	{LayoutK3s, []string{"/var/lib/rancher/k3s/server", "/etc/rancher/k3s"}, []string{"k3s"}},
	{LayoutKubeadm, []string{"/etc/kubernetes/manifests"}, []string{"kubeadm-control-plane", "etcd", "docker", "containerd"}},
	{LayoutSystemd, nil, []string{"kubeadm-control-plane", "etcd", "docker", "containerd"}},
	{LayoutNone, nil, nil},
}

// layoutNames are for messages.
func layoutNames() string {
	var names []string
	for _, l := range layouts {
		names = append(names, l.name)
	}
	return strings.Join(names, ", ")
}

// CheckLayouts refuses an inventory that names a layout which there is not.
func CheckLayouts(specs []host.Spec) error {
	for _, s := range specs {
		if s.Layout == "" {
			continue
		}
		if _, err := findLayout(s.Layout); err != nil {
			return fail.Errorf(fail.Invalid, "host %s: %w", s.Name, err)
		}
	}
	return nil
}

func findLayout(name string) (layout, error) {
	i := slices.IndexFunc(layouts, func(l layout) bool { return l.name == name })
	if i < 0 {
		return layout{}, fail.Errorf(fail.Invalid, "unknown layout %q: use one of %s", name, layoutNames())
	}
	return layouts[i], nil
}

// lookLayout says which layout a machine has: what its inventory says, else the first of which a mark exists, else what its processes tell.
func lookLayout(ctx context.Context, h *host.Host, processes []process) (string, error) {
	if h.Spec.Layout != "" {
		l, err := findLayout(h.Spec.Layout)
		return l.name, err
	}
	var marks []string
	for _, l := range layouts {
		marks = append(marks, l.marks...)
	}
	there, err := h.Existing(ctx, marks)
	if err != nil {
		return "", err
	}
	for _, l := range layouts {
		if slices.ContainsFunc(l.marks, func(mark string) bool { return slices.Contains(there, mark) }) {
			return l.name, nil
		}
	}
	if len(processes) > 0 {
		return LayoutSystemd, nil
	}
	return LayoutNone, nil
}

// fixed are the places of configuration that no flag names.
func (m *machine) fixed() []string {
	l, err := findLayout(m.layout)
	if err != nil {
		return nil
	}
	known, err := profile.Named(profile.Builtin(), l.profiles...)
	if err != nil {
		panic(err) // both lists are compiled in
	}
	return profile.Paths(known)
}
