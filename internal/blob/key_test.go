// SPDX-License-Identifier: Apache-2.0

package blob_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"hozon.dev/hozon/internal/blob"
	"hozon.dev/hozon/internal/fail"
)

func TestCheckKey(t *testing.T) {
	for _, key := range []string{"a", "a/b/c", "...", "a b", "ü", "-"} {
		if err := blob.CheckKey(key); err != nil {
			t.Errorf("%q: %v", key, err)
		}
	}
	for _, key := range []string{"", "/", "a/", "/a", "a//b", ".", "a/..", "a\x00", "\xff"} {
		if err := blob.CheckKey(key); !fail.Is(err, fail.Invalid) {
			t.Errorf("%q: %v", key, err)
		}
	}
}

func TestCheckPrefix(t *testing.T) {
	for _, prefix := range []string{"", "a", "a/", "a/.", "a/..", "..a"} {
		if err := blob.CheckPrefix(prefix); err != nil {
			t.Errorf("%q: %v", prefix, err)
		}
	}
	for _, prefix := range []string{"/", "a//", "../", "a/./b", "a\n", "\xff"} {
		if err := blob.CheckPrefix(prefix); !fail.Is(err, fail.Invalid) {
			t.Errorf("%q: %v", prefix, err)
		}
	}
}

func TestExact(t *testing.T) {
	tests := []struct {
		data string
		n    int64
		want string
		err  error
	}{
		{"", 0, "", nil},
		{"abc", 3, "abc", nil},
		{"abcdef", 3, "abc", nil},
		{"ab", 3, "ab", io.ErrUnexpectedEOF},
		{"", 1, "", io.ErrUnexpectedEOF},
	}
	for _, tt := range tests {
		for name, wrap := range map[string]func(io.Reader) io.Reader{"plain": func(r io.Reader) io.Reader { return r }, "data with EOF": iotest.DataErrReader} {
			got, err := io.ReadAll(blob.Exact(io.NopCloser(wrap(strings.NewReader(tt.data))), tt.n))
			if string(got) != tt.want || err != tt.err {
				t.Errorf("%s, %d of %q: %q, %v", name, tt.n, tt.data, got, err)
			}
		}
	}
}

func TestCopyTellsSides(t *testing.T) {
	broken := errors.New("broken")
	_, source, sink := blob.Copy(t.Context(), io.Discard, iotest.ErrReader(broken))
	if source != broken || sink != nil {
		t.Errorf("broken source: %v, %v", source, sink)
	}
	_, source, sink = blob.Copy(t.Context(), brokenWriter{broken}, strings.NewReader("x"))
	if source != nil || sink != broken {
		t.Errorf("broken sink: %v, %v", source, sink)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, source, _ = blob.Copy(ctx, io.Discard, strings.NewReader("x"))
	if source != context.Canceled {
		t.Errorf("ended context: %v", source)
	}
}

type brokenWriter struct{ err error }

func (w brokenWriter) Write([]byte) (int, error) { return 0, w.err }
