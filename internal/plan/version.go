// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"cmp"
	"slices"

	"k8s.io/apimachinery/pkg/version"
)

// Versions say which version of an object that was saved in several is restored. The zero value takes the one that was preferred where the backup was made.
type Versions struct {
	// ByTarget prefers the version that the target prefers (Velero's feature EnableAPIGroupVersions).
	ByTarget bool
	// Order are a user's preferences, by group-resource ("gears.example.com"), first come first. They count with ByTarget only.
	Order map[string][]string
}

// choose picks one entry an object: a version that the target has, else one that can be written in a version that it has, else the preferred one.
func (b *builder) choose() {
	b.favourites = map[string]string{}
	for _, t := range b.facts.Types {
		if t.Preferred {
			b.favourites[t.GroupResource()] = t.Version
		}
	}
	b.chosen = newFinder(b.Entries)
	for i := range b.Len() {
		slot := b.chosen.slot(i)
		if *slot == 0 || b.better(i, int(*slot-1)) {
			*slot = uint32(i) + 1
		}
	}
}

// better compares two versions of one object.
func (b *builder) better(i, j int) bool {
	return cmp.Or(cmp.Compare(b.rank(i), b.rank(j)), version.CompareKubeAwareVersionStrings(b.Version(i), b.Version(j))) > 0
}

// The places of versions, worst first; a version that the user has asked for is above all of them.
const (
	lost = iota
	lostPreferred
	convertible
	convertiblePreferred
	known
	savedAsPreferred
	preferredByTarget
	asked
)

func (b *builder) rank(i int) int {
	saved := b.records.at(i).flags&preferred != 0
	switch {
	case b.served(i):
		return b.rankServed(i, saved)
	case b.conversion(i) != "" && saved:
		return convertiblePreferred
	case b.conversion(i) != "":
		return convertible
	case saved:
		return lostPreferred
	}
	return lost
}

func (b *builder) rankServed(i int, saved bool) int {
	if v := b.req.Versions; v.ByTarget {
		gr := b.groupResource(i)
		if at := slices.Index(v.Order[gr], b.Version(i)); at >= 0 {
			return asked + len(v.Order[gr]) - at
		}
		if b.favourites[gr] == b.Version(i) {
			return preferredByTarget
		}
	}
	if saved {
		return savedAsPreferred
	}
	return known
}
