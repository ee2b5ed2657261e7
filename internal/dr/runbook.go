// SPDX-License-Identifier: Apache-2.0

package dr

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Runbook is the plan as commands for people, for this cluster's machines and names.
func (p *Plan) Runbook() []string {
	b := &book{p: p}
	if known := recipeOf(p.Hosts[0].Layout, nobody); known != nil && known.print != nil {
		known.print(b)
		return b.lines
	}
	b.say("# Here: unpack etcd's snapshot (age -d -i KEY first, if the archive is sealed), and bring it to every member.")
	b.say("tar -xzOf %s etcd/snapshot.db > snapshot.db", p.File)
	for _, h := range p.made() {
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
	b.head("When `ps` shows no etcd and no API server any more: the data, moved aside and made anew.")
	for _, h := range p.joins() {
		b.on(*h, "mv %s %[1]s.old", h.path())
	}
	for _, h := range p.made() {
		b.on(*h, "mv %s %[1]s.old", h.path())
		dir := strings.TrimSuffix(h.Data, "/./member")
		if dir != h.Data {
			dir += ".new" // what else there is in the folder stays
		}
		b.on(*h, "etcdutl snapshot restore /root/snapshot.db --name %s --initial-cluster %s --initial-cluster-token %s --initial-advertise-peer-urls %s --data-dir %s --bump-revision %d --mark-compacted",
			h.Member.Name, p.initialCluster(), p.Token, strings.Join(h.Member.PeerURLs, ","), dir, p.Bump)
		if dir != h.Data {
			b.on(*h, "mv %s/member %s && rmdir %[1]s", dir, h.path())
		}
		if owner := cmp.Or(h.Member.Owner, h.Member.IDs); owner != "" {
			b.on(*h, "chown -R %s %s", owner, h.path()) // etcdutl makes it with mode 700
		}
		b.on(*h, "rm /root/snapshot.db")
	}
	b.files()
	b.head("Start everything, etcd first; on to the next program when the one before is well on all machines.")
	for _, name := range order {
		b.parts(name, func(h HostPlan, part Part) {
			if name == "etcd" && h.Join != "" {
				return
			}
			if part.Manifest != "" {
				b.on(h, "mv /root/stopped/%s %s", part.Manifest[strings.LastIndexByte(part.Manifest, '/')+1:], part.Manifest)
			} else {
				b.on(h, "systemctl start --no-block %s", part.Unit)
			}
		})
		for _, h := range p.joins() {
			if name == "etcd" {
				b.join(h)
			}
		}
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

// unpack brings the snapshot and the saved files to where the tools of a layout want them.
func (b *book) unpack() {
	b.say("# Here: unpack the archive (age -d -i KEY first, if it is sealed).")
	b.say("mkdir -m 700 saved && tar -xzf %s -C saved --same-permissions", b.p.File)
}

// rke2 is the run-book of a cluster of RKE2: its own program resets the cluster to a snapshot on one server, which the others join anew.
func (b *book) rke2() {
	first := b.p.Hosts[0]
	const server = "/var/lib/rancher/rke2/server"
	b.unpack()
	b.say("scp saved/etcd/snapshot.db %s:/root/snapshot.db", first.Name)
	b.head("On all servers: stop RKE2 and what it runs.")
	for _, h := range b.p.Hosts {
		b.on(h, "systemctl stop rke2-server && rke2-killall.sh")
	}
	b.head("Files that are lost, on the machines that have lost them (with the token of then: without it the snapshot's certificates cannot be read).")
	for _, h := range b.p.Hosts {
		b.say("tar -C saved/hosts/%s/files -cf - etc/rancher var/lib/rancher/rke2/server/tls var/lib/rancher/rke2/server/cred var/lib/rancher/rke2/server/token | ssh %[1]s tar -C / --same-owner -xpf -", h.Name)
	}
	b.head("On the first server: its etcd becomes the snapshot's, with one member (%s; RKE2 keeps the data of before as db/etcd-old-*).", first.Member.Name)
	b.on(first, "rke2 server --cluster-reset --cluster-reset-restore-path=/root/snapshot.db --token=\"$(cat %s/token)\"", server)
	b.on(first, "systemctl start rke2-server && rm /root/snapshot.db")
	b.on(first, "/var/lib/rancher/rke2/bin/kubectl --kubeconfig /etc/rancher/rke2/rke2.yaml get --raw /readyz")
	b.head("The other servers, one after the other when the one before is Ready: without their data they join it.")
	for _, h := range b.p.Hosts[1:] {
		b.on(h, "mv %s/db %[1]s/db.old && systemctl start rke2-server", server)
	}
	b.head("Then restart rke2-agent on every agent, and remove nodes that do not exist any more. RKE2 does not raise the revision: restart every controller that remembers newer objects.")
}

// openshift4 is the run-book of an OpenShift 4: what its cluster-restore.sh wants is made out of the archive.
func (b *book) openshift4() {
	first := b.p.Hosts[0]
	const backup = "/home/core/assets/backup"
	b.unpack()
	b.say("mkdir -m 700 assets && mv saved/etcd/snapshot.db assets/snapshot_restore.db")
	b.say("tar -C saved/hosts/%s/files/etc/kubernetes -czf assets/static_kuberesources_restore.tar.gz static-pod-resources", first.Name)
	b.say("tar -C assets -cf - . | ssh core@%s 'sudo mkdir -p %s && sudo tar -C %[2]s -xf -'", first.Name, backup)
	if len(b.p.Hosts) > 1 {
		b.head("On the other control-plane machines: stop etcd and the API servers, and move the data aside (from 4.18 on `disable-etcd.sh` does it).")
		for _, h := range b.p.Hosts[1:] {
			b.on(h, "sudo mkdir -p /home/core/stopped && sudo mv -v /etc/kubernetes/manifests/etcd-pod.yaml /etc/kubernetes/manifests/kube-apiserver-pod.yaml /home/core/stopped/")
			b.on(h, "sudo sh -c 'while crictl ps | grep -qE \" (etcd|kube-apiserver) \"; do sleep 2; done; mv /var/lib/etcd /var/lib/etcd.old'")
		}
	}
	b.head("On the one that recovers (%s): its own script makes a single member of the snapshot. The release has to be the archive's.", first.Member.Name)
	b.on(first, "sudo -E /usr/local/bin/cluster-restore.sh %s", backup)
	b.head("On all machines, then; approve signing requests that wait.")
	for _, h := range b.p.Hosts {
		b.on(h, "sudo systemctl restart kubelet")
	}
	b.say("oc get csr -o name | xargs oc adm certificate approve")
	b.head("Roll everything out anew, one after the other, each when the one before is not Progressing any more.")
	for _, o := range []string{"etcd", "kubeapiserver", "kubecontrollermanager", "kubescheduler"} {
		b.say("oc patch %s cluster --type=merge -p '{\"spec\": {\"forceRedeploymentReason\": \"restore %s\"}}'", o, b.p.ID)
	}
	b.say("sudo rm -r %s # on %s: it holds the cluster's keys", backup, first.Name)
}
