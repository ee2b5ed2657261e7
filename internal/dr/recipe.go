// SPDX-License-Identifier: Apache-2.0

package dr

import (
	"cmp"
	"slices"

	"hozon.dev/hozon/internal/dr/bundle"
)

// Part is one program of a control plane on one machine, and what starts it there.
type Part struct {
	Process  string `json:"process"`            // "etcd"
	Manifest string `json:"manifest,omitempty"` // the file of its static pod, or
	Unit     string `json:"unit,omitempty"`     // its service of systemd
}

// recipe is what a restore has to know about a layout: what is stopped, in the reverse order started, and what is restarted at the end. Where data and files
// lie, the archive says for each machine.
type recipe struct {
	layout  string
	execute bool                       // a restore carries it out; else it prints what to do
	parts   func(h bundle.Host) []Part // of one machine, in the order in which they start
	restart []string                   // services that are restarted once all runs again
}

// order is that in which the parts of a control plane start.
var order = []string{"etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler"}

const manifests = "/etc/kubernetes/manifests/"

// recipes are for the layouts whose restore is known. saved says whether the archive has a file of the machine.
func recipes(saved func(host, file string) bool) []recipe {
	pods := func(h bundle.Host) []Part {
		return partsOf(h, func(p *Part) {
			if file := manifests + p.Process + ".yaml"; saved(h.Name, file) {
				*p = Part{Process: p.Process, Manifest: file}
			}
		})
	}
	return []recipe{
		{layout: LayoutKubeadm, execute: true, parts: pods, restart: []string{"kubelet"}},
		{layout: LayoutSystemd, execute: true, parts: pods, restart: []string{"kubelet"}},
	}
}

// partsOf are the programs of a control plane that ran on a machine, each a service until change says otherwise.
func partsOf(h bundle.Host, change func(*Part)) []Part {
	var all []Part
	for _, name := range order {
		i := slices.IndexFunc(h.Processes, func(p bundle.Process) bool { return p.Name == name })
		if i < 0 {
			continue
		}
		p := Part{Process: name, Unit: cmp.Or(h.Processes[i].Unit, name)}
		change(&p)
		all = append(all, p)
	}
	return all
}
