// SPDX-License-Identifier: Apache-2.0

package dr

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"sync"

	"hozon.dev/hozon/internal/dr/decode"
	"hozon.dev/hozon/internal/etcd"
)

// maxFolders bounds the lists that a hostile file could make long.
const maxFolders = 10_000

// Inventory is what a snapshot holds.
type Inventory struct {
	Size         int64         `json:"size"`   // bytes of the file
	Hashed       bool          `json:"hashed"` // it ends with its hash, which is right
	Etcd         etcd.Status   `json:"etcd"`
	Records      int           `json:"records"` // revisions of keys, deletions included
	LiveKeys     int           `json:"liveKeys"`
	Prefixes     []string      `json:"prefixes"`
	Objects      int           `json:"objects"`
	Kinds        []KindCount   `json:"kinds"`
	Troubles     []Trouble     `json:"undecodable"`
	Bookkeeping  int           `json:"bookkeeping"` // keys that API servers keep for themselves
	Other        []Folder      `json:"other"`       // keys outside of the prefixes
	Certificates []Certificate `json:"certificates"`
}

// KindCount is what there is of one kind in one version.
type KindCount struct {
	Resource   string `json:"resource"` // "deployments.apps"
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Objects    int    `json:"objects"`
	Bytes      int64  `json:"bytes"` // as stored, without history
}

// Folder is a group of keys that are not Kubernetes objects.
type Folder struct {
	Prefix string `json:"prefix"`
	Keys   int    `json:"keys"`
	Bytes  int64  `json:"bytes"`
}

// Inspect reads and decodes everything once.
func (i *Image) Inspect(ctx context.Context) (*Inventory, error) {
	status, err := i.snapshot.Status(ctx)
	if err != nil {
		return nil, err
	}
	all := newCounter(nil)
	if err := i.pump(ctx, nil, func() taker { return newCounter(all) }); err != nil {
		return nil, err
	}
	inv := &Inventory{
		Size: i.snapshot.Size, Hashed: i.snapshot.Hashed, Etcd: status, Records: i.live.Records, LiveKeys: i.live.Len(),
		Prefixes: i.Prefixes, Bookkeeping: all.bookkeeping, Troubles: all.troubles.list(), Certificates: all.certificates.list(),
		Kinds: []KindCount{}, Other: []Folder{},
	}
	for _, k := range all.kinds {
		inv.Objects += k.Objects
		inv.Kinds = append(inv.Kinds, *k)
	}
	slices.SortFunc(inv.Kinds, func(a, b KindCount) int {
		return cmp.Or(cmp.Compare(a.Resource, b.Resource), cmp.Compare(a.APIVersion, b.APIVersion))
	})
	for _, f := range all.folders {
		inv.Other = append(inv.Other, *f)
	}
	slices.SortFunc(inv.Other, func(a, b Folder) int { return cmp.Compare(a.Prefix, b.Prefix) })
	return inv, nil
}

type kindKey struct{ resource, apiVersion string }

// counter is the taker of Inspect; those of the goroutines are merged into one.
type counter struct {
	into         *counter // nil: this is where all come together
	mu           sync.Mutex
	kinds        map[kindKey]*KindCount
	folders      map[string]*Folder
	troubles     troubles
	certificates certificates
	bookkeeping  int
}

func newCounter(into *counter) *counter {
	return &counter{into: into, kinds: map[kindKey]*KindCount{}, folders: map[string]*Folder{}, troubles: troubles{}, certificates: certificates{}}
}

// close adds what one goroutine has counted to the whole.
func (c *counter) close() error {
	all := c.into
	all.mu.Lock()
	defer all.mu.Unlock()
	for _, k := range c.kinds {
		all.kind(*k)
	}
	for _, f := range c.folders {
		all.folder(f.Prefix, f.Keys, f.Bytes)
	}
	all.troubles.merge(c.troubles)
	all.certificates.merge(c.certificates)
	all.bookkeeping += c.bookkeeping
	return nil
}

func (c *counter) take(f found) error {
	switch {
	case f.rest == "":
		c.folder(folderOf(f.key), 1, int64(f.size))
	case errors.Is(f.err, decode.ErrBookkeeping):
		c.bookkeeping++
	case f.err != nil:
		c.troubles.add(f.key, f.err)
	default:
		c.kind(KindCount{
			Resource: f.object.Ref.GroupResource(), APIVersion: f.object.Type.GroupVersion(), Kind: f.object.Type.Kind,
			Objects: 1, Bytes: int64(f.size),
		})
		c.certificates.find(f.object)
	}
	return nil
}

func (c *counter) kind(add KindCount) {
	key := kindKey{add.Resource, add.APIVersion}
	k := c.kinds[key]
	if k == nil {
		if len(c.kinds) >= maxFolders {
			return
		}
		k = &KindCount{Resource: add.Resource, APIVersion: add.APIVersion, Kind: add.Kind}
		c.kinds[key] = k
	}
	k.Objects += add.Objects
	k.Bytes += add.Bytes
}

func (c *counter) folder(name string, keys int, bytes int64) {
	f := c.folders[name]
	if f == nil {
		if len(c.folders) >= maxFolders {
			name = "others"
		}
		if f = c.folders[name]; f == nil {
			f = &Folder{Prefix: name}
			c.folders[name] = f
		}
	}
	f.Keys += keys
	f.Bytes += bytes
}

// folderOf is the first part of a key that is below no prefix.
func folderOf(key string) string {
	lead := ""
	if strings.HasPrefix(key, "/") {
		key, lead = key[1:], "/"
	}
	first, _, more := strings.Cut(key, "/")
	if more {
		first += "/"
	}
	return lead + first
}
