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
	Program  string `json:"program,omitempty"`  // that it shows as in the list of processes, if that is another name
	Words    string `json:"words,omitempty"`    // of its command line, where the program has other parts, too
}

// shows is by what the part is found in the list of processes.
func (p Part) shows() []string { return []string{cmp.Or(p.Program, p.Process), p.Words} }

// recipe is what a restore has to know about a layout: what is stopped, in the reverse order started, and what is restarted at the end. Where data, files and
// owners are, the archive says for each machine.
type recipe struct {
	layout  string
	parts   func(h bundle.Host) []Part // of one machine, in the order in which they start
	restart []string                   // services that are restarted once all runs again, if they are active
	todo    string                     // what is left to people
	inner   bool                       // beside etcd's data there is more in its folder, which stays
	print   func(*book)                // not nil: a restore only prints what to do
}

// order is that in which the parts of a control plane start.
var order = []string{"etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", k3sPart}

// k3sPart is a k3s server: etcd, API server and all the rest in one process.
const k3sPart = "k3s"

const (
	manifests  = "/etc/kubernetes/manifests/"
	originPods = "/etc/origin/node/pods/"
)

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
		{layout: LayoutKubeadm, parts: pods, restart: []string{"kubelet"}},
		{layout: LayoutSystemd, parts: pods, restart: []string{"kubelet"}},
		{layout: LayoutOpenShift3, parts: func(h bundle.Host) []Part { return originParts(h, saved) }, restart: []string{"atomic-openshift-node", "origin-node"}},
		{layout: LayoutK3s, parts: k3sParts, inner: true, todo: "on every agent: `systemctl restart k3s-agent`"},
		{layout: LayoutRKE2, parts: etcdPart, print: (*book).rke2},
		{layout: LayoutOpenShift4, parts: etcdPart, print: (*book).openshift4},
	}
}

// recipeOf is that of a layout; nil if its restore is not known.
func recipeOf(layout string, saved func(host, file string) bool) *recipe {
	all := recipes(saved)
	i := slices.IndexFunc(all, func(l recipe) bool { return l.layout == layout })
	if i < 0 {
		return nil
	}
	return &all[i]
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

// originParts are those of OpenShift 3.11: static pods in a folder of its own, or services as releases before had them. API server and controllers are one program.
func originParts(h bundle.Host, saved func(host, file string) bool) []Part {
	known := map[string]struct{ pod, unit, words string }{
		"etcd":                    {"etcd.yaml", "etcd", ""},
		"kube-apiserver":          {"apiserver.yaml", "atomic-openshift-master-api", "start master api"},
		"kube-controller-manager": {"controller.yaml", "atomic-openshift-master-controllers", "start master controllers"},
	}
	return partsOf(h, func(p *Part) {
		of := known[p.Process]
		ran := h.Processes[slices.IndexFunc(h.Processes, func(o bundle.Process) bool { return o.Name == p.Process })]
		if p.Unit = cmp.Or(ran.Unit, of.unit, p.Process); of.pod != "" && saved(h.Name, originPods+of.pod) {
			p.Manifest, p.Unit = originPods+of.pod, ""
		}
		if p.Program = ran.Within; p.Program != "" {
			p.Words = of.words
		}
	})
}

// k3sParts is the one process; etcd and the API server are in it.
func k3sParts(h bundle.Host) []Part {
	all := partsOf(h, func(p *Part) { p.Words = "k3s server" })
	return slices.DeleteFunc(all, func(p Part) bool { return p.Process != k3sPart })
}

// etcdPart is for layouts whose own tools do the rest.
func etcdPart(h bundle.Host) []Part {
	return slices.DeleteFunc(partsOf(h, func(*Part) {}), func(p Part) bool { return p.Process != "etcd" })
}
