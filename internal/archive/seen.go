// SPDX-License-Identifier: Apache-2.0

package archive

import "hash/maphash"

const seenShards = 256

// seen remembers strings by a keyed 64-bit hash: 11 to 22 bytes each. The key is random, so nobody can make strings
// collide; with 10 million of them, the odds that two do by chance are 1 to 300,000.
type seen struct {
	seed   maphash.Seed
	shards [seenShards]shard
}

type shard struct {
	slots []uint64 // open addressing; 0: empty
	count int
}

// add reports whether s is new.
func (s *seen) add(str string) bool {
	h := maphash.String(s.seed, str)
	if h == 0 {
		h = 1
	}
	sh := &s.shards[h%seenShards]
	if sh.count*4 >= len(sh.slots)*3 {
		sh.grow()
	}
	i, found := sh.probe(h)
	if found {
		return false
	}
	sh.slots[i] = h
	sh.count++
	return true
}

func (sh *shard) probe(h uint64) (uint64, bool) {
	mask := uint64(len(sh.slots) - 1)
	i := h / seenShards & mask
	for ; sh.slots[i] != 0; i = (i + 1) & mask {
		if sh.slots[i] == h {
			return i, true
		}
	}
	return i, false
}

func (sh *shard) grow() {
	old := sh.slots
	sh.slots = make([]uint64, max(16, 2*len(old)))
	for _, h := range old {
		if h != 0 {
			i, _ := sh.probe(h)
			sh.slots[i] = h
		}
	}
}
