// SPDX-License-Identifier: Apache-2.0

package archive

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"hash/maphash"
	"slices"
	"strings"

	"hozon.dev/hozon/internal/fail"
	"hozon.dev/hozon/internal/object"
)

// record is one item in memory: 56 bytes, the name, and 5 to 11 bytes of the table.
type record struct {
	hash    [sha256.Size]byte
	name    uint32 // place in the arena
	ns      uint32 // index into namespaces
	block   uint32 // number of the block
	offset  uint32 // of the body in the block
	size    uint32
	nameLen uint16
	kind    uint16 // index into kinds
}

// kind is what all items of one resource in one version share.
type kind struct {
	kindKey
	gr        string
	dir       string // of its versioned copies
	versionID uint16 // the same for all kinds of one resource and version
}

type kindKey struct {
	group, resource, version, kind string
	preferred                      bool
}

type versionKey struct{ group, resource, version string }

const (
	recordChunk = 1 << 10
	arenaChunk  = 1 << 16
	maxKinds    = 1<<16 - 1
	maxRecords  = 1<<31 - 1
)

// catalog remembers items in little memory, finds them again by name, and sorts them. It is not safe for concurrent use.
type catalog struct {
	seed       maphash.Seed
	count      int
	records    []*[recordChunk]record
	arena      [][]byte
	namespaces []string
	nsIDs      map[string]uint32
	kinds      []*kind
	kindIDs    map[kindKey]uint16
	versions   map[versionKey]uint16
	preferred  map[string]string // group-resource to version
	slots      []uint32          // open addressing; record number + 1; nil after sort
}

func newCatalog() *catalog {
	return &catalog{
		seed:  maphash.MakeSeed(),
		nsIDs: map[string]uint32{}, kindIDs: map[kindKey]uint16{},
		versions: map[versionKey]uint16{}, preferred: map[string]string{},
		slots: make([]uint32, 1<<10),
	}
}

func (c *catalog) at(i uint32) *record { return &c.records[i/recordChunk][i%recordChunk] }

func (c *catalog) nameOf(r *record) []byte {
	at := r.name % arenaChunk
	return c.arena[r.name/arenaChunk][at : at+uint32(r.nameLen)]
}

// add remembers a name: fail.Exists if it is there already, fail.Invalid if it cannot be written.
func (c *catalog) add(ref object.Ref, k kindKey) (*record, *kind, error) {
	if err := checkName(ref.Name); err != nil {
		return nil, nil, err
	}
	kid, err := c.internKind(k)
	if err != nil {
		return nil, nil, err
	}
	ns, err := c.internNamespace(ref.Namespace)
	if err != nil {
		return nil, nil, err
	}
	kd := c.kinds[kid]
	if (c.count+1)*4 > len(c.slots)*3 {
		c.grow()
	}
	slot, found := c.probe(ns, kd.versionID, ref.Name)
	if found {
		return nil, nil, fail.Errorf(fail.Exists, "it is in the archive already, in version %s", k.version)
	}
	if c.count == maxRecords {
		return nil, nil, fail.Errorf(fail.Invalid, "more than %d items", maxRecords)
	}
	if c.count%recordChunk == 0 {
		c.records = append(c.records, new([recordChunk]record))
	}
	r := c.at(uint32(c.count))
	r.name, r.nameLen, r.ns, r.kind = c.keep(ref.Name), uint16(len(ref.Name)), ns, kid
	c.count++
	c.slots[slot] = uint32(c.count)
	return r, kd, nil
}

// find returns the number of the record of that item, if it is there.
func (c *catalog) find(ref object.Ref, version string) (uint32, bool) {
	ns, ok := c.nsIDs[ref.Namespace]
	if !ok {
		return 0, false
	}
	v, ok := c.versions[versionKey{ref.Group, ref.Resource, version}]
	if !ok {
		return 0, false
	}
	slot, found := c.probe(ns, v, ref.Name)
	if !found {
		return 0, false
	}
	return c.slots[slot] - 1, true
}

func (c *catalog) keep(name string) uint32 {
	last := len(c.arena) - 1
	if last < 0 || len(c.arena[last])+len(name) > arenaChunk {
		c.arena = append(c.arena, make([]byte, 0, arenaChunk))
		last++
	}
	at := len(c.arena[last])
	c.arena[last] = append(c.arena[last], name...)
	return uint32(last*arenaChunk + at)
}

func (c *catalog) internNamespace(ns string) (uint32, error) {
	if id, ok := c.nsIDs[ns]; ok {
		return id, nil
	}
	if ns != "" {
		if err := checkSegment("namespace", ns); err != nil {
			return 0, err
		}
	}
	ns = strings.Clone(ns) // not to hold what it was cut from
	id := uint32(len(c.namespaces))
	c.namespaces = append(c.namespaces, ns)
	c.nsIDs[ns] = id
	return id, nil
}

