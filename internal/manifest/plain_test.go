// SPDX-License-Identifier: Apache-2.0

package manifest

import (
	"regexp"
	"testing"
)

// The rules for texts that need no quotes, as patterns.
var (
	plain   = regexp.MustCompile(`^(?:--?)?[A-Za-z0-9_/.][A-Za-z0-9_/.,+@%=()-]*(?:[: ]?[A-Za-z0-9_/.,+@%=()-]+)*$`)
	numeric = regexp.MustCompile(`(?i)^[-+.]?[0-9][-+0-9._:eobx]*$|^[-+]?0x|^[0-9][0-9][0-9][0-9]-`)
)

// FuzzPlain: the functions say of every text what the patterns say.
func FuzzPlain(f *testing.F) {
	for _, s := range []string{"", "-", "--", "---", "--a", "a", "a b", "a  b", "a:b", "a: b", "a:", "a ", "-a-", "1", "-1", "+.5", ".5", "..5", "0x", "-0X1f", "2001-", "2001-12-14", "12:30", "1e3",
		"1_000", "a,b", "日", "a\n", "x@y%z", "(a)", "=", "a=b", "0b1", "1.2.3.4", "-.5", "+", "a::b", "a :b"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if got := isPlain(s); got != plain.MatchString(s) {
			t.Errorf("%q is plain: %t", s, got)
		}
		if got := isNumeric(s); got != numeric.MatchString(s) {
			t.Errorf("%q is numeric: %t", s, got)
		}
	})
}
