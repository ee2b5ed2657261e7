// SPDX-License-Identifier: Apache-2.0

package profile

import (
	"path"
	"testing"

	"hozon.dev/hozon/internal/fail"
)

// FuzzParse reads any bytes as a profile. What is taken names clean absolute paths only.
func FuzzParse(f *testing.F) {
	entries, err := builtin.ReadDir("builtin")
	if err != nil {
		f.Fatal(err)
	}
	for _, e := range entries {
		text, err := builtin.ReadFile("builtin/" + e.Name())
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Add([]byte("name: a\nfiles: [{path: /etc/../root}]"))
	f.Add([]byte("name: ../a\nfiles: [{path: /etc}]"))
	f.Fuzz(func(t *testing.T, text []byte) {
		p, err := Parse(text)
		if err != nil {
			if !fail.Is(err, fail.Invalid) {
				t.Errorf("%v is %v", err, fail.Of(err))
			}
			return
		}
		for _, file := range append(p.Paths(), p.Looks...) {
			if !path.IsAbs(file) || path.Clean(file) != file || file == "/" {
				t.Errorf("%q", file)
			}
		}
		Outermost(p.Paths())
	})
}
