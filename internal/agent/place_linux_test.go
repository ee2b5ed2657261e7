// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"hozon.dev/hozon/internal/fail"
)

// TestPlace: volumes are found where the kubelet has them, and a folder at which nothing is mounted is no volume.
func TestPlace(t *testing.T) {
	pods := t.TempDir()
	at := func(path string) string { return filepath.Join(pods, "uid-1", "volumes", path) }
	for _, dir := range []string{"kubernetes.io~empty-dir/scratch", "kubernetes.io~csi/pvc-1/mount", "kubernetes.io~nfs/twice", "kubernetes.io~csi/twice/mount", "kubernetes.io~nfs/bare"} {
		if err := os.MkdirAll(at(dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("/etc", at("kubernetes.io~nfs/link")); err != nil {
		t.Fatal(err)
	}
	p := Place{Pods: pods}
	for name, c := range map[string]struct {
		spot
		kind fail.Kind
		text string
	}{
		"none":      {spot{pod: "uid-1", name: "none"}, fail.NotFound, "no container of the pod has mounted"},
		"no pod":    {spot{pod: "uid-2", name: "scratch"}, fail.NotFound, "--kubelet-root-dir"},
		"several":   {spot{pod: "uid-1", name: "twice"}, fail.Invalid, "several folders"},
		"unmounted": {spot{pod: "uid-1", name: "bare", mounted: true}, fail.Unsupported, "nothing is mounted at"},
		"csi":       {spot{pod: "uid-1", name: "pvc-1", mounted: true}, fail.Unsupported, "pvc-1/mount"},
		"link":      {spot{pod: "uid-1", name: "link"}, fail.Unsupported, "only folders"},
		"outside":   {spot{pod: "../..", name: "etc"}, fail.Invalid, "not the UID"},
		"host":      {spot{host: "/srv"}, fail.Unsupported, "--node-agent-host-root"},
	} {
		f, err := p.open(c.spot)
		if f != nil {
			f.Close()
		}
		if !fail.Is(err, c.kind) || !strings.Contains(err.Error(), c.text) {
			t.Errorf("%s: %v", name, err)
		}
	}
	f, err := p.open(spot{pod: "uid-1", name: "scratch"})
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
	if os.Geteuid() != 0 {
		return // the rest mounts
	}
	for name, path := range map[string]string{"bare": "kubernetes.io~nfs/bare", "pvc-1": "kubernetes.io~csi/pvc-1/mount"} {
		if err := unix.Mount("tmpfs", at(path), "tmpfs", 0, ""); err != nil {
			t.Skipf("mount: %v", err)
		}
		t.Cleanup(func() { _ = unix.Unmount(at(path), unix.MNT_DETACH) })
		if err := os.WriteFile(filepath.Join(at(path), "here"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		f, err := p.open(spot{pod: "uid-1", name: name, mounted: true})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if _, err := os.Stat(filepath.Join(f.path(), "here")); err != nil || f.shown != at(path) {
			t.Errorf("%s: %s, %v", name, f.shown, err)
		}
		f.Close()
	}
}

// TestHostRoot: links of the node lead to where they do on the node.
func TestHostRoot(t *testing.T) {
	root := t.TempDir()
	if err := os.MkdirAll(filepath.Join(root, "srv/data"), 0o755); err != nil {
		t.Fatal(err)
	}
	for link, to := range map[string]string{"absolute": "/srv/data", "up": "../../../srv/data", "away": "/etc"} {
		if err := os.Symlink(to, filepath.Join(root, link)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(root, "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	want, err := os.Stat(filepath.Join(root, "srv/data"))
	if err != nil {
		t.Fatal(err)
	}
	p := Place{Root: root}
	for _, path := range []string{"/srv/data", "/absolute", "/up", "../srv/data"} {
		f, err := p.open(spot{host: path})
		if err != nil {
			t.Errorf("%s: %v", path, err)
			continue
		}
		if got, err := os.Stat(f.path()); err != nil || !os.SameFile(got, want) {
			t.Errorf("%s is another folder: %v", path, err)
		}
		f.Close()
	}
	for path, kind := range map[string]fail.Kind{"/away": fail.NotFound, "/none": fail.NotFound, "/file": fail.Unsupported} {
		if f, err := p.open(spot{host: path}); !fail.Is(err, kind) {
			if f != nil {
				f.Close()
			}
			t.Errorf("%s: %v", path, err)
		}
	}
}
