// SPDX-License-Identifier: Apache-2.0

package kopia

import (
	"golang.org/x/sys/unix"

	"hozon.dev/hozon/internal/vault"
)

// special makes an extra the whole record of a file that has no place in kopia's tree.
func (x *extra) special(name string, s *unix.Stat_t) {
	x.name, x.raw = "", name
	x.uid, x.gid, x.mode = s.Uid, s.Gid, s.Mode&0o7777
	sec, nsec := s.Mtim.Unix()
	x.timed, x.sec, x.nsec = true, sec, uint32(nsec)
	switch s.Mode & unix.S_IFMT {
	case unix.S_IFIFO:
		x.kind = vault.Pipe
	case unix.S_IFSOCK:
		x.kind = vault.Socket
	default:
		x.kind, x.mode, x.rdev = vault.Device, s.Mode&0xffff, s.Rdev
	}
}
