// SPDX-License-Identifier: Apache-2.0

package dr

import (
	"archive/tar"
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"hozon.dev/hozon/internal/dr/bundle"
	"hozon.dev/hozon/internal/fail"
)

// archiveOf makes an archive around a snapshot with three machines: two with static pods, one whose etcd is a service; and loads it.
func archiveOf(t *testing.T, version string) *Archive {
	t.Helper()
	return archiveWith(t, version, func(*bundle.Manifest) {})
}

// archiveWith changes what the archive says of them.
func archiveWith(t *testing.T, version string, change func(*bundle.Manifest)) *Archive {
	t.Helper()
	snapshot, _, _ := fixture(t, "plain")
	var b bytes.Buffer
	w, err := bundle.NewWriter(&b, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	add := func(h *tar.Header, body []byte) {
		h.Size = int64(len(body))
		if err := w.Add(h, bytes.NewReader(body)); err != nil {
			t.Fatal(err)
		}
	}
	add(&tar.Header{Typeflag: tar.TypeReg, Name: bundle.Snapshot, Mode: 0o600}, snapshot)
	m := &bundle.Manifest{Cluster: "prod", Created: time.Now(), Expires: time.Now().Add(time.Hour), Etcd: bundle.EtcdFacts{Version: version}}
	for i, name := range []string{"cp-1", "cp-2", "cp-3"} {
		h := bundle.Host{Name: name, Layout: LayoutKubeadm, Processes: []bundle.Process{{Name: "kubelet"}, {Name: "kube-apiserver"}, {Name: "etcd", Unit: "etcd-member"}}}
		h.Member = &bundle.Member{Name: "m" + name[3:], DataDir: "/var/lib/etcd", PeerURLs: []string{"https://192.0.2.1" + name[3:] + ":2380"}, Owner: "etcd:etcd"}
		m.Hosts = append(m.Hosts, h)
		pods := []string{"etcd", "kube-apiserver"}
		if i == 2 {
			pods = pods[1:]
		}
		for _, p := range pods {
			add(&tar.Header{Typeflag: tar.TypeReg, Name: entryOf(name, manifests+p+".yaml"), Mode: 0o600}, []byte(p))
		}
	}
	m.Hosts = append(m.Hosts, bundle.Host{Name: "worker", Layout: LayoutKubeadm, Processes: []bundle.Process{{Name: "kubelet"}}})
	change(m)
	if err := w.Close(m); err != nil {
		t.Fatal(err)
	}
	a, err := Load(t.Context(), "prod.tar.gz", bytes.NewReader(b.Bytes()), int64(b.Len()))
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func restorer(a *Archive) *Restorer {
	return &Restorer{Cluster: "prod", Archive: a, Now: time.Now, Say: func(string, ...any) {}}
}

// TestPlan is what is decided from an archive alone: who is stopped and started how, in which order, and which members there will be.
func TestPlan(t *testing.T) {
	r := restorer(archiveOf(t, "3.6.8"))
	p, err := r.newPlan()
	if err != nil {
		t.Fatal(err)
	}
	if got := p.initialCluster(); got != "m1=https://192.0.2.11:2380,m2=https://192.0.2.12:2380,m3=https://192.0.2.13:2380" {
		t.Errorf("members: %s", got)
	}
	if p.host("worker") != nil || !p.Execute() {
		t.Errorf("%+v", p)
	}
	if got := p.host("cp-1").Parts; !slices.Equal(got, []Part{{Process: "etcd", Manifest: manifests + "etcd.yaml"}, {Process: "kube-apiserver", Manifest: manifests + "kube-apiserver.yaml"}}) {
		t.Errorf("%+v", got)
	}
	if got := p.host("cp-3").Parts[0]; got != (Part{Process: "etcd", Unit: "etcd-member"}) {
		t.Errorf("%+v", got)
	}
	var names []string
	for _, s := range r.steps(p, "", &Outcome{}) {
		if slices.Contains(names, s.name()) {
			t.Errorf("two steps are called %q", s.name())
		}
		names = append(names, s.name())
	}
	place := func(name string) int {
		i := slices.Index(names, name)
		if i < 0 {
			t.Errorf("no step %q in %q", name, names)
		}
		return i
	}
	var last int
	for _, name := range []string{
		"bring files beside theirs @cp-3", "stop kube-apiserver @cp-1", "stop kube-apiserver @cp-3", "stop etcd @cp-1", "stop etcd @cp-3",
		"set /var/lib/etcd aside and put the restored one there @cp-1", "start etcd @cp-1", "start etcd @cp-3", "wait for etcd @", "start kube-apiserver @cp-1",
	} {
		if at := place(name); at < last {
			t.Errorf("%q comes too early", name)
		} else {
			last = at
		}
	}
	book := strings.Join(p.Runbook(), "\n")
	for _, want := range []string{
		"[cp-3] systemctl stop etcd-member", "[cp-2] mkdir -p /root/stopped && mv /etc/kubernetes/manifests/etcd.yaml /root/stopped/",
		"--name m2 --initial-cluster " + p.initialCluster() + " --initial-cluster-token " + p.Token, fmt.Sprintf("--bump-revision %d --mark-compacted", p.Bump), "[cp-1] chown -R etcd:etcd /var/lib/etcd",
	} {
		if !strings.Contains(book, want) {
			t.Errorf("%q is not in\n%s", want, book)
		}
	}
}

// TestLayoutPlans is how the programs of other layouts are stopped and started, and what is printed for those whose restore is not carried out.
func TestLayoutPlans(t *testing.T) {
	of := func(layout string, ran ...bundle.Process) *Plan {
		t.Helper()
		a := archiveWith(t, "3.5.9", func(m *bundle.Manifest) {
			for i := range m.Hosts[:3] {
				m.Hosts[i].Layout, m.Hosts[i].Processes = layout, ran
			}
		})
		p, err := restorer(a).newPlan()
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	etcd := bundle.Process{Name: "etcd"}
	p := of(LayoutK3s, bundle.Process{Name: "k3s", Unit: "k3s"}, bundle.Process{Name: "etcd", Within: "k3s"}, bundle.Process{Name: "kube-apiserver", Within: "k3s"})
	h := p.host("cp-1")
	if !p.Execute() || !slices.Equal(h.Parts, []Part{{Process: "k3s", Unit: "k3s", Words: "k3s server"}}) || h.Data != "/var/lib/etcd/./member" || h.path() != "/var/lib/etcd/member" {
		t.Errorf("k3s: %+v", h)
	}
	if book := strings.Join(p.Runbook(), "\n"); !strings.Contains(book, "[cp-2] mv /var/lib/etcd/member /var/lib/etcd/member.old") || !strings.Contains(book, "[cp-2] mv /var/lib/etcd.new/member /var/lib/etcd/member") {
		t.Errorf("k3s:\n%s", book)
	}
	p = of(LayoutOpenShift3, etcd, bundle.Process{Name: "kube-apiserver", Within: "openshift"}, bundle.Process{Name: "kube-controller-manager", Within: "openshift", Unit: "origin-master-controllers"})
	if want := []Part{
		{Process: "etcd", Unit: "etcd"}, {Process: "kube-apiserver", Unit: "atomic-openshift-master-api", Program: "openshift", Words: "start master api"},
		{Process: "kube-controller-manager", Unit: "origin-master-controllers", Program: "openshift", Words: "start master controllers"},
	}; !p.Execute() || !slices.Equal(p.host("cp-3").Parts, want) {
		t.Errorf("OpenShift 3.11: %+v", p.host("cp-3").Parts)
	}
	for layout, want := range map[string][]string{
		LayoutRKE2: {
			"tar -xzf prod.tar.gz -C saved", "scp saved/etcd/snapshot.db cp-1:/root/snapshot.db", "[cp-3] systemctl stop rke2-server && rke2-killall.sh",
			"[cp-1] rke2 server --cluster-reset --cluster-reset-restore-path=/root/snapshot.db", "[cp-2] mv /var/lib/rancher/rke2/server/db /var/lib/rancher/rke2/server/db.old",
		},
		LayoutOpenShift4: {
			"static_kuberesources_restore.tar.gz static-pod-resources", "[cp-2] sudo mkdir -p /home/core/stopped", "[cp-1] sudo -E /usr/local/bin/cluster-restore.sh /home/core/assets/backup",
			"[cp-3] sudo systemctl restart kubelet", "oc patch kubescheduler cluster",
		},
	} {
		p := of(layout, etcd, bundle.Process{Name: "rke2"})
		book := strings.Join(p.Runbook(), "\n")
		for _, w := range want {
			if !strings.Contains(book, w) {
				t.Errorf("%s: %q is not in\n%s", layout, w, book)
			}
		}
		if p.Execute() || !strings.Contains(p.Text(), "by hand") {
			t.Errorf("%s: %s", layout, p.Text())
		}
	}
}

// TestNoTrailer is an archive whose snapshot is a copy of a member's file, without the hash by which it could be told whether it is whole.
func TestNoTrailer(t *testing.T) {
	snapshot, _, _ := fixture(t, "plain")
	var b bytes.Buffer
	w, err := bundle.NewWriter(&b, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if err := w.AddBytes(bundle.Snapshot, snapshot[:len(snapshot)-32]); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(&bundle.Manifest{Cluster: "prod"}); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(t.Context(), "a", bytes.NewReader(b.Bytes()), int64(b.Len())); !fail.Is(err, fail.Corrupt) || !strings.Contains(err.Error(), "does not end with its hash") {
		t.Errorf("loaded for a restore: %v", err)
	}
	if _, _, err := Verify(t.Context(), bytes.NewReader(b.Bytes()), int64(b.Len())); !fail.Is(err, fail.Corrupt) {
		t.Errorf("verified: %v", err)
	}
	b.Reset()
	if w, err = bundle.NewWriter(&b, time.Now()); err != nil {
		t.Fatal(err)
	}
	snapshot[len(snapshot)-1] ^= 1
	if err := w.AddBytes(bundle.Snapshot, snapshot); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(&bundle.Manifest{Cluster: "prod"}); err != nil {
		t.Fatal(err)
	}
	for name, open := range map[string]func() error{
		"loaded":   func() error { _, err := Load(t.Context(), "a", bytes.NewReader(b.Bytes()), int64(b.Len())); return err },
		"verified": func() error { _, _, err := Verify(t.Context(), bytes.NewReader(b.Bytes()), int64(b.Len())); return err },
	} {
		if err := open(); !fail.Is(err, fail.Corrupt) || !strings.Contains(err.Error(), "SHA-256") {
			t.Errorf("%s with a hash that is not its own: %v", name, err)
		}
	}
}

// TestRaise is to what a revision is raised: beyond whatever anybody can have seen, also after a restore of the same archive whose data is gone again.
func TestRaise(t *testing.T) {
	a, now := archiveOf(t, "3.6.8"), time.Now()
	planned := func(at time.Time) *Plan {
		t.Helper()
		r := restorer(a)
		r.Now = func() time.Time { return at }
		p, err := r.newPlan()
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	revision := func(p *Plan) int64 { return p.Revision + int64(p.Bump) }
	first, second := planned(now), planned(now.Add(time.Minute))
	if revision(first) != now.UnixMicro() || revision(second)-revision(first) < 50_000_000 {
		t.Errorf("restored to %d, a minute later, without knowing of that, to %d", revision(first), revision(second))
	}
	if old := planned(time.Unix(0, 0)); old.Bump != bump {
		t.Errorf("with a clock that stands still it is raised by %d", old.Bump)
	}
	before := second.Bump
	if second.exceed(revision(first) + 1000); second.Bump != before {
		t.Errorf("raised by %d for an etcd that is not as far", second.Bump)
	}
	for _, live := range []int64{revision(second) - 1000, revision(second) + 5*bump} { // the clock was wrong once
		p := planned(now.Add(time.Minute))
		if p.exceed(live); revision(p) != live+bump {
			t.Errorf("etcd is at %d, is restored to %d", live, revision(p))
		}
	}
}

// TestMembers are restores of some machines only.
func TestMembers(t *testing.T) {
	r := restorer(archiveOf(t, "3.6.8"))
	r.Members = []string{"cp-2"}
	p, err := r.newPlan()
	if err != nil || p.initialCluster() != "m2=https://192.0.2.12:2380" || len(p.Hosts) != 1 {
		t.Errorf("%v, %+v", err, p)
	}
	r.Members = []string{"worker"}
	if _, err := r.newPlan(); !fail.Is(err, fail.Invalid) || !strings.Contains(err.Error(), "worker") {
		t.Errorf("a machine without a part of the control plane: %v", err)
	}
}

// TestVersions are those of etcd that are refused, unless somebody insists.
func TestVersions(t *testing.T) {
	for version, refused := range map[string]bool{"3.4.23": false, "3.7.0": false, "3.3.10": true, "3.8.0": true, "4.0.0": true, "": true} {
		r := restorer(archiveOf(t, version))
		for range 2 {
			p, err := r.newPlan()
			if err != nil {
				t.Fatal(err)
			}
			r.checker = Checker{Now: time.Now}
			r.archive(context.Background(), p)
			bad := slices.ContainsFunc(r.checker.found, func(f Finding) bool { return f.Level == Failed && strings.Contains(f.Text, "--insist version") })
			if bad != refused {
				t.Errorf("etcd %q, insisting on %v: %+v", version, r.Insist, r.checker.found)
			}
			r.Insist, refused = []string{InsistVersion}, false
		}
	}
}

// TestJoin is what a member's settings say while it joins others: only that changes.
func TestJoin(t *testing.T) {
	const members = "a=https://192.0.2.1:2380,b=https://192.0.2.2:2380"
	for name, c := range map[string]struct{ text, want string }{
		"manifest": {
			"    - etcd\n    - --initial-cluster=c=https://192.0.2.3:2380\n    - --name=b\n",
			"    - etcd\n    - --initial-cluster=" + members + "\n    - --initial-cluster-state=existing\n    - --name=b\n",
		},
		"manifest that says new": {
			"    - --initial-cluster-state=new\n    - --initial-cluster-token=t\n    - --initial-cluster=c=https://192.0.2.3:2380\n",
			"    - --initial-cluster-token=t\n    - --initial-cluster=" + members + "\n    - --initial-cluster-state=existing\n",
		},
		"variables": {
			"ETCD_NAME=b\nETCD_INITIAL_CLUSTER=\"c=https://192.0.2.3:2380\"\nETCD_INITIAL_CLUSTER_STATE=new\nETCD_INITIAL_CLUSTER_TOKEN=t",
			"ETCD_NAME=b\nETCD_INITIAL_CLUSTER=\"" + members + "\"\nETCD_INITIAL_CLUSTER_STATE=existing\nETCD_INITIAL_CLUSTER_TOKEN=t",
		},
		"neither": {"ETCD_NAME=b\n", ""},
	} {
		got, ok := join(c.text, members)
		if ok != (c.want != "") || ok && got != c.want {
			t.Errorf("%s: %v %q, want %q", name, ok, got, c.want)
		}
	}
}
