// SPDX-License-Identifier: Apache-2.0

package dr

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"hozon.dev/hozon/internal/dr/decode"
)

const (
	// maxTroubles bounds the list; a hostile file could have a reason for every key.
	maxTroubles = 1000
	// named is how many keys of a trouble are kept.
	named = 10
)

// Trouble is a group of keys that cannot be decoded, for one reason.
type Trouble struct {
	Resource string   `json:"resource"`
	Reason   string   `json:"reason"`
	Count    int      `json:"count"`
	Keys     []string `json:"keys"` // the first ones
}

// Text says all of it in one line.
func (t Trouble) Text() string {
	keys := strings.Join(t.Keys[:min(3, len(t.Keys))], ", ")
	if t.Count > 3 {
		keys += fmt.Sprintf(" and %d more", t.Count-3)
	}
	return fmt.Sprintf("%s: %d cannot be decoded: %s (%s)", t.Resource, t.Count, t.Reason, keys)
}

type troubles map[decode.Problem]*Trouble

func (ts troubles) add(key string, err error) {
	var p *decode.Problem
	if !errors.As(err, &p) {
		p = &decode.Problem{Reason: err.Error()}
	}
	t := ts[*p]
	if t == nil {
		if len(ts) >= maxTroubles {
			p = &decode.Problem{Resource: "others", Reason: "for further reasons"}
		}
		if t = ts[*p]; t == nil {
			t = &Trouble{Resource: p.Resource, Reason: p.Reason}
			ts[*p] = t
		}
	}
	t.Count++
	if len(t.Keys) < named {
		t.Keys = append(t.Keys, key)
	}
}

// merge adds those of another goroutine.
func (ts troubles) merge(other troubles) {
	for p, o := range other {
		t := ts[p]
		if t == nil {
			ts[p] = o
			continue
		}
		t.Count += o.Count
		t.Keys = append(t.Keys, o.Keys...)
	}
}

// list sorts them.
func (ts troubles) list() []Trouble {
	all := []Trouble{}
	for _, t := range ts {
		slices.Sort(t.Keys)
		t.Keys = t.Keys[:min(named, len(t.Keys))]
		all = append(all, *t)
	}
	slices.SortFunc(all, func(a, b Trouble) int {
		return cmp.Or(cmp.Compare(a.Resource, b.Resource), cmp.Compare(a.Reason, b.Reason))
	})
	return all
}
