// SPDX-License-Identifier: Apache-2.0

package kopia

import (
	"bytes"
	"encoding/binary"
	"reflect"
	"testing"

	"hozon.dev/hozon/internal/vault"
)

func someExtras() []extra {
	return []extra{
		{name: "a\uFFFD", raw: "a\xff", inode: vault.Inode{Device: 1, Number: 2}},
		{name: "x", xattrs: []vault.Xattr{{Name: "user.a", Value: "\x00b"}, {Name: "user.b", Value: ""}}, timed: true, sec: -1, nsec: 999},
		{raw: "pipe", kind: vault.Pipe, mode: 0o644, uid: 1, gid: 2, timed: true},
		{raw: "null", kind: vault.Device, mode: 0o20666, rdev: 259},
	}
}

// sidecarBytes is a sidecar of two folders.
func sidecarBytes() []byte {
	b := []byte(sidecarMagic)
	var index []byte
	for _, path := range []string{"", "folder/below"} {
		section := appendText(nil, path)
		for _, x := range someExtras() {
			section = x.append(section)
		}
		hash := hashPath(path)
		entry := binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint64(hash[:], uint64(len(b))), uint32(len(section)))
		if bytes.Compare(entry, index) < 0 {
			index = append(entry, index...)
		} else {
			index = append(index, entry...)
		}
		b = append(b, section...)
	}
	at := len(b)
	b = binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(append(b, index...), uint64(at)), 2)
	return append(b, sidecarMagic...)
}

// TestSidecar: what is written is read.
func TestSidecar(t *testing.T) {
	s, err := openSidecar(bytes.NewReader(sidecarBytes()))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"", "folder/below"} {
		if list, err := s.folder(path); err != nil || !reflect.DeepEqual(list, someExtras()) {
			t.Errorf("%q: %+v, %v", path, list, err)
		}
	}
	if list, err := s.folder("nothing"); err != nil || list != nil {
		t.Errorf("%+v, %v", list, err)
	}
}

// FuzzSidecar reads sidecars that somebody with the password made.
func FuzzSidecar(f *testing.F) {
	f.Add(sidecarBytes())
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := openSidecar(bytes.NewReader(b))
		if err != nil {
			return
		}
		for _, path := range []string{"", "folder/below"} {
			list, err := s.folder(path)
			if err != nil {
				continue
			}
			nodes, err := merge([]vault.Node{{Name: "a\uFFFD", Type: vault.Regular}, {Name: "x", Type: vault.Folder}}, list)
			if err != nil {
				continue
			}
			for _, n := range nodes {
				if vault.CheckName(n.Name) != nil || n.Mode > 0xffff || n.Type == 0 {
					t.Errorf("%+v", n)
				}
			}
		}
	})
}
