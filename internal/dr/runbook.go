// SPDX-License-Identifier: Apache-2.0

package dr

import (
	"fmt"
	"slices"
	"strings"
)

// Runbook is the plan as commands for people, for this cluster's machines and names.
func (p *Plan) Runbook() []string {
	b := &book{p: p}
	b.say("# Here: unpack etcd's snapshot (age -d -i KEY first, if the archive is sealed), and bring it to every member.")
	b.say("tar -xzOf %s etcd/snapshot.db > snapshot.db", p.File)
	for _, h := range p.members() {
		b.say("scp snapshot.db %s:/root/snapshot.db", h.Name)
	}
	b.head("On all machines, before going on: stop the control plane, the API servers first.")
	for _, name := range slices.Backward(order) {
		b.parts(name, func(h HostPlan, part Part) {
			if part.Manifest != "" {
				b.on(h, "mkdir -p /root/stopped && mv %s /root/stopped/", part.Manifest)
			} else {
				b.on(h, "systemctl stop %s", part.Unit)
			}
		})
	}
	b.head("When `pidof etcd kube-apiserver` finds nothing any more: the data, moved aside and made anew.")
	for _, h := range p.members() {
		b.on(*h, "mv %s %[1]s.old", h.Member.DataDir)
		b.on(*h, "etcdutl snapshot restore /root/snapshot.db --name %s --initial-cluster %s --initial-cluster-token %s --initial-advertise-peer-urls %s --data-dir %s --bump-revision %d --mark-compacted",
			h.Member.Name, p.initialCluster(), p.Token, strings.Join(h.Member.PeerURLs, ","), h.Member.DataDir, p.Bump)
		if h.Member.Owner != "" {
			b.on(*h, "chown -R %s %s", h.Member.Owner, h.Member.DataDir)
		}
		b.on(*h, "rm /root/snapshot.db")
	}
	b.files()
	b.head("Start everything, etcd first; on to the next program when the one before is well on all machines.")
	for _, name := range order {
		b.parts(name, func(h HostPlan, part Part) {
			if part.Manifest != "" {
				b.on(h, "mv /root/stopped/%s %s", part.Manifest[strings.LastIndexByte(part.Manifest, '/')+1:], part.Manifest)
			} else {
				b.on(h, "systemctl start --no-block %s", part.Unit)
			}
		})
	}
	for _, h := range p.Hosts {
		for _, unit := range h.Restart {
			b.on(h, "systemctl restart %s", unit)
		}
	}
	return b.lines
}

type book struct {
	p     *Plan
	lines []string
}

func (b *book) say(format string, args ...any) {
	b.lines = append(b.lines, fmt.Sprintf(format, args...))
}

func (b *book) head(format string, args ...any) {
	b.lines = append(b.lines, "", fmt.Sprintf("# "+format, args...))
}

func (b *book) on(h HostPlan, format string, args ...any) {
	b.say("[%s] %s", h.Name, fmt.Sprintf(format, args...))
}

func (b *book) parts(process string, f func(HostPlan, Part)) {
	for _, h := range b.p.Hosts {
		for _, part := range h.Parts {
			if part.Process == process {
				f(h, part)
			}
		}
	}
}

func (b *book) files() {
	for _, h := range b.p.Hosts {
		if len(h.Files) == 0 {
			continue
		}
		b.head("Files of %s that are missing or differ, out of the archive below hosts/%[1]s/files, with owner and mode:", h.Name)
		for _, f := range h.Files {
			b.on(h, "# %s (%s)", f.Path, f.Why)
		}
	}
}
