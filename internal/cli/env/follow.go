// SPDX-License-Identifier: Apache-2.0

package env

import (
	"context"
	"fmt"
	"strings"
	"time"

	"hozon.dev/hozon/internal/velero"
)

// Run is a backup or restore that a server carries out, as its status tells it.
type Run struct {
	Phase       string
	Done, Total int // objects
	Ended       bool
	Reasons     []string // why it failed, or was refused
}

// Why gathers the reasons that a status gives.
func Why(failure string, validation []string) []string {
	if failure == "" {
		return validation
	}
	return append([]string{failure}, validation...)
}

// dotEvery is the time between two signs of life where no progress can be drawn.
const dotEvery = time.Second

// Follow waits for the end of a run that was just submitted, shows its progress, and says how it ended, in Velero's words.
// The error's exit code says the same.
func Follow[V any](ctx context.Context, e *Env, c velero.Client, k velero.Kind[V], name string, look func(*V) Run) error {
	word := strings.ToLower(k.Kind)
	fmt.Fprintf(e.Out, "Waiting for %s to complete. You may safely press ctrl-c to stop waiting - your %s will continue in the background.\n", word, word)
	bar := e.NewProgress()
	bar.Step(k.Kind + " " + name)
	stop := e.dots()
	var last Run
	_, err := k.Until(ctx, c, name, func(item *V) bool {
		last = look(item)
		bar.Items(last.Done, last.Total)
		return last.Ended
	})
	stop()
	bar.Close()
	if err != nil {
		return err
	}
	fmt.Fprintf(e.Out, "\n%s completed with status: %s. You may check for more information using the commands `%s %s describe %s` and `%s %s logs %s`.\n",
		k.Kind, last.Phase, e.Name, word, name, e.Name, word, name)
	for _, reason := range last.Reasons {
		e.Say("%s", reason)
	}
	return e.verdict(last.Phase)
}

// dots prints a dot a second until it is stopped, unless a terminal shows the progress.
func (e *Env) dots() (stop func()) {
	if IsTerminal(e.Err) {
		return func() {}
	}
	quit, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(dotEvery)
		defer tick.Stop()
		for {
			select {
			case <-quit:
				return
			case <-tick.C:
				fmt.Fprint(e.Out, ".")
			}
		}
	}()
	return func() { close(quit); <-done }
}

// verdict is the error whose exit code says how a run ended.
func (e *Env) verdict(phase string) error {
	switch {
	case phase == "Completed" || e.Name == "velero": // Velero's command ends with 0 once the server is done, however it went
		return nil
	case phase == "PartiallyFailed":
		return Ended{Code: ExitPartial}
	}
	return Ended{Code: ExitFailed}
}
