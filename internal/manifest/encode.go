// SPDX-License-Identifier: Apache-2.0

package manifest

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// first are the keys that come before the others, which are sorted.
var first = []string{"apiVersion", "kind", "metadata", "name", "namespace"}

// Keys are the keys of a map in the order in which Encode writes them.
func Keys(m map[string]any) []string {
	keys := make([]string, 0, len(m))
	for key := range m {
		keys = append(keys, key)
	}
	slices.SortFunc(keys, func(a, b string) int {
		i, j := slices.Index(first, a), slices.Index(first, b)
		switch {
		case i >= 0 && j >= 0:
			return i - j
		case i >= 0:
			return -1
		case j >= 0:
			return 1
		}
		return strings.Compare(a, b)
	})
	return keys
}

// Encode appends an object as YAML, in block style, to dst. Every YAML parser reads the same from it: what some of them take for
// something else than a text is quoted.
func Encode(dst []byte, o map[string]any) []byte {
	if len(o) == 0 {
		return append(dst, "{}\n"...)
	}
	return appendMap(dst, o, 0, false)
}

// appendMap appends the pairs of a map that is not empty; inline: the first one stands on the line that was begun.
func appendMap(dst []byte, m map[string]any, indent int, inline bool) []byte {
	for i, key := range Keys(m) {
		if i > 0 || !inline {
			dst = pad(dst, indent)
		}
		dst = append(appendText(dst, key), ':')
		switch v := m[key].(type) {
		case map[string]any:
			if len(v) > 0 {
				dst = appendMap(append(dst, '\n'), v, indent+2, false)
				continue
			}
		case []any:
			if len(v) > 0 {
				dst = appendList(append(dst, '\n'), v, indent, false)
				continue
			}
		}
		dst = appendScalar(append(dst, ' '), m[key], indent)
	}
	return dst
}

func appendList(dst []byte, list []any, indent int, inline bool) []byte {
	for i, e := range list {
		if i > 0 || !inline {
			dst = pad(dst, indent)
		}
		dst = append(dst, "- "...)
		switch e := e.(type) {
		case map[string]any:
			if len(e) > 0 {
				dst = appendMap(dst, e, indent+2, true)
				continue
			}
		case []any:
			if len(e) > 0 {
				dst = appendList(dst, e, indent+2, true)
				continue
			}
		}
		dst = appendScalar(dst, e, indent)
	}
	return dst
}

func pad(dst []byte, n int) []byte {
	for range n {
		dst = append(dst, ' ')
	}
	return dst
}

// appendScalar appends a value without elements, and the end of its line.
func appendScalar(dst []byte, v any, indent int) []byte {
	switch v := v.(type) {
	case string:
		if isBlock(v) {
			return appendBlock(dst, v, indent+2)
		}
		dst = appendText(dst, v)
	case map[string]any:
		dst = append(dst, "{}"...)
	case []any:
		dst = append(dst, "[]"...)
	case nil:
		dst = append(dst, "null"...)
	case bool:
		dst = strconv.AppendBool(dst, v)
	case int64:
		dst = strconv.AppendInt(dst, v, 10)
	case float64:
		dst = appendFloat(dst, v)
	default:
		dst = fmt.Append(dst, v)
	}
	return append(dst, '\n')
}

// appendFloat writes a number so that parsers of YAML 1.1 and 1.2 read the same: an exponent needs a point and a sign.
func appendFloat(dst []byte, f float64) []byte {
	text := strconv.FormatFloat(f, 'g', -1, 64)
	if i := strings.IndexByte(text, 'e'); i >= 0 && !strings.Contains(text, ".") {
		text = text[:i] + ".0" + text[i:]
	}
	return append(dst, text...)
}

// isBlock reports whether a text is best written as lines of their own.
func isBlock(s string) bool {
	if !strings.Contains(s, "\n") || strings.ContainsAny(s[:1], " \t\n") {
		return false
	}
	for _, r := range s {
		if r != '\n' && r != '\t' && !printable(r) {
			return false
		}
	}
	return true
}

