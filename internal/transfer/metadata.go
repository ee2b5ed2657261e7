// SPDX-License-Identifier: Apache-2.0

package transfer

import (
	"errors"
	"slices"
)

// differs reports whether metadata are to be set right.
func (r *receiver) differs(have, e *Entry, times bool) bool {
	return r.owner && (have.UID != e.UID || have.GID != e.GID) ||
		e.Type != Symlink && have.Mode&permMask != e.Mode&permMask ||
		r.xattrs && e.Type != Symlink && !sameXattr(have.Xattr, e.Xattr) ||
		times && (have.Sec != e.Sec || have.Nsec != e.Nsec)
}

// apply sets what differs, the times last.
func (r *receiver) apply(f folder, name string, have, e *Entry) error {
	if r.owner && (have.UID != e.UID || have.GID != e.GID) {
		if err := r.chowned(f.chown(name, e.UID, e.GID)); err != nil {
			return err
		}
		have.Mode = ^e.Mode // it may have lost setuid
		have.Xattr = slices.DeleteFunc(have.Xattr, func(x Xattr) bool { return x.Name == "security.capability" })
	}
	if !r.owner && have.UID != e.UID {
		r.stats.Unowned = true
	}
	if e.Type != Symlink {
		if have.Mode&permMask != e.Mode&permMask {
			if err := f.chmod(name, e.Mode); err != nil && !refused(err) {
				return err
			}
		}
		if r.xattrs {
			err := f.setXattrs(name, have.Xattr, e.Xattr)
			if r.keptOf(e.Path, kept{bare: errors.Is(err, errors.ErrUnsupported)}); err != nil && !errors.Is(err, errors.ErrUnsupported) {
				return err
			}
		}
	}
	now, err := f.stat(name, false)
	r.keptOf(e.Path, kept{dropped: err == nil && r.differs(&Entry{Type: e.Type, Mode: now.Mode, UID: now.UID, GID: now.GID, Xattr: e.Xattr}, e, false)})
	return f.setTimes(name, e)
}

// chowned gives up on owners when this process has no right to set them.
func (r *receiver) chowned(err error) error {
	if refused(err) {
		r.owner, r.stats.Unowned = false, true
		return nil
	}
	return err
}
