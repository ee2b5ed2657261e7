// SPDX-License-Identifier: Apache-2.0

package archive

import (
	"archive/tar"
	"bytes"
	"strconv"
	"time"
)

const (
	tarBlock   = 512
	tarMode    = 0o755
	tarTrailer = 2 * tarBlock
)

// Fields of a ustar header (POSIX.1-1988): offset and width.
const (
	ustarName        = 100
	ustarSize        = 124
	ustarChecksum    = 148
	ustarPrefix      = 345
	ustarPrefixWidth = 155
)

// header makes tar headers. Names that a ustar header holds take a short way, the same bytes that
// archive/tar writes; a test compares them. For the others it asks archive/tar.
type header struct {
	modified time.Time
	blank    [tarBlock]byte // all but name, prefix, size and checksum
	sum      int64          // of blank, with blanks for the checksum
}

func newHeader(modified time.Time) *header {
	if modified.Unix() < 0 {
		modified = time.Unix(0, 0)
	}
	h := &header{modified: modified}
	var buf bytes.Buffer
	// The name is one byte long and is taken out again.
	if err := tar.NewWriter(&buf).WriteHeader(h.full("x", 0)); err == nil {
		copy(h.blank[:], buf.Bytes())
	}
	h.blank[0] = 0
	copy(h.blank[ustarChecksum:], "        ")
	for _, c := range h.blank {
		h.sum += int64(c)
	}
	return h
}

func (h *header) full(path string, size int64) *tar.Header {
	return &tar.Header{Typeflag: tar.TypeReg, Name: path, Size: size, Mode: tarMode, ModTime: h.modified}
}

// append adds the header of a file. The size is below 8 GiB.
func (h *header) append(buf, path []byte, size int) ([]byte, error) {
	prefix, name, ok := splitName(path)
	if !ok {
		var b bytes.Buffer
		err := tar.NewWriter(&b).WriteHeader(h.full(string(path), int64(size)))
		return append(buf, b.Bytes()...), err
	}
	at := len(buf)
	buf = append(buf, h.blank[:]...)
	block := buf[at:]
	sum := h.sum
	for i, c := range name {
		block[i] = c
		sum += int64(c)
	}
	for i, c := range prefix {
		block[ustarPrefix+i] = c
		sum += int64(c)
	}
	for i, n := ustarSize+10, size; n > 0; i, n = i-1, n>>3 {
		block[i] += byte(n & 7) // it holds '0'
		sum += int64(n & 7)
	}
	digits := strconv.AppendInt(make([]byte, 0, 8), sum, 8)
	copy(block[ustarChecksum:], "000000\x00 ")
	copy(block[ustarChecksum+6-len(digits):], digits)
	return buf, nil
}

// splitName cuts a path into the two name fields of a ustar header, if it fits.
func splitName(path []byte) (prefix, name []byte, ok bool) {
	for _, c := range path {
		if c >= 0x80 || c == 0 {
			return nil, nil, false
		}
	}
	if len(path) <= ustarName {
		return nil, path, true
	}
	i := bytes.LastIndexByte(path[:min(len(path), ustarPrefixWidth+1)], '/')
	if i <= 0 || len(path)-i-1 > ustarName || i == len(path)-1 {
		return nil, nil, false
	}
	return path[:i], path[i+1:], true
}

var zeros [tarBlock]byte

// pad fills up the last tar block.
func pad(buf []byte, size int) []byte {
	return append(buf, zeros[:-size&(tarBlock-1)]...)
}
