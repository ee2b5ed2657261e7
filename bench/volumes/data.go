// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
)

// fill makes files: one half of them of noise, which cannot be compressed, the other of words. The same bytes for the same numbers.
func fill(root string, files, size, inFolder int) error {
	for i := range files {
		path := name(root, i, inFolder)
		if i%inFolder == 0 {
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				return err
			}
		}
		if err := os.WriteFile(path, content(uint64(i), size), 0o644); err != nil {
			return err
		}
	}
	return nil
}

func name(root string, i, inFolder int) string {
	return filepath.Join(root, fmt.Sprintf("folder-%05d", i/inFolder), fmt.Sprintf("file-%07d", i))
}

// change gives one of a hundred files another content.
func change(root string, files, inFolder, size int) error {
	if size < 1000 {
		inFolder = 1000
	}
	for i := 0; i < files; i += 100 {
		if err := os.WriteFile(name(root, i, inFolder), content(uint64(i)+1<<40, size), 0o644); err != nil {
			return err
		}
	}
	return nil
}

var words = bytes.Fields([]byte("the volume of a pod holds what nobody else has and so it is saved before it is lost with names dates numbers and lines of logs"))

func content(seed uint64, size int) []byte {
	random := rand.New(rand.NewPCG(seed, 1))
	b := make([]byte, 0, size+16)
	if seed%2 == 0 {
		for len(b) < size {
			n := random.Uint64()
			b = append(b, byte(n), byte(n>>8), byte(n>>16), byte(n>>24), byte(n>>32), byte(n>>40), byte(n>>48), byte(n>>56))
		}
		return b[:size]
	}
	for len(b) < size {
		b = append(append(b, words[random.IntN(len(words))]...), ' ')
		if random.IntN(12) == 0 {
			b = fmt.Appendf(b, "%d\n", random.Uint32())
		}
	}
	return b[:size]
}

// equal compares two folders byte for byte.
func equal(want, got string) error {
	number := 0
	err := filepath.WalkDir(want, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		number++
		a, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		b, err := os.ReadFile(filepath.Join(got, path[len(want):]))
		if err != nil {
			return err
		}
		if !bytes.Equal(a, b) {
			return fmt.Errorf("%s differs", path)
		}
		return nil
	})
	if err != nil {
		return err
	}
	return filepath.WalkDir(got, func(_ string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			if number--; number < 0 {
				return fmt.Errorf("there are more files than were saved")
			}
		}
		return err
	})
}
