// SPDX-License-Identifier: Apache-2.0

package backup_test

import (
	"archive/tar"
	"compress/gzip"
	"errors"
	"io"

	"hozon.dev/hozon/internal/store"
)

// paths are the entries of a backup's archive, read with the standard library alone.
func (w *world) paths(name string) []string {
	w.t.Helper()
	r, err := w.engine.Store.Open(w.t.Context(), store.Backup, name, store.Archive, 0, -1)
	if err != nil {
		w.t.Fatal(err)
	}
	defer r.Close()
	gz, err := gzip.NewReader(r)
	if err != nil {
		w.t.Fatal(err)
	}
	var paths []string
	for in := tar.NewReader(gz); ; {
		h, err := in.Next()
		if errors.Is(err, io.EOF) {
			return paths
		}
		if err != nil {
			w.t.Fatal(err)
		}
		paths = append(paths, h.Name)
	}
}
