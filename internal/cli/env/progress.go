// SPDX-License-Identifier: Apache-2.0

package env

import (
	"io"
	"sync"

	"github.com/schollz/progressbar/v3"
)

// Progress shows how a run gets on, on a terminal; elsewhere it is silent. It gives back what only the start of the program
// needed once the first objects are through.
type Progress struct {
	mu      sync.Mutex
	out     io.Writer
	bar     *progressbar.ProgressBar
	trim    func() // nil: nothing can be given back
	started sync.Once
}

// NewProgress is a progress display on Err if that is a terminal, and nothing else.
func (e *Env) NewProgress() *Progress {
	p := &Progress{trim: e.Trim}
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
	if p.trim != nil {
		p.started.Do(p.trim)
	}
	if p.out == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
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
