// SPDX-License-Identifier: Apache-2.0

package object

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"math/bits"
)

// maxDepth of a value inside of metadata keeps the whole within encoding/json's limit of 10,000
// levels, so that what passes here can be decoded later.
const maxDepth = 9998

// The functions below take a body and an index and return the index behind what they
// read; or the index of the fault and what it is. They never allocate on a sound body.

const (
	endsEarly = "the text ends early"
	tooDeep   = "nested too deeply"
)

// members walks the keys of one object.
type members struct {
	b       []byte
	i       int // behind the '{' at first; the caller moves it behind each value
	started bool
}

// next returns the next key without its quotes, still escaped, with i on the first byte of its value; nil: the object has ended, i is behind it.
func (m *members) next() (key []byte, what string) {
	m.i = spaces(m.b, m.i)
	if m.i == len(m.b) {
		return nil, endsEarly
	}
	switch c := m.b[m.i]; {
	case c == '}':
		m.i++
		return nil, ""
	case !m.started:
		m.started = true
	case c == ',':
		m.i = spaces(m.b, m.i+1)
	default:
		return nil, "comma or end of object expected"
	}
	start := m.i
	if start == len(m.b) {
		return nil, endsEarly
	}
	if m.b[start] != '"' {
		return nil, "key expected"
	}
	if m.i, what = stringEnd(m.b, start+1); what != "" {
		return nil, what
	}
	key = m.b[start+1 : m.i-1]
	if m.i = spaces(m.b, m.i); m.i == len(m.b) {
		return nil, endsEarly
	}
	if m.b[m.i] != ':' {
		return nil, "colon expected"
	}
	if m.i = spaces(m.b, m.i+1); m.i == len(m.b) {
		return nil, endsEarly
	}
	return key, ""
}

// levels is the stack of open objects and arrays, a bit each.
type levels struct {
	depth int
	bits  uint64   // of the innermost 1 to 64 levels, the innermost lowest; 1: object
	outer []uint64 // the rest, 64 levels each
}

func (l *levels) push(bit uint64) bool {
	if l.depth&63 == 0 && l.depth > 0 {
		l.outer = append(l.outer, l.bits)
	}
	l.depth++
	l.bits = l.bits<<1 | bit
	return l.depth <= maxDepth
}

func (l *levels) pop() {
	l.depth--
	l.bits >>= 1
	if l.depth&63 == 0 && l.depth > 0 {
		l.bits = l.outer[len(l.outer)-1]
		l.outer = l.outer[:len(l.outer)-1]
	}
}

// skip reads the one value that starts at i, which has no white space in front.
func skip(b []byte, i int) (int, string) {
	var open levels
	var what string
next:
	for {
		if i >= len(b) {
			return len(b), endsEarly
		}
		switch b[i] {
		case '"':
			i, what = stringEnd(b, i+1)
		case '{':
			if !open.push(1) {
				return i, tooDeep
			}
			if i = spaces(b, i+1); i < len(b) && b[i] != '}' {
				if i, what = keyEnd(b, i); what == "" {
					continue
				}
			}
		case '[':
			if !open.push(0) {
				return i, tooDeep
			}
			if i = spaces(b, i+1); i < len(b) && b[i] != ']' {
				continue
			}
		default:
			i, what = scalarEnd(b, i)
		}
		if what != "" {
			return i, what
		}
		for open.depth > 0 {
			if i = spaces(b, i); i >= len(b) {
				return i, endsEarly
			}
			switch c := b[i]; {
			case c == ',' && open.bits&1 == 1:
				if i, what = keyEnd(b, spaces(b, i+1)); what != "" {
					return i, what
				}
				continue next
			case c == ',':
				i = spaces(b, i+1)
				continue next
			case c == '}' && open.bits&1 == 1, c == ']' && open.bits&1 == 0:
				open.pop()
				i++
			default:
				return i, "comma or end expected"
			}
		}
		return i, ""
	}
}

// keyEnd reads a key and its colon, and goes on to the first byte of the value.
func keyEnd(b []byte, i int) (int, string) {
	if i >= len(b) {
		return i, endsEarly
	}
	if b[i] != '"' {
		return i, "key expected"
	}
	i, what := stringEnd(b, i+1)
	if what != "" {
		return i, what
	}
	if i = spaces(b, i); i >= len(b) {
		return i, endsEarly
	}
	if b[i] != ':' {
		return i, "colon expected"
	}
	return spaces(b, i+1), ""
}

