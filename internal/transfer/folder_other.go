// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package transfer

import (
	"os"

	"hozon.dev/hozon/internal/fail"
)

// A folder is only known on Linux.
type folder struct{ fd int }

const none = -1

var errLinux = fail.Errorf(fail.Unsupported, "copying files into and out of pods needs Linux on this side")

func openFolder(string) (folder, error)                        { return folder{none}, errLinux }
func (f folder) openWithin(string) (folder, error)             { return folder{none}, errLinux }
func (f folder) open(string) (folder, error)                   { return folder{none}, errLinux }
func (f folder) close()                                        {}
func (f folder) names() ([]string, error)                      { return nil, errLinux }
func (f folder) stat(string, bool) (Entry, error)              { return Entry{}, errLinux }
func (f folder) xattrs(string) ([]Xattr, error)                { return nil, errLinux }
func (f folder) setXattrs(string, []Xattr, []Xattr) error      { return errLinux }
func (f folder) openFile(string) (*os.File, error)             { return nil, errLinux }
func (f folder) createFile(string, bool) (*os.File, error)     { return nil, errLinux }
func (f folder) mkdir(string) error                            { return errLinux }
func (f folder) make(string, *Entry) error                     { return errLinux }
func (f folder) link(string, folder, string) error             { return errLinux }
func (f folder) rename(string, string) error                   { return errLinux }
func (f folder) unlink(string) error                           { return errLinux }
func (f folder) removeAll(string) (int, error)                 { return 0, errLinux }
func (f folder) chown(string, uint32, uint32) error            { return errLinux }
func (f folder) chmod(string, uint32) error                    { return errLinux }
func (f folder) setTimes(string, *Entry) error                 { return errLinux }
func chmodFile(*os.File, *Entry) error                         { return errLinux }
func chownFile(*os.File, *Entry) error                         { return errLinux }
func nextData(_ *os.File, from, size int64) (start, end int64) { return from, size }
func keptFile(*os.File, *Entry) bool                           { return true }
func final(error) error                                        { return nil }