func (c *catalog) internKind(k kindKey) (uint16, error) {
	if id, ok := c.kindIDs[k]; ok {
		return id, nil
	}
	k = kindKey{strings.Clone(k.group), strings.Clone(k.resource), strings.Clone(k.version), strings.Clone(k.kind), k.preferred}
	gr := object.Ref{Group: k.group, Resource: k.resource}.GroupResource()
	if err := checkKind(k, gr); err != nil {
		return 0, err
	}
	if p, ok := c.preferred[gr]; ok && k.preferred && p != k.version {
		return 0, fail.Errorf(fail.Invalid, "both %s and %s are called the preferred version of %s", p, k.version, gr)
	}
	if len(c.kinds) == maxKinds {
		return 0, fail.Errorf(fail.Invalid, "more than %d kinds", maxKinds)
	}
	vk := versionKey{k.group, k.resource, k.version}
	v, ok := c.versions[vk]
	if !ok {
		v = uint16(len(c.versions))
		c.versions[vk] = v
	}
	if k.preferred {
		c.preferred[gr] = k.version
	}
	dir := k.version
	if k.preferred {
		dir += preferredSuffix
	}
	id := uint16(len(c.kinds))
	c.kinds = append(c.kinds, &kind{kindKey: k, gr: gr, dir: dir, versionID: v})
	c.kindIDs[k] = id
	return id, nil
}

func (c *catalog) hash(nameHash uint64, ns uint32, version uint16) uint64 {
	h := nameHash ^ (uint64(ns)<<16|uint64(version))*0x9e3779b97f4a7c15
	return h ^ h>>32
}

// probe returns the slot of the item, or the empty slot where it belongs.
func (c *catalog) probe(ns uint32, version uint16, name string) (uint64, bool) {
	mask := uint64(len(c.slots) - 1)
	i := c.hash(maphash.String(c.seed, name), ns, version) & mask
	for ; c.slots[i] != 0; i = (i + 1) & mask {
		r := c.at(c.slots[i] - 1)
		if r.ns == ns && c.kinds[r.kind].versionID == version && string(c.nameOf(r)) == name {
			return i, true
		}
	}
	return i, false
}

func (c *catalog) grow() {
	c.slots = make([]uint32, 2*len(c.slots))
	mask := uint64(len(c.slots) - 1)
	for n := range uint32(c.count) {
		r := c.at(n)
		i := c.hash(maphash.Bytes(c.seed, c.nameOf(r)), r.ns, c.kinds[r.kind].versionID) & mask
		for c.slots[i] != 0 {
			i = (i + 1) & mask
		}
		c.slots[i] = n + 1
	}
}

// sorted returns the numbers of all records in the order of the index. The table's memory becomes the
// list: nothing can be added or found any more.
func (c *catalog) sorted() []uint32 {
	list := c.slots[:0]
	for _, s := range c.slots {
		if s != 0 {
			list = append(list, s-1)
		}
	}
	c.slots = nil
	nsRank := ranks(c.namespaces, strings.Compare)
	kindRank := ranks(c.kinds, func(a, b *kind) int { return strings.Compare(a.gr, b.gr) })
	slices.SortFunc(list, func(x, y uint32) int {
		a, b := c.at(x), c.at(y)
		if a.kind != b.kind && kindRank[a.kind] != kindRank[b.kind] {
			return cmp.Compare(kindRank[a.kind], kindRank[b.kind])
		}
		if a.ns != b.ns {
			return cmp.Compare(nsRank[a.ns], nsRank[b.ns])
		}
		if d := bytes.Compare(c.nameOf(a), c.nameOf(b)); d != 0 {
			return d
		}
		return strings.Compare(c.kinds[a.kind].version, c.kinds[b.kind].version)
	})
	return list
}

// ranks gives each element its place in the order; equal elements have the same.
func ranks[T any](list []T, compare func(a, b T) int) []int {
	by := make([]int, len(list))
	for i := range by {
		by[i] = i
	}
	slices.SortFunc(by, func(a, b int) int { return compare(list[a], list[b]) })
	rank := make([]int, len(list))
	for i := 1; i < len(by); i++ {
		rank[by[i]] = rank[by[i-1]]
		if compare(list[by[i-1]], list[by[i]]) != 0 {
			rank[by[i]]++
		}
	}
	return rank
}

// ref puts the name of a record together again.
func (c *catalog) ref(r *record) object.Ref {
	k := c.kinds[r.kind]
	return object.Ref{Group: k.group, Resource: k.resource, Namespace: c.namespaces[r.ns], Name: string(c.nameOf(r))}
}
