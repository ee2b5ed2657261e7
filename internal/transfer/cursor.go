// SPDX-License-Identifier: Apache-2.0

package transfer

import "strings"

// A cursor opens folders below a root by their paths and keeps those open that lead to the last one: in a walk nearly every
// call opens nothing.
type cursor struct {
	root folder
	path []string
	open []folder
}

// at opens the folder at a path, each component without following links. It stays open until the next call.
func (c *cursor) at(dir string) (folder, error) {
	var want []string
	if dir != "" {
		want = strings.Split(dir, "/")
	}
	same := 0
	for same < len(want) && same < len(c.path) && want[same] == c.path[same] {
		same++
	}
	c.cut(same)
	for _, name := range want[same:] {
		next, err := c.top().open(name)
		if err != nil {
			return folder{none}, err
		}
		c.path, c.open = append(c.path, name), append(c.open, next)
	}
	return c.top(), nil
}

func (c *cursor) top() folder {
	if len(c.open) == 0 {
		return c.root
	}
	return c.open[len(c.open)-1]
}

// cut closes all but the first n.
func (c *cursor) cut(n int) {
	for _, f := range c.open[n:] {
		f.close()
	}
	c.path, c.open = c.path[:n], c.open[:n]
}
