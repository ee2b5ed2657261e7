// SPDX-License-Identifier: Apache-2.0

package perform

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	velerov1 "hozon.dev/hozon/api/velero/v1"
	"hozon.dev/hozon/internal/cluster"
	"hozon.dev/hozon/internal/hook"
	"hozon.dev/hozon/internal/report"
)

// Executor runs commands in containers; *cluster.Client is one.
type Executor interface {
	Exec(ctx context.Context, c cluster.Command) error
}

// Runner runs the hooks of pods. It is safe for concurrent use.
type Runner struct {
	Exec Executor
	Now  func() time.Time
}

// Pod runs the hooks of one pod, one after the other, and returns what came of each. ok is false if one failed whose onError is Fail.
// When ctx ends, the hook that runs has failed and those behind it are skipped.
func (r Runner) Pod(ctx context.Context, p hook.Pod, hooks []hook.Hook) (results []report.Hook, ok bool) {
	ok = true
	why := ""
	for _, h := range hooks {
		if why == "" && ctx.Err() != nil {
			why = "the run has ended: " + context.Cause(ctx).Error()
		}
		if why != "" {
			results = append(results, Skipped(p, h, why))
			continue
		}
		result := r.one(ctx, p, h)
		results = append(results, result)
		if result.Outcome == report.HookFailed && h.OnError == velerov1.HookErrorModeFail {
			ok, why = false, "a hook before it has failed"
		}
	}
	return results, ok
}

// Skipped is the result of a hook that was not started for a reason that is not its own.
func Skipped(p hook.Pod, h hook.Hook, why string) report.Hook {
	result := blank(p, h)
	result.Outcome, result.Reason = report.HookSkipped, why
	return result
}

func blank(p hook.Pod, h hook.Hook) report.Hook {
	return report.Hook{
		Stage: h.Stage, Namespace: p.Namespace, Pod: p.Name, Container: h.Container, From: h.From, Command: h.Command, OnError: string(h.OnError),
	}
}

// errTimeout is the cause of the end of a hook that took too long.
var errTimeout = errors.New("it took too long")

func (r Runner) one(ctx context.Context, p hook.Pod, h hook.Hook) report.Hook {
	result := blank(p, h)
	if h.Problem != "" {
		result.Outcome, result.Reason = report.HookFailed, h.Problem
		return result
	}
	started := r.Now().UTC()
	result.Started = &started
	said := &head{}
	limited, cancel := context.WithTimeoutCause(ctx, h.Timeout, errTimeout)
	defer cancel()
	err := r.Exec.Exec(limited, cluster.Command{Namespace: p.Namespace, Pod: p.Name, Container: h.Container, Args: h.Command, Out: said, Err: said})
	result.Seconds = r.Now().Sub(started).Seconds()
	result.Output, result.Cut = said.text()
	result.Outcome = report.HookSucceeded
	if err != nil {
		result.Outcome, result.Reason = report.HookFailed, err.Error()
		if errors.Is(err, errTimeout) {
			result.Reason = fmt.Sprintf("it did not end within its timeout of %s; the connection was cut", h.Timeout)
		}
	}
	return result
}

// maxOutput bounds what is kept of what a hook prints, in bytes.
const maxOutput = 4 << 10

// head keeps the beginning of what is written to it.
type head struct {
	mu  sync.Mutex
	b   bytes.Buffer
	cut bool
}

func (h *head) Write(p []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	room := min(maxOutput-h.b.Len(), len(p))
	h.b.Write(p[:room])
	h.cut = h.cut || room < len(p)
	return len(p), nil
}

// text is what was kept, as far as it is text.
func (h *head) text() (string, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	s := h.b.String()
	for h.cut && len(s) > 0 && !utf8.ValidString(s[max(0, len(s)-utf8.UTFMax):]) && len(s) > maxOutput-utf8.UTFMax {
		s = s[:len(s)-1] // a rune that was cut in two
	}
	return strings.ToValidUTF8(s, "\uFFFD"), h.cut
}
