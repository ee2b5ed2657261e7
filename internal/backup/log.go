// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/klauspost/compress/gzip"
)

// runLog is the log that is stored with a backup: logfmt lines with Velero's keys (time, level, msg, backup).
// It has a line for a kind or a problem, not for an object, so it stays small.
type runLog struct {
	now    func() time.Time
	backup string

	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *runLog) info(msg string, pairs ...any) { l.add(slog.LevelInfo, msg, pairs) }
func (l *runLog) warn(msg string, pairs ...any) { l.add(slog.LevelWarn, msg, pairs) }
func (l *runLog) err(msg string, pairs ...any)  { l.add(slog.LevelError, msg, pairs) }

func (l *runLog) add(level slog.Level, msg string, pairs []any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	rec := slog.NewRecord(l.now().UTC(), level, msg, 0)
	rec.Add(pairs...)
	rec.Add("backup", l.backup)
	h := slog.NewTextHandler(&l.buf, &slog.HandlerOptions{ReplaceAttr: velerosForm})
	_ = h.Handle(context.Background(), rec) // a bytes.Buffer takes everything
}

// velerosForm writes time and level as logrus does.
func velerosForm(_ []string, a slog.Attr) slog.Attr {
	switch a.Key {
	case slog.TimeKey:
		return slog.String(a.Key, a.Value.Time().Format(time.RFC3339))
	case slog.LevelKey:
		level := strings.ToLower(a.Value.String())
		if level == "warn" {
			level = "warning"
		}
		return slog.String(a.Key, level)
	}
	return a
}

func (l *runLog) writeTo(w io.Writer) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	gz := gzip.NewWriter(w)
	if _, err := gz.Write(l.buf.Bytes()); err != nil {
		return err
	}
	return gz.Close()
}
