// SPDX-License-Identifier: Apache-2.0

package object

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"hozon.dev/hozon/internal/fail"
)

var errLimit = fail.Errorf(fail.Invalid, "a value is larger than the limit")

// stream is a window on a text that is read piece by piece.
type stream struct {
	r     io.Reader
	b     []byte // whole capacity in use
	i     int    // next byte to look at
	end   int    // behind the last byte read
	keep  int    // first byte still needed
	base  int64  // offset in the stream of b[0]
	limit int
	empty int // reads in a row that brought nothing
}

func (s *stream) offset() int64 { return s.base + int64(s.i) }

func (s *stream) fault(what string) error {
	return fail.Errorf(fail.Corrupt, "byte %d: %s", s.offset(), what)
}

// more reads on; all bytes from keep on stay, possibly at another place.
func (s *stream) more() error {
	if s.end == len(s.b) {
		if err := s.room(); err != nil {
			return err
		}
	}
	for {
		n, err := s.r.Read(s.b[s.end:])
		s.end += n
		switch {
		case n > 0:
			s.empty = 0
			return nil
		case errors.Is(err, io.EOF):
			return fail.As(fail.Transient, fmt.Errorf("the body ends early, after %d bytes: %w", s.base+int64(s.end), io.ErrUnexpectedEOF))
		case err != nil:
			return err
		}
		if s.empty++; s.empty > 100 {
			return io.ErrNoProgress
		}
	}
}

// room makes place at the buffer's end: by moving what must stay to its start, or by growing.
func (s *stream) room() error {
	kept := s.end - s.keep
	if kept >= s.limit {
		return errLimit
	}
	if kept >= len(s.b)/2 && len(s.b) < s.limit {
		b := make([]byte, max(min(2*len(s.b), s.limit), min(firstBuffer, s.limit)))
		copy(b, s.b[s.keep:s.end])
		s.b = b
	} else {
		copy(s.b, s.b[s.keep:s.end])
	}
	s.base += int64(s.keep)
	s.i -= s.keep
	s.end, s.keep = kept, 0
	return nil
}

// peek skips white space and shows the next byte; nothing before it is kept.
func (s *stream) peek() (byte, error) {
	for {
		if s.i = spaces(s.b[:s.end], s.i); s.i < s.end {
			return s.b[s.i], nil
		}
		s.keep = s.i
		if err := s.more(); err != nil {
			return 0, err
		}
	}
}

func (s *stream) expect(want byte) error {
	c, err := s.peek()
	if err != nil {
		return err
	}
	if c != want {
		return s.fault(fmt.Sprintf("%q expected", want))
	}
	s.i++
	return nil
}

// value reads the value that starts at i and returns its text, valid until the next read.
func (s *stream) value() ([]byte, error) {
	s.keep = s.i
	var at nesting
	if c := s.b[s.i]; c != '{' && c != '[' && c != '"' {
		return s.scalar()
	}
	for {
		var done bool
		if s.i, done = at.advance(s.b[:s.end], s.i); done {
			return s.b[s.keep:s.i], nil
		}
		if err := s.more(); err != nil {
			return nil, err
		}
	}
}

func (s *stream) scalar() ([]byte, error) {
	for {
		for ; s.i < s.end; s.i++ {
			if c := s.b[s.i]; c <= ' ' || c == ',' || c == ']' || c == '}' || c == ':' {
				raw := s.b[s.keep:s.i]
				if i, what := skip(raw, 0); what != "" || i != len(raw) {
					return nil, s.fault("value expected")
				}
				return raw, nil
			}
		}
		if err := s.more(); err != nil {
			return nil, err
		}
	}
}

// nesting is how deep in a value a place is, and whether it is in a string.
type nesting struct {
	depth    int
	inString bool
}

// Classes of bytes outside of strings.
const (
	other = iota
	quote
	opens
	closes
)

var class = [256]uint8{'"': quote, '{': opens, '[': opens, '}': closes, ']': closes}

// advance goes on at b[i] until the value ends (done, and the index behind it) or b does. All of
// the value so far is in b.
func (n *nesting) advance(b []byte, i int) (int, bool) {
	depth := n.depth
	if n.inString {
		goto inString
	}
outside:
	for ; i < len(b); i++ {
		switch class[b[i]] {
		case opens:
			depth++
		case closes:
			if depth--; depth <= 0 {
				return i + 1, true
			}
		case quote:
			i++
			goto inString
		}
	}
	n.depth, n.inString = depth, false
	return i, false
inString:
	for {
		j := bytes.IndexByte(b[i:], '"')
		if j < 0 {
			n.depth, n.inString = depth, true
			return len(b), false
		}
		i += j + 1
		if b[i-2] == '\\' && escaped(b[:i-1]) {
			continue
		}
		if depth == 0 {
			return i, true
		}
		goto outside
	}
}

// escaped says whether a byte that follows b, inside of a string, is escaped: b ends in an odd number of backslashes.
func escaped(b []byte) bool {
	n := len(b)
	for n > 0 && b[n-1] == '\\' {
		n--
	}
	return (len(b)-n)%2 == 1
}
