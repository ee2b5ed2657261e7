// SPDX-License-Identifier: Apache-2.0

package restore

import (
	"bytes"
	"fmt"
	"io"
	"strconv"
	"sync"
	"time"

	"github.com/klauspost/compress/gzip"

	"hozon.dev/hozon/internal/report"
)

// logbook is the log of a run, kept compressed until it is stored. Its lines have logrus' text format, as Velero's.
type logbook struct {
	now func() time.Time
	mu  sync.Mutex
	buf bytes.Buffer
	gz  *gzip.Writer
}

func newLogbook(now func() time.Time) *logbook {
	l := &logbook{now: now}
	l.gz = gzip.NewWriter(&l.buf)
	return l
}

func (l *logbook) line(level, format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	// Writing to memory does not fail.
	fmt.Fprintf(l.gz, "time=%q level=%s msg=%s\n", l.now().UTC().Format(time.RFC3339), level, strconv.Quote(fmt.Sprintf(format, args...)))
}

func (l *logbook) item(i report.Item) {
	level := "info"
	text := fmt.Sprintf("%s %s", i.Ref, i.Action)
	if i.Reason != "" {
		text += ": " + i.Reason
	}
	switch {
	case i.Action == report.Failed:
		level = "error"
	case i.Warning != "":
		level = "warning"
		text += ": " + i.Warning
	}
	l.line(level, "%s", text)
}

// writeTo ends the log and writes it, compressed, to w.
func (l *logbook) writeTo(w io.Writer) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.gz.Close(); err != nil {
		return err
	}
	_, err := w.Write(l.buf.Bytes())
	return err
}
