// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"os"
	"strconv"
	"sync"

	"golang.org/x/sys/unix"
)

// trimmer returns what gives back the pages of the program's file that are in memory. The libraries' initialisation runs through most of
// them once, and the kernel maps many pages around each access; what a command uses is a fraction, and is mapped again when it is. The pages stay in
// the page cache: this costs a few microseconds for each that comes back.
func trimmer() func() {
	find := sync.OnceValue(func() []mapping {
		exe, err := os.Readlink("/proc/self/exe")
		if err != nil {
			return nil
		}
		smaps, err := os.ReadFile("/proc/self/smaps")
		if err != nil {
			return nil
		}
		return unchanged(smaps, exe)
	})
	return func() {
		for _, m := range find() {
			// An error only means that the pages stay.
			_, _, _ = unix.Syscall(unix.SYS_MADVISE, m.start, m.length, unix.MADV_DONTNEED)
		}
	}
}

type mapping struct{ start, length uintptr }

// unchanged are the mappings of a file that are as the file is: not writable, and no page was ever copied on a write (as relocation does
// before it makes its part read-only). smaps is /proc/PID/smaps.
func unchanged(smaps []byte, file string) []mapping {
	var found []mapping
	var current mapping
	candidate := false
	for line := range bytes.Lines(smaps) {
		fields := bytes.Fields(line)
		switch {
		case len(fields) == 0:
		case !bytes.HasSuffix(fields[0], []byte(":")): // 00400000-022af000 r-xp 00000000 fe:00 10604160 /usr/bin/hozon
			current, candidate = readOnly(fields, file)
		case candidate && string(fields[0]) == "Anonymous:":
			if len(fields) > 1 && string(fields[1]) == "0" {
				found = append(found, current)
			}
			candidate = false
		}
	}
	return found
}

// readOnly reads the head of a mapping.
func readOnly(fields [][]byte, file string) (m mapping, ok bool) {
	if len(fields) != 6 || string(fields[5]) != file || bytes.Contains(fields[1], []byte("w")) {
		return m, false
	}
	from, to, _ := bytes.Cut(fields[0], []byte("-"))
	begin, err1 := strconv.ParseUint(string(from), 16, 64)
	end, err2 := strconv.ParseUint(string(to), 16, 64)
	if err1 != nil || err2 != nil || end <= begin {
		return m, false
	}
	return mapping{uintptr(begin), uintptr(end - begin)}, true
}
