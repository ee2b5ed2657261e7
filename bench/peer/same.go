// SPDX-License-Identifier: Apache-2.0

package peer

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
)

// A Comparison is what two archives of one cluster, made one after the other, have in common. Paths are those in the
// archive, where every object is under two.
type Comparison struct {
	Same       int      // files with the same object
	Moved      []string // files whose object was changed in the cluster between the two: another resourceVersion
	Different  []string // files with the same resourceVersion and another object
	OnlyFirst  []string
	OnlySecond []string
}

// file is what is compared of an object.
type file struct {
	sum     [sha256.Size]byte // of the canonical JSON
	version string
}

// Compare compares the objects of two archives. Those of the API group leave are left out.
func Compare(first, second io.Reader, leave string) (Comparison, error) {
	a, err := files(first, leave)
	if err != nil {
		return Comparison{}, fmt.Errorf("read the first archive: %w", err)
	}
	b, err := files(second, leave)
	if err != nil {
		return Comparison{}, fmt.Errorf("read the second archive: %w", err)
	}
	var c Comparison
	for _, path := range slices.Sorted(maps.Keys(a)) {
		x := a[path]
		y, there := b[path]
		delete(b, path)
		switch {
		case !there:
			c.OnlyFirst = append(c.OnlyFirst, path)
		case x.sum == y.sum:
			c.Same++
		case x.version != y.version:
			c.Moved = append(c.Moved, path)
		default:
			c.Different = append(c.Different, path)
		}
	}
	c.OnlySecond = slices.Sorted(maps.Keys(b))
	return c, nil
}

// files reads the objects of an archive: resources/<resource>.<group>/….json.
func files(archive io.Reader, leave string) (map[string]file, error) {
	const most = 64 << 20 // no object is nearly as big
	z, err := gzip.NewReader(archive)
	if err != nil {
		return nil, err
	}
	all := map[string]file{}
	t := tar.NewReader(z)
	for {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return nil, err
		}
		parts := strings.Split(h.Name, "/")
		if parts[0] != "resources" || !strings.HasSuffix(h.Name, ".json") || strings.HasSuffix(parts[1], "."+leave) {
			continue
		}
		body, err := io.ReadAll(io.LimitReader(t, most))
		if err != nil {
			return nil, err
		}
		if all[h.Name], err = canonical(body); err != nil {
			return nil, fmt.Errorf("%s: %w", h.Name, err)
		}
	}
}

func canonical(body []byte) (file, error) {
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	var o map[string]any
	if err := d.Decode(&o); err != nil {
		return file{}, err
	}
	text, err := json.Marshal(o) // sorts the keys
	if err != nil {
		return file{}, err
	}
	meta, _ := o["metadata"].(map[string]any)
	version, _ := meta["resourceVersion"].(string)
	return file{sum: sha256.Sum256(text), version: version}, nil
}
