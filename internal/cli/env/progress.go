// SPDX-License-Identifier: Apache-2.0

package env

import (
	"io"
	"sync"
	"time"

	"github.com/schollz/progressbar/v3"
)

// Progress shows how a run gets on, on a terminal; elsewhere it is silent. From time to time it gives back
// the parts of the program that were used and may be no more.
type Progress struct {
	mu      sync.Mutex
	out     io.Writer
	bar     *progressbar.ProgressBar
	trim    func() // nil: nothing can be given back
	now     func() time.Time
	began   time.Time
	trimmed time.Time
}

// trimEvery is how often the program's pages are given back in the first second; later it is after another tenth of the time so far. What is in use comes
// back at a page fault each: some 200, all of which took a restore a tenth more of the processor when it gave pages back every 0.1 s to its end.
const trimEvery = 100 * time.Millisecond

// NewProgress is a progress display on Err if that is a terminal, and nothing else.
func (e *Env) NewProgress() *Progress {
	p := &Progress{trim: e.Trim, now: e.Now}
	if IsTerminal(e.Err) {
		p.out = e.Err
	}
	return p
}

// Step starts a stage of the run.
func (p *Progress) Step(name string) {
	if p.out == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.bar != nil {
		_ = p.bar.Clear()
	}
	p.bar = progressbar.NewOptions(-1, progressbar.OptionSetWriter(p.out), progressbar.OptionSetDescription(name),
		progressbar.OptionShowCount(), progressbar.OptionShowIts(), progressbar.OptionSetItsString("objects"),
		progressbar.OptionClearOnFinish(), progressbar.OptionThrottle(100_000_000), progressbar.OptionSetPredictTime(true))
}

// Items says how many objects are done, and how many there will be (0: not known).
func (p *Progress) Items(done, expected int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.trim != nil {
		now := p.now()
		if p.began.IsZero() {
			p.began = now
		}
		if now.Sub(p.trimmed) >= max(trimEvery, now.Sub(p.began)/10) {
			p.trim()
			p.trimmed = now
		}
	}
	if p.bar == nil {
		return
	}
	if expected > 0 && p.bar.GetMax() != expected {
		p.bar.ChangeMax(expected)
	}
	_ = p.bar.Set(done)
}

// Close removes the display.
func (p *Progress) Close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.bar != nil {
		_ = p.bar.Clear()
		p.bar = nil
	}
}
