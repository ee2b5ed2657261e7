// SPDX-License-Identifier: Apache-2.0

package dr

import (
	"archive/tar"
	"strings"
	"testing"

	"hozon.dev/hozon/internal/dr/bundle"
	"hozon.dev/hozon/internal/host"
	"hozon.dev/hozon/internal/host/hosttest"
)

// TestDataOwner is to whom etcd's folder belongs on a machine where it was made anew since the backup, is gone, or is a new file system.
func TestDataOwner(t *testing.T) {
	h := hosttest.Start(t, "cp-1")
	r := &Restorer{hosts: map[string]*host.Host{"cp-1": h.Connect(t)}}
	for _, c := range []struct {
		name, before string
		member       bundle.Member
		whole        string // the folder
		inner        string // its member
	}{
		{"made anew", "mkdir -m 755 $d", bundle.Member{Owner: "nobody:nogroup", IDs: "123:456", Mode: 0o700}, "700 65534:65534", "700 65534:65534"},
		{"gone", ":", bundle.Member{Owner: "nobody:nogroup", IDs: "123:456", Mode: 0o750}, "750 65534:65534", "700 65534:65534"},
		{"of somebody unknown here", "mkdir $d", bundle.Member{Owner: "keeper:keeper", IDs: "123:456", Mode: 0o700}, "700 123:456", "700 123:456"},
		{"without a name", "mkdir $d", bundle.Member{IDs: "123:456"}, "700 123:456", "700 123:456"},
		{"not said", "mkdir $d; chown 7:8 $d", bundle.Member{}, "700 7:8", "700 7:8"},
		{"not said and gone", ":", bundle.Member{}, "700 0:0", "700 0:0"},
		{"a new file system", "mkdir $d; mount -t tmpfs -o mode=755 none $d", bundle.Member{IDs: "123:456", Mode: 0o700}, "755 123:456", "700 123:456"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := "/var/lib/" + strings.ReplaceAll(c.name, " ", "-")
			h.Sh(t, "d="+dir+"; "+c.before)
			const look = "stat -c '%a %u:%g' "
			before := h.Sh(t, look+dir+" || :")
			p, hp := &Plan{ID: strings.ReplaceAll(c.name, " ", "")}, &HostPlan{Name: "cp-1", Data: dir, Member: &c.member}
			verb := func(verb string, args ...string) {
				t.Helper()
				if _, err := r.on(t.Context(), "cp-1", p, nil, verb, args...); err != nil {
					t.Fatal(err)
				}
			}
			verb("ready")
			err := r.send(t.Context(), p, "cp-1", func(w *tar.Writer) error {
				return w.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: "member/", Mode: 0o700})
			}, "stage-data", hp.dataArgs()...)
			if err != nil {
				t.Fatal(err)
			}
			verb("swap-data", dir)
			if got := h.Sh(t, look+dir+" "+dir+"/member"); got != c.whole+"\n"+c.inner+"\n" {
				t.Errorf("it is\n%swant\n%s\n%s", got, c.whole, c.inner)
			}
			verb("unswap-data", dir)
			if got := h.Sh(t, look+dir+" || :"); got != before {
				t.Errorf("taken back, it is %q, was %q", got, before)
			}
			if c.name == "a new file system" {
				return // aside goes what is in it
			}
			verb("aside-data", hp.dataArgs()...)
			if got := h.Sh(t, look+dir); got != c.whole+"\n" {
				t.Errorf("set aside and made anew for a member that joins, it is %swant %s", got, c.whole)
			}
		})
	}
}

// TestSavedOwner is what a backup notes of etcd's folder, and of etcd where it has none of that name.
func TestSavedOwner(t *testing.T) {
	h := hosttest.Start(t, "cp-1")
	m := &machine{Host: h.Connect(t), processes: []process{{name: "etcd", pid: "1"}}}
	h.Sh(t, "mkdir -m 750 /var/lib/named /var/lib/numbered; chown nobody:nogroup /var/lib/named; chown 4321:4322 /var/lib/numbered")
	for dir, want := range map[string]bundle.Member{
		"/var/lib/named":    {Owner: "nobody:nogroup", IDs: "65534:65534", Mode: 0o750},
		"/var/lib/numbered": {IDs: "4321:4322", Mode: 0o750},
		"/of-a-container":   {Owner: "root:root", IDs: "0:0"},
	} {
		got := bundle.Member{DataDir: dir}
		if err := m.dataOwner(t.Context(), &got); (err != nil) != (dir == "/of-a-container") {
			t.Errorf("%s: %v", dir, err)
		}
		if got.Owner != want.Owner || got.IDs != want.IDs || got.Mode != want.Mode {
			t.Errorf("%s: %+v, want %+v", dir, got, want)
		}
	}
}
