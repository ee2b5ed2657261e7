// SPDX-License-Identifier: Apache-2.0

package host

import (
	"archive/tar"
	"bytes"
	"io"
	"path/filepath"
	"testing"
)

// FuzzFiles reads any bytes as what a machine's tar sends. No name leads out of the folder that it is taken to.
func FuzzFiles(f *testing.F) {
	for _, name := range []string{"etc/kubernetes/pki/ca.crt", "../etc/passwd", "/etc/passwd", "a/../../b", ".", "a//b"} {
		var b bytes.Buffer
		w := tar.NewWriter(&b)
		if err := w.WriteHeader(&tar.Header{Name: name, Typeflag: tar.TypeReg, Size: 3, Mode: 0o600}); err != nil {
			f.Fatal(err)
		}
		if _, err := w.Write([]byte("abc")); err != nil {
			f.Fatal(err)
		}
		if err := w.Close(); err != nil {
			f.Fatal(err)
		}
		f.Add(b.Bytes())
		f.Add(b.Bytes()[:600])
	}
	f.Fuzz(func(t *testing.T, stream []byte) {
		_ = read(bytes.NewReader(stream), func(h *tar.Header, r io.Reader) error {
			if !filepath.IsLocal(h.Name) {
				t.Errorf("%q", h.Name)
			}
			_, err := io.Copy(io.Discard, r)
			return err
		})
	})
}