const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
)

// stringEnd reads a string whose opening quote is just before i. Eight bytes at a time: of the
// marks in m the lowest is right, and only that one is looked at.
func stringEnd(b []byte, i int) (int, string) {
	for ; len(b)-i >= 8; i += 8 {
		w := binary.LittleEndian.Uint64(b[i:])
		quote, slash := w^(ones*'"'), w^(ones*'\\')
		m := ((quote-ones)&^quote | (slash-ones)&^slash | (w-ones*' ')&^w) & highs
		if m == 0 {
			continue
		}
		i += bits.TrailingZeros64(m) >> 3
		if b[i] == '"' {
			return i + 1, ""
		}
		n := escape(b[i:])
		if n == 0 {
			return i, stringFault(b[i])
		}
		i += n - 8
	}
	for i < len(b) {
		switch c := b[i]; {
		case c == '"':
			return i + 1, ""
		case c != '\\' && c >= ' ':
			i++
			continue
		}
		n := escape(b[i:])
		if n == 0 {
			return i, stringFault(b[i])
		}
		i += n
	}
	return i, endsEarly
}

func stringFault(c byte) string {
	if c == '\\' {
		return "invalid escape in a string"
	}
	return "control character in a string"
}

// escape is the length of the escape that b starts with, 0 if it is none.
func escape(b []byte) int {
	if len(b) < 2 || b[0] != '\\' {
		return 0
	}
	switch b[1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return 2
	case 'u':
		if len(b) < 6 {
			return 0
		}
		for _, c := range b[2:6] {
			if (c < '0' || c > '9') && (c|0x20 < 'a' || c|0x20 > 'f') {
				return 0
			}
		}
		return 6
	}
	return 0
}

// scalarEnd reads a number, true, false or null.
func scalarEnd(b []byte, i int) (int, string) {
	word := ""
	switch c := b[i]; {
	case c == '-' || c >= '0' && c <= '9':
		return numberEnd(b, i)
	case c == 't':
		word = "true"
	case c == 'f':
		word = "false"
	case c == 'n':
		word = "null"
	default:
		return i, "value expected"
	}
	if len(b)-i < len(word) || string(b[i:i+len(word)]) != word {
		return i, "value expected"
	}
	return i + len(word), ""
}

func numberEnd(b []byte, i int) (int, string) {
	start := i
	if b[i] == '-' {
		i++
	}
	whole := digits(b, i)
	if whole == i || b[i] == '0' && whole > i+1 {
		return start, "invalid number"
	}
	i = whole
	if i < len(b) && b[i] == '.' {
		fraction := digits(b, i+1)
		if fraction == i+1 {
			return start, "invalid number"
		}
		i = fraction
	}
	if i < len(b) && b[i]|0x20 == 'e' {
		i++
		if i < len(b) && (b[i] == '+' || b[i] == '-') {
			i++
		}
		exponent := digits(b, i)
		if exponent == i {
			return start, "invalid number"
		}
		i = exponent
	}
	return i, ""
}

func digits(b []byte, i int) int {
	for i < len(b) && b[i] >= '0' && b[i] <= '9' {
		i++
	}
	return i
}

func spaces(b []byte, i int) int {
	if i < len(b) && b[i] > ' ' {
		return i
	}
	return moreSpaces(b, i)
}

func moreSpaces(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\n' || b[i] == '\t' || b[i] == '\r') {
		i++
	}
	return i
}

// plain says that a string's raw text needs no decoding.
func plain(raw []byte) bool {
	for _, c := range raw {
		if c == '\\' || c >= 0x80 {
			return false
		}
	}
	return true
}

// text decodes the raw text of a sound string, given without its quotes; bytes that are not UTF-8 become U+FFFD.
func text(raw []byte) string {
	if plain(raw) {
		return string(raw)
	}
	var s string
	quoted := append(append([]byte{'"'}, raw...), '"')
	if err := json.Unmarshal(quoted, &s); err != nil {
		return string(raw)
	}
	return s
}

// equalText compares the raw text of a string with a plain one.
func equalText(raw []byte, s string) bool {
	if bytes.IndexByte(raw, '\\') < 0 {
		return string(raw) == s
	}
	return text(raw) == s
}
