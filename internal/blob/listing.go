// SPDX-License-Identifier: Apache-2.0

package blob

import (
	"slices"
	"strings"
	"time"

	"hozon.dev/hozon/internal/fail"
)

// Listing turns the pages of a server into what List promises: keys below the driver's prefix, in byte order, each once. Names that are no keys are passed over, such
// as the "folder/" objects that web consoles make.
type Listing struct {
	Root    string // the driver's prefix: empty, or ends in "/"
	Prefix  string // of List
	Shallow bool
	Fn      func(Info) error

	infos []Info // of one page
	last  string // the last key passed on
}

// Add takes one name of a page: of an object, or, ending in "/", a common prefix.
func (l *Listing) Add(name string, size int64, modified time.Time) {
	key, ok := strings.CutPrefix(name, l.Root)
	if !ok || !strings.HasPrefix(key, l.Prefix) {
		return
	}
	path, dir := strings.CutSuffix(key, "/")
	if dir && !(l.Shallow && len(key) > len(l.Prefix)) || CheckKey(path) != nil {
		return
	}
	if dir {
		l.infos = append(l.infos, Info{Key: key, Dir: true})
		return
	}
	l.infos = append(l.infos, Info{Key: key, Size: size, Modified: modified})
}

// Flush passes a page on. Servers differ in whether a common prefix that spans two pages comes in both.
func (l *Listing) Flush() error {
	slices.SortStableFunc(l.infos, func(x, y Info) int { return strings.Compare(x.Key, y.Key) })
	for _, info := range l.infos {
		if info.Key == l.last {
			continue
		}
		if info.Key < l.last {
			return fail.Errorf(fail.Unsupported, "list %s: the server does not list in byte order: %q after %q", l.Prefix, info.Key, l.last)
		}
		l.last = info.Key
		if err := l.Fn(info); err != nil {
			return err
		}
	}
	l.infos = l.infos[:0]
	return nil
}
