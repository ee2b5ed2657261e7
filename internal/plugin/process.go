// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	goplugin "github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"hozon.dev/hozon/internal/fail"
)

// handshake is what programs want to hear before they serve; Velero's.
var handshake = goplugin.HandshakeConfig{ProtocolVersion: 2, MagicCookieKey: "VELERO_PLUGIN", MagicCookieValue: "hello"}

const (
	// maxDeaths is how often in a row a program may die until it is not started any more.
	maxDeaths = 10
	// idleTime is how long a program may rest until it is stopped. Locations are looked at every minute.
	idleTime = 5 * time.Minute
	// startTimeout bounds the time from the start of a program to its handshake.
	startTimeout = 20 * time.Second
)

// process is a program that runs when it is called.
type process struct {
	command string
	args    []string
	log     *slog.Logger
	home    *Folder // stops it at its own end
	// begin is called on each new process before anything else: it hands over the configuration.
	begin func(context.Context, *grpc.ClientConn) error

	mu     sync.Mutex
	client *goplugin.Client // nil: does not run
	conn   *grpc.ClientConn
	deaths int
	users  int
	rest   *time.Timer
}

// service gives the connection of a program; what it offers is known by its name.
type service struct {
	goplugin.NetRPCUnsupportedPlugin
}

// GRPCServer implements goplugin.GRPCPlugin; this side never serves.
func (service) GRPCServer(*goplugin.GRPCBroker, *grpc.Server) error { return nil }

// GRPCClient implements goplugin.GRPCPlugin.
func (service) GRPCClient(_ context.Context, _ *goplugin.GRPCBroker, conn *grpc.ClientConn) (any, error) {
	return conn, nil
}

// start runs the program.
func (p *process) start() (*grpc.ClientConn, error) {
	client := goplugin.NewClient(&goplugin.ClientConfig{
		HandshakeConfig: handshake, AllowedProtocols: []goplugin.Protocol{goplugin.ProtocolGRPC},
		Plugins: goplugin.PluginSet{"any": service{}}, StartTimeout: startTimeout,
		Cmd: exec.Command(p.command, p.args...), Logger: p.logger(), SyncStdout: io.Discard, SyncStderr: io.Discard,
	})
	protocol, err := client.Client()
	if err == nil {
		var conn any
		if conn, err = protocol.Dispense("any"); err == nil {
			p.client, p.conn = client, conn.(*grpc.ClientConn)
			p.home.started(p)
			return p.conn, nil
		}
	}
	client.Kill()
	reason, _, _ := strings.Cut(err.Error(), "\n") // what follows are guesses
	return nil, fail.Errorf(fail.Unsupported, "plugin %s does not start: %s", p.command, reason)
}

// stop ends the program.
func (p *process) stop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.end()
}

func (p *process) end() {
	if p.client != nil {
		p.client.Kill()
		p.home.ended(p)
	}
	p.client, p.conn = nil, nil
}

// use returns a connection to the running program; done has to be called afterwards.
func (p *process) use(ctx context.Context) (conn *grpc.ClientConn, done func(), err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.client != nil && p.client.Exited() {
		p.died()
	}
	if p.client == nil {
		err := p.run(ctx)
		if fail.Is(err, fail.Transient) { // nothing was asked of it yet
			err = p.run(ctx)
		}
		if err != nil {
			return nil, nil, err
		}
	}
	if p.rest != nil {
		p.rest.Stop()
	}
	p.users++
	return p.conn, sync.OnceFunc(p.leave), nil
}

// run starts the program and hands over the configuration.
func (p *process) run(ctx context.Context) error {
	if p.deaths >= maxDeaths {
		return fail.Errorf(fail.Unsupported, "plugin %s has died %d times in a row and is not started again; the server's log has what it said", p.command, p.deaths)
	}
	conn, err := p.start()
	if err != nil {
		p.deaths++
		return err
	}
	if p.begin == nil {
		return nil
	}
	err = p.begin(ctx, conn)
	if status.Code(err) == codes.Unavailable {
		p.died()
		return fail.Errorf(fail.Transient, "plugin %s died when it got its configuration; the server's log has what it said", p.command)
	}
	if err != nil {
		p.end()
	}
	return err
}

func (p *process) died() {
	p.deaths++
	p.log.Warn("plugin died", "plugin", p.command, "times", p.deaths)
	p.end()
}

// answered notes what a call on a connection says about the life of the program.
func (p *process) answered(conn *grpc.ClientConn, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case status.Code(err) != codes.Unavailable:
		p.deaths = 0
	case p.conn == conn: // nobody has noticed before
		p.died()
	}
}

// leave notes that a call is over: a program without one is stopped after a while.
func (p *process) leave() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.users--; p.users > 0 {
		return
	}
	p.rest = time.AfterFunc(idleTime, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.users == 0 {
			p.end()
		}
	})
}

// call makes one call. One that can be asked twice is, if the program died in it.
func (p *process) call(ctx context.Context, method string, request, response any, twice bool) error {
	for {
		err := p.once(ctx, method, request, response)
		if err == nil || !twice || ctx.Err() != nil || status.Code(err) != codes.Unavailable {
			return p.explain(method, err)
		}
		twice = false
	}
}

func (p *process) once(ctx context.Context, method string, request, response any) error {
	conn, done, err := p.use(ctx)
	if err != nil {
		return err
	}
	defer done()
	err = conn.Invoke(ctx, method, request, response)
	p.answered(conn, err)
	return err
}

// explain gives what a program answered a kind, and says who it was.
func (p *process) explain(method string, err error) error {
	if err == nil || fail.Of(err) != fail.Unknown {
		return err
	}
	name := filepath.Base(p.command)
	s, ok := status.FromError(err)
	if !ok {
		return err
	}
	switch s.Code() {
	case codes.Unavailable:
		return fail.Errorf(fail.Transient, "plugin %s died in the call %s; it is started again at the next one, and the server's log has what it said", name, filepath.Base(method))
	case codes.Unimplemented:
		return fail.Errorf(fail.Unsupported, "plugin %s does not know the call %s", name, method)
	case codes.Canceled:
		return fmt.Errorf("plugin %s: %s: %w", name, filepath.Base(method), context.Canceled)
	case codes.DeadlineExceeded:
		return fmt.Errorf("plugin %s: %s: %w", name, filepath.Base(method), context.DeadlineExceeded)
	}
	return fail.Errorf(fail.Unknown, "plugin %s: %s", name, s.Message())
}

// logger passes on what the program and its go-between say.
func (p *process) logger() hclog.Logger {
	l := hclog.NewInterceptLogger(&hclog.LoggerOptions{Name: filepath.Base(p.command), Level: hclog.Debug, Output: io.Discard})
	l.RegisterSink(sink{p.log.With("plugin", filepath.Base(p.command))})
	return l
}

// sink turns hclog's lines into slog's.
type sink struct{ log *slog.Logger }

// Accept implements hclog.SinkAdapter.
func (s sink) Accept(_ string, level hclog.Level, text string, args ...any) {
	to := slog.LevelDebug // the go-between's own talk, too
	switch level {
	case hclog.Info:
		to = slog.LevelDebug
	case hclog.Warn:
		to = slog.LevelWarn
	case hclog.Error:
		to = slog.LevelError
	}
	s.log.Log(context.Background(), to, text, args...)
}
