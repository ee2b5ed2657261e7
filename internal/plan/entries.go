// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"iter"
	"strings"

	"hozon.dev/hozon/internal/object"
	"hozon.dev/hozon/internal/plan/rule"
)

// Entries are the entries of a backup in little memory: about 50 bytes and the name for each, and as much again for one that has an
// owner. The zero value is empty. Adding is not safe for concurrent use, reading is.
type Entries struct {
	records list[record]
	extras  list[extra]
	owners  list[owner]
	names   arena
	kinds   table[kindKey]
	spaces  table[string]
	words   table[string]
	makers  table[maker]
	uids    uidTable
	groups  []group           // of each of kinds
	firsts  map[string]uint32 // group-resource to the first kind that has it
}

// record is one entry.
type record struct {
	name  string // in the arena
	uid   uid
	space uint32 // in spaces
	kind  uint32 // in kinds
	extra uint32 // in extras, + 1; 0: none
	flags uint8
}

const (
	preferred = 1 << iota
	matched
)

// extra is what only some entries have.
type extra struct {
	first, count uint32 // of owners
	skip         string
	more         *rule.More
}

type owner struct {
	name       string
	uid        uid
	maker      uint32 // in makers
	controller bool
}

// maker is the kind of an owner.
type maker struct{ group, kind string }

// kindKey is what all entries of one resource in one version share.
type kindKey struct{ group, resource, version, kind string }

// group is the group-resource of a kind, as a text and as the first kind that has it.
type group struct {
	text  string
	first uint32
}

// Len is the number of entries.
func (l *Entries) Len() int { return l.records.n }

// Add appends an entry, of which it keeps copies.
func (l *Entries) Add(e Entry) {
	r := record{name: l.names.keep(e.Ref.Name), uid: l.uids.pack(e.Traits.UID), space: l.spaces.number(e.Ref.Namespace, strings.Clone)}
	r.kind = l.kinds.number(kindKey{e.Ref.Group, e.Ref.Resource, e.Version, e.Kind}, func(k kindKey) kindKey {
		return kindKey{l.word(k.group), l.word(k.resource), l.word(k.version), l.word(k.kind)}
	})
	if int(r.kind) == len(l.groups) {
		l.learn(e.Ref)
	}
	if e.Preferred {
		r.flags |= preferred
	}
	if e.Matched {
		r.flags |= matched
	}
	if t := e.Traits; len(t.Owners) > 0 || t.Skip != "" || t.More != nil {
		r.extra = l.keepExtra(t) + 1
	}
	l.records.add(r)
}

// learn takes note of a new kind's group-resource.
func (l *Entries) learn(ref object.Ref) {
	text := ref.GroupResource()
	first, ok := l.firsts[text]
	if !ok {
		if l.firsts == nil {
			l.firsts = map[string]uint32{}
		}
		first = uint32(len(l.groups))
		l.firsts[text] = first
	} else {
		text = l.groups[first].text
	}
	l.groups = append(l.groups, group{text, first})
}

func (l *Entries) keepExtra(t rule.Traits) uint32 {
	x := extra{first: uint32(l.owners.n), count: uint32(len(t.Owners)), skip: l.word(t.Skip), more: t.More}
	for _, o := range t.Owners {
		m := l.makers.number(maker{o.Group, o.Kind}, func(m maker) maker { return maker{l.word(m.group), l.word(m.kind)} })
		l.owners.add(owner{name: l.names.keep(o.Name), uid: l.uids.pack(o.UID), maker: m, controller: o.Controller})
	}
	if x.more != nil {
		x.more.Release = l.word(x.more.Release)
		for i := range x.more.Needs {
			n := &x.more.Needs[i]
			*n = object.Ref{Group: l.word(n.Group), Resource: l.word(n.Resource), Namespace: l.word(n.Namespace), Name: l.names.keep(n.Name)}
		}
	}
	l.extras.add(x)
	return uint32(l.extras.n - 1)
}

func (l *Entries) word(s string) string {
	if s == "" {
		return ""
	}
	return l.words.all[l.words.number(s, strings.Clone)]
}

// At is entry i.
func (l *Entries) At(i int) Entry {
	r := l.records.at(i)
	k := l.kinds.all[r.kind]
	e := Entry{
		Ref: l.Ref(i), Version: k.version, Kind: k.kind, Preferred: r.flags&preferred != 0, Matched: r.flags&matched != 0,
		Traits: rule.Traits{UID: l.uids.text(r.uid), Skip: l.skip(i), More: l.More(i)},
	}
	for o, id := range l.ownersOf(i) {
		o.UID = l.uids.text(id)
		e.Traits.Owners = append(e.Traits.Owners, o)
	}
	return e
}

// Ref is the name of entry i.
func (l *Entries) Ref(i int) object.Ref {
	r := l.records.at(i)
	k := &l.kinds.all[r.kind]
	return object.Ref{Group: k.group, Resource: k.resource, Namespace: l.spaces.all[r.space], Name: r.name}
}

// Version is that of entry i.
func (l *Entries) Version(i int) string { return l.kinds.all[l.records.at(i).kind].version }

// Kinds yields an entry of each kind in each version.
func (l *Entries) Kinds() iter.Seq[Entry] {
	return func(yield func(Entry) bool) {
		seen := make([]bool, len(l.kinds.all))
		for i := range l.Len() {
			if k := l.records.at(i).kind; !seen[k] {
				seen[k] = true
				if !yield(l.At(i)) {
					return
				}
			}
		}
	}
}

// More is what only some kinds have, of entry i; nil: nothing.
func (l *Entries) More(i int) *rule.More {
	if x := l.records.at(i).extra; x > 0 {
		return l.extras.at(int(x - 1)).more
	}
	return nil
}

func (l *Entries) skip(i int) string {
	if x := l.records.at(i).extra; x > 0 {
		return l.extras.at(int(x - 1)).skip
	}
	return ""
}

// groupResource is that of entry i.
func (l *Entries) groupResource(i int) string { return l.groups[l.records.at(i).kind].text }

// ownersOf yields the owners of entry i, with their UIDs beside them instead of in them.
func (l *Entries) ownersOf(i int) iter.Seq2[rule.Owner, uid] {
	return func(yield func(rule.Owner, uid) bool) {
		at := l.records.at(i).extra
		if at == 0 {
			return
		}
		x := l.extras.at(int(at - 1))
		for k := range x.count {
			o := l.owners.at(int(x.first + k))
			m := l.makers.all[o.maker]
			if !yield(rule.Owner{Group: m.group, Kind: m.kind, Name: o.name, Controller: o.controller}, o.uid) {
				return
			}
		}
	}
}

// compare is object.Compare of two entries.
func (l *Entries) compare(i, j int) int {
	a, b := l.records.at(i), l.records.at(j)
	if a.kind != b.kind {
		if d := strings.Compare(l.groups[a.kind].text, l.groups[b.kind].text); d != 0 {
			return d
		}
	}
	if a.space != b.space {
		return strings.Compare(l.spaces.all[a.space], l.spaces.all[b.space])
	}
	return strings.Compare(a.name, b.name)
}