func appendBlock(dst []byte, s string, indent int) []byte {
	body := strings.TrimRight(s, "\n")
	switch len(s) - len(body) {
	case 0:
		dst = append(dst, "|-\n"...)
	case 1:
		dst = append(dst, "|\n"...)
	default:
		dst = append(dst, "|+\n"...)
	}
	for line := range strings.SplitSeq(body, "\n") {
		if line != "" {
			dst = append(pad(dst, indent), line...)
		}
		dst = append(dst, '\n')
	}
	for range len(s) - len(body) - 1 {
		dst = append(dst, '\n')
	}
	return dst
}

// printable reports whether YAML takes a character as it is, in a text of one line.
func printable(r rune) bool {
	switch {
	case r < 0x20, r >= 0x7f && r < 0xa0, r == utf8.RuneError, r == 0xfeff, r == 0x2028, r == 0x2029, r >= 0xfffe && r <= 0xffff:
		return false
	}
	return true
}

// isPlain reports whether no parser takes a text for anything else than a text, if it is not odd. It begins with one of plainFirst, perhaps after one
// or two dashes, and goes on with those and plainRest; a single colon or space may stand before each of them.
func isPlain(s string) bool {
	s = strings.TrimPrefix(strings.TrimPrefix(s, "-"), "-")
	if s == "" || !isPlainFirst(s[0]) {
		return false
	}
	for i := 1; i < len(s); i++ {
		if c := s[i]; c == ':' || c == ' ' {
			if i++; i == len(s) {
				return false
			}
		}
		if c := s[i]; !isPlainFirst(c) && strings.IndexByte(",+@%=()-", c) < 0 {
			return false
		}
	}
	return true
}

func isPlainFirst(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || isDigit(c) || c == '_' || c == '/' || c == '.'
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

// isNumeric reports whether some parser may take a text for a number, a time or a date.
func isNumeric(s string) bool {
	if len(s) >= 5 && s[4] == '-' && isDigit(s[0]) && isDigit(s[1]) && isDigit(s[2]) && isDigit(s[3]) {
		return true
	}
	signed := s
	if s != "" && (s[0] == '-' || s[0] == '+') {
		signed = s[1:]
	}
	if len(signed) >= 2 && signed[0] == '0' && signed[1]|0x20 == 'x' {
		return true
	}
	if signed == s && s != "" && s[0] == '.' {
		signed = s[1:]
	}
	if signed == "" || !isDigit(signed[0]) {
		return false
	}
	for i := 1; i < len(signed); i++ {
		if c := signed[i]; !isDigit(c) && strings.IndexByte("-+._:eobxEOBX", c) < 0 {
			return false
		}
	}
	return true
}

// longPlain is what is quoted however plain it is.
const longPlain = 200

// words are texts that some parser takes for a truth value, nothing, or a number.
var words = map[string]bool{
	"true": true, "false": true, "yes": true, "no": true, "on": true, "off": true, "y": true, "n": true, "null": true, ".inf": true, "-.inf": true, ".nan": true,
}

// appendText appends a text in one line: plain if that is beyond doubt, else in double quotes.
func appendText(dst []byte, s string) []byte {
	if len(s) < longPlain && isPlain(s) && !isNumeric(s) && !words[strings.ToLower(s)] && !strings.HasPrefix(s, "...") {
		return append(dst, s...)
	}
	dst = append(dst, '"')
	for _, r := range s {
		switch {
		case r == '"', r == '\\':
			dst = append(dst, '\\', byte(r))
		case r == '\n':
			dst = append(dst, '\\', 'n')
		case r == '\t':
			dst = append(dst, '\\', 't')
		case printable(r):
			dst = utf8.AppendRune(dst, r)
		case r < 0x100:
			dst = fmt.Appendf(dst, `\x%02X`, r)
		default:
			dst = fmt.Appendf(dst, `\u%04X`, r)
		}
	}
	return append(dst, '"')
}
