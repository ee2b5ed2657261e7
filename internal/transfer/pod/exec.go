// SPDX-License-Identifier: Apache-2.0

package pod

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"hozon.dev/hozon/internal/cluster"
	"hozon.dev/hozon/internal/fail"
	"hozon.dev/hozon/internal/transfer"
)

// silence is how long nothing may come from a helper, which pings more often, before the connection counts as broken.
const silence = 60 * time.Second

// Run starts the helper and calls f with its streams. When f returns, the connection ends.
func (s *Session) Run(ctx context.Context, f func(in io.Reader, out io.Writer) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stdinR, stdinW := io.Pipe()
	stdoutR, stdoutW := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		err := s.exec(ctx, s.command, stdinR, stdoutW)
		stdoutW.CloseWithError(err) // EOF if there is none
		stdinW.Close()              // what is written from now on is an error, what is read the end
		ended <- err
	}()
	in := &watched{r: stdoutR, timer: time.AfterFunc(time.Hour, func() {
		cancel(fail.Errorf(fail.Transient, "nothing was heard of the helper for %s", silence))
	})}
	in.timer.Stop()
	err := f(in, stdinW)
	stdinW.Close()
	if err != nil {
		stdoutR.CloseWithError(err)
	} else {
		go func() { _, _ = io.Copy(io.Discard, stdoutR) }()
	}
	select {
	case <-ended:
	case <-time.After(5 * time.Second):
		cancel(nil)
		<-ended
	}
	if ctx.Err() != nil && err != nil && !errors.Is(err, context.Cause(ctx)) {
		err = errors.Join(context.Cause(ctx), err)
	}
	return err
}

// watched runs a timer while it waits.
type watched struct {
	r     io.Reader
	timer *time.Timer
}

func (w *watched) Read(p []byte) (int, error) {
	w.timer.Reset(silence)
	defer w.timer.Stop()
	return w.r.Read(p)
}

// tail keeps the beginning of what a command says of itself.
type tail struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if room := 4096 - t.b.Len(); room > 0 {
		t.b.Write(p[:min(room, len(p))])
	}
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.TrimSpace(t.b.String())
}

// exec runs a command in the session's container.
func (s *Session) exec(ctx context.Context, command []string, in io.Reader, out io.Writer) error {
	said := &tail{}
	err := s.opener.Client.Exec(ctx, cluster.Command{
		Namespace: s.namespace, Pod: s.pod, Container: s.container, Args: command, In: in, Out: out, Err: said,
	})
	if err == nil {
		return nil
	}
	if fail.Is(err, fail.Unsupported) {
		return notRun{err}
	}
	text := fmt.Sprintf("%q", said.String())
	if said.String() == "" {
		text = "and says nothing"
	}
	return fmt.Errorf("%w (%s)", err, text)
}

// notRun says that a command could not be started, which it will not be the next time either.
type notRun struct{ error }

func (e notRun) Unwrap() error { return e.error }

// uploadScript puts its input into the first folder that takes it, and says where.
const uploadScript = `for d in /tmp /var/tmp /dev/shm "$HOME" /run .; do
f="$d/.hozon-helper-$$"
if ( printf '#!/bin/sh\nexit 0\n' >"$f" && chmod 700 "$f" && "$f" ) 2>/dev/null; then cat >"$f" && echo "$f" && exit 0; fi
rm -f "$f" 2>/dev/null
done
echo "there is no folder in which a program can be written and run" >&2
exit 1`

// upload copies this program into the session's container.
func (o *Opener) upload(ctx context.Context, s *Session) (string, error) {
	self, err := os.Open(o.Self)
	if err != nil {
		return "", err
	}
	defer self.Close()
	var where bytes.Buffer
	if err := s.exec(ctx, []string{"/bin/sh", "-c", uploadScript}, self, &where); err != nil {
		return "", fail.Errorf(fail.Unsupported, "%w; without a shell in the image, name an image with Hozon by --helper-image", err)
	}
	return strings.TrimSpace(where.String()), nil
}

// Copy carries out a request, and again when the connection breaks, as often as attempts says without any byte getting through.
func (s *Session) Copy(ctx context.Context, req transfer.Request, p *transfer.Progress, attempts int, wrap func(io.Reader, io.Writer) (io.Reader, io.Writer)) (transfer.Stats, error) {
	req.Path = s.path
	var stats transfer.Stats
	moved, left := int64(-1), attempts
	for wait := time.Second; ; wait = min(2*wait, 30*time.Second) {
		err := s.Run(ctx, func(in io.Reader, out io.Writer) (err error) {
			in, out = wrap(in, out)
			stats, err = transfer.Client(ctx, in, out, req, p)
			return err
		})
		if not := (notRun{}); errors.As(err, &not) {
			return stats, not.error
		}
		if err == nil || !errors.Is(err, transfer.ErrBroken) || ctx.Err() != nil {
			return stats, err
		}
		if now := p.Moved.Load(); now > moved {
			moved, left, wait = now, attempts, time.Second
		}
		if left--; left <= 0 {
			return stats, err
		}
		s.opener.Say("%v; going on in %s.", err, wait)
		p.Passed.Store(0)
		select {
		case <-ctx.Done():
			return stats, context.Cause(ctx)
		case <-time.After(wait):
		}
	}
}
