// SPDX-License-Identifier: Apache-2.0

package blob

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"hozon.dev/hozon/internal/fail"
)

// CheckKey returns fail.Invalid, naming the key and what is wrong, unless key is one that every Bucket accepts or judges by itself.
func CheckKey(key string) error {
	if key == "" {
		return fail.Errorf(fail.Invalid, "the key is empty")
	}
	if err := checkText("key", key); err != nil {
		return err
	}
	for element := range strings.SplitSeq(key, "/") {
		if badElement(element) {
			return fail.Errorf(fail.Invalid, "key %q has an element %q", key, element)
		}
	}
	return nil
}

// CheckPrefix is CheckKey for the prefix of a List: it may be empty, and its last element may be the start of any name.
func CheckPrefix(prefix string) error {
	if err := checkText("prefix", prefix); err != nil {
		return err
	}
	rest := prefix
	for {
		element, after, found := strings.Cut(rest, "/")
		if !found {
			return nil
		}
		if badElement(element) {
			return fail.Errorf(fail.Invalid, "prefix %q has an element %q", prefix, element)
		}
		rest = after
	}
}

func checkText(what, s string) error {
	if !utf8.ValidString(s) {
		return fail.Errorf(fail.Invalid, "%s %q is not UTF-8", what, s)
	}
	if strings.ContainsFunc(s, unicode.IsControl) {
		return fail.Errorf(fail.Invalid, "%s %q has control characters", what, s)
	}
	return nil
}

// Root brings the prefix of a store, with or without "/" around it, into the form that drivers put before keys: empty, or ending in "/".
func Root(prefix string) (string, error) {
	prefix = strings.Trim(prefix, "/")
	if prefix == "" {
		return "", nil
	}
	if err := CheckKey(prefix); err != nil {
		return "", fail.Errorf(fail.Invalid, "the store's prefix: %w", err)
	}
	return prefix + "/", nil
}

func badElement(s string) bool { return s == "" || s == "." || s == ".." }

// Range cuts a range asked of Get to an object of size bytes: what to read is [offset, offset+n).
func Range(size, offset, length int64) (n int64, err error) {
	if offset < 0 || offset > size {
		return 0, fail.Errorf(fail.Invalid, "offset %d lies outside of the object's %d bytes", offset, size)
	}
	if rest := size - offset; length < 0 || length > rest {
		return rest, nil
	}
	return length, nil
}
