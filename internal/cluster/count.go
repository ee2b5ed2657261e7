// SPDX-License-Identifier: Apache-2.0

package cluster

import "sync/atomic"

// The verbs, as the API server's own metrics name them.
const (
	verbList   = "list"
	verbGet    = "get"
	verbWatch  = "watch"
	verbCreate = "create"
	verbUpdate = "update"
	verbPatch  = "patch"
	verbDelete = "delete"
)

type counter struct{ byVerb map[string]*atomic.Int64 }

func newCounter() *counter {
	c := &counter{byVerb: map[string]*atomic.Int64{}}
	for _, verb := range []string{verbList, verbGet, verbWatch, verbCreate, verbUpdate, verbPatch, verbDelete} {
		c.byVerb[verb] = new(atomic.Int64)
	}
	return c
}

func (c *counter) add(verb string) { c.byVerb[verb].Add(1) }

func (c *counter) all() map[string]int64 {
	out := make(map[string]int64, len(c.byVerb)+1)
	var total int64
	for verb, n := range c.byVerb {
		out[verb] = n.Load()
		total += out[verb]
	}
	out["total"] = total
	return out
}
