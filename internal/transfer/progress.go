// SPDX-License-Identifier: Apache-2.0

package transfer

import "sync/atomic"

// Progress is how far a run is. It may be read at any time.
type Progress struct {
	// Totals asks the sender to add up the whole tree, beside the copy; without it Bytes and Files stay 0.
	Totals bool

	Bytes  atomic.Int64 // of the whole tree; 0 while that is not known
	Files  atomic.Int64 // likewise
	Passed atomic.Int64 // bytes that are done with, sent or found there
	Moved  atomic.Int64 // bytes that were sent
}

func (p *Progress) total(files, bytes int64) {
	p.Files.Store(files)
	p.Bytes.Store(bytes)
}

func (p *Progress) pass(n int64) { p.Passed.Add(n) }

func (p *Progress) move(n int64) {
	p.Passed.Add(n)
	p.Moved.Add(n)
}
