// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/tools/remotecommand"
	utilexec "k8s.io/client-go/util/exec"
	"k8s.io/streaming/pkg/httpstream"

	"hozon.dev/hozon/internal/fail"
)

// Command is a command to run in a container of a pod, without a shell.
type Command struct {
	Namespace, Pod, Container string

	Args []string
	In   io.Reader // nil: nothing
	Out  io.Writer
	Err  io.Writer
}

// ErrExit says that a command ran, and ended with another code than 0. The error's text has the code.
var ErrExit = errors.New("the command has failed")

// hangUp is how long a stream may take to end after its context has.
const hangUp = 2 * time.Second

// Exec runs a command and returns when it has ended, or soon after ctx has: then the stream is cut, and what becomes of the command in the
// container is up to its runtime. The streams are carried over a WebSocket or, where that is not known, SPDY. In, Out and Err must not be used
// after Exec has returned, unless they are safe for concurrent use.
func (c *Client) Exec(ctx context.Context, e Command) error {
	executor, err := c.executor(e)
	if err != nil {
		return invalid("%s: %w", e.what(), err)
	}
	ended := make(chan error, 1)
	go func() {
		ended <- executor.StreamWithContext(ctx, remotecommand.StreamOptions{Stdin: e.In, Stdout: e.Out, Stderr: e.Err})
	}()
	select {
	case err = <-ended:
	case <-ctx.Done():
		select {
		case err = <-ended:
		case <-time.After(hangUp):
			err = ctx.Err()
		}
	}
	return c.execError(ctx, e, err)
}

func (e Command) what() string {
	return fmt.Sprintf("run %s in container %s of pod %s/%s", e.Args[0], e.Container, e.Namespace, e.Pod)
}

func (c *Client) executor(e Command) (remotecommand.Executor, error) {
	q := url.Values{"container": {e.Container}, "command": e.Args, "stdout": {"true"}, "stderr": {"true"}}
	if e.In != nil {
		q.Set("stdin", "true")
	}
	u, err := url.Parse(fmt.Sprintf("%s/api/v1/namespaces/%s/pods/%s/exec?%s", c.base, url.PathEscape(e.Namespace), url.PathEscape(e.Pod), q.Encode()))
	if err != nil {
		return nil, err
	}
	spdy, err := remotecommand.NewSPDYExecutor(c.config, "POST", u)
	if err != nil {
		return nil, err
	}
	socket, err := remotecommand.NewWebSocketExecutor(c.config, "GET", u.String())
	if err != nil {
		return nil, err
	}
	return remotecommand.NewFallbackExecutor(socket, spdy, func(err error) bool {
		return httpstream.IsUpgradeFailure(err) || httpstream.IsHTTPSProxyError(err)
	})
}

// execError gives what a stream ended with its kind: Unsupported if the command could not be started, which it will not be the next time either.
func (c *Client) execError(ctx context.Context, e Command, err error) error {
	var code utilexec.CodeExitError
	var status *apierrors.StatusError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &code): // also when the context has ended since
		return fmt.Errorf("%s: %w with exit code %d", e.what(), ErrExit, code.Code)
	case context.Cause(ctx) != nil:
		return fmt.Errorf("%s: %w", e.what(), context.Cause(ctx))
	case strings.Contains(err.Error(), "executing command in container"): // what the container's runtime says: no such program
		return fail.Errorf(fail.Unsupported, "%s: %w", e.what(), err)
	case errors.As(err, &status):
		kind, _ := kindOf(status.ErrStatus)
		return fail.Errorf(kind, "%s: %s", e.what(), status.ErrStatus.Message)
	}
	return c.reachError(ctx, e.what(), err)
}
