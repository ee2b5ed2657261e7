// SPDX-License-Identifier: Apache-2.0

package volume

import (
	"context"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/time/rate"

	"hozon.dev/hozon/internal/cli/env"
	"hozon.dev/hozon/internal/transfer"
	"hozon.dev/hozon/internal/transfer/pod"
)

// choice are the flags of what is copied, and how.
type choice struct {
	transfer.Options
	output env.Output
}

func (o *choice) addFlags(f *pflag.FlagSet) {
	f.BoolVar(&o.Delete, "delete", false, "Delete at the target what the source does not have.")
	f.StringArrayVar(&o.Include, "include", nil, "Only files that match: *.log by name, /data/*.log by path below the source. May be repeated.")
	f.StringArrayVar(&o.Exclude, "exclude", nil, "Not what matches, and nothing below it. May be repeated.")
	f.BoolVar(&o.DryRun, "dry-run", false, "Change nothing, and say what would be done.")
	f.BoolVar(&o.Devices, "devices", false, "Also device files.")
	f.BoolVar(&o.NoOwner, "no-owner", false, "Do not keep owners, nor setuid and setgid.")
	o.output.AddFlag(f, "text", "json", "yaml")
}

func (o *choice) check() error {
	if err := o.output.Check(); err != nil {
		return err
	}
	return env.UsageError(o.Filter.Check())
}

// options are the flags of pull and push.
type options struct {
	choice
	image, how, bandwidth string
	attempts              int
}

func (o *options) addFlags(e *env.Env, c *cobra.Command) {
	f := c.Flags()
	o.choice.addFlags(f)
	f.StringVar(&o.bandwidth, "bandwidth", "", "At most so much a second, for example 10MB.")
	f.StringVar(&o.image, "helper-image", e.Getenv("HOZON_HELPER_IMAGE"), "Image with this version of Hozon at "+pod.Program+", for helpers (default: $HOZON_HELPER_IMAGE).")
	f.StringVar(&o.how, "helper", pod.Auto, "How a helper gets into a pod: container (an ephemeral container of --helper-image), copy (this program, through the pod's shell), or auto.")
	f.IntVar(&o.attempts, "attempts", 10, "How often to go on after the connection broke, as long as nothing gets through.")
}

func (o *options) check() error {
	if o.how != pod.Auto && o.how != pod.Ephemeral && o.how != pod.Copy {
		return env.Usagef("--helper %q: it is container, copy or auto", o.how)
	}
	if o.attempts < 1 {
		return env.Usagef("--attempts %d: at least 1", o.attempts)
	}
	return o.choice.check()
}

// limit returns what holds streams to the bandwidth.
func (o *options) limit(ctx context.Context) (func(io.Reader, io.Writer) (io.Reader, io.Writer), error) {
	if o.bandwidth == "" {
		return func(r io.Reader, w io.Writer) (io.Reader, io.Writer) { return r, w }, nil
	}
	perSecond, err := humanize.ParseBytes(o.bandwidth)
	if err != nil || perSecond < 1024 {
		return nil, env.Usagef("--bandwidth %q: write it as 500kB or 10MB, at least 1kB", o.bandwidth)
	}
	burst := int(max(min(perSecond/4, 1<<20), 1024))
	limiter := rate.NewLimiter(rate.Limit(perSecond), burst)
	return func(r io.Reader, w io.Writer) (io.Reader, io.Writer) {
		return slowReader{ctx, r, limiter}, slowWriter{ctx, w, limiter}
	}, nil
}

// slowReader and slowWriter live as long as one call of the command, whose context they hold.
type slowReader struct {
	ctx   context.Context
	r     io.Reader
	limit *rate.Limiter
}

func (s slowReader) Read(p []byte) (int, error) {
	n, err := s.r.Read(p[:min(len(p), s.limit.Burst())])
	if e := s.limit.WaitN(s.ctx, n); e != nil {
		return n, e
	}
	return n, err
}

type slowWriter struct {
	ctx   context.Context
	w     io.Writer
	limit *rate.Limiter
}

func (s slowWriter) Write(p []byte) (int, error) {
	done := 0
	for done < len(p) {
		part := p[done:min(len(p), done+s.limit.Burst())]
		if err := s.limit.WaitN(s.ctx, len(part)); err != nil {
			return done, err
		}
		n, err := s.w.Write(part)
		if done += n; err != nil {
			return done, err
		}
	}
	return done, nil
}

// opener is for the cluster that the flags name.
func (o *options) opener(e *env.Env) (*pod.Opener, error) {
	client, err := e.OpenCluster()
	if err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	return &pod.Opener{Client: client, Image: o.image, How: o.how, Self: self, Say: e.Say}, nil
}

// run copies, and reports.
func (o *options) run(ctx context.Context, e *env.Env, opener *pod.Opener, place pod.Place, req transfer.Request) error {
	limit, err := o.limit(ctx)
	if err != nil {
		return err
	}
	session, err := opener.Open(ctx, place, req.Push)
	if err != nil {
		return err
	}
	defer func() {
		// Also after ^C: what was put into the cluster is taken away.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 15*time.Second)
		defer cancel()
		if err := session.Close(ctx); err != nil {
			e.Say("Clean up: %v.", err)
		}
	}()
	req.Options = o.Options
	progress := transfer.Progress{Totals: env.IsTerminal(e.Err)}
	stop := show(e, &progress)
	began := e.Now()
	stats, err := session.Copy(ctx, req, &progress, o.attempts, limit)
	stop()
	if err != nil {
		return err
	}
	return o.report(e, stats, e.Now().Sub(began))
}

func (o *choice) report(e *env.Env, s transfer.Stats, took time.Duration) error {
	if o.output.Format != "text" {
		if err := e.Print(o.output.Format, s); err != nil {
			return err
		}
	} else {
		o.print(e, s, took)
	}
	if s.Failed > 0 {
		return env.Ended{Code: env.ExitPartial}
	}
	return nil
}

func (o *choice) print(e *env.Env, s transfer.Stats, took time.Duration) {
	for _, line := range s.Would {
		fmt.Fprintln(e.Out, line)
	}
	done := "Copied"
	if o.DryRun {
		done = "Would copy"
	}
	fmt.Fprintf(e.Out, "%s %d of %d files (%s) in %s; %d other changes, %d deleted.\n",
		done, s.Sent, s.Files, humanize.Bytes(uint64(s.Bytes)), took.Round(100*time.Millisecond), s.Changed, s.Deleted)
	if s.Unowned {
		e.Say("Owners were not kept, for want of the right to set them.")
	}
	if s.Dropped > 0 {
		e.Say("The file system did not keep owner or mode of %d files (%s).", s.Dropped, s.FirstDropped)
	}
	if s.Bare > 0 {
		e.Say("The file system has no place for extended attributes, or ACLs, of %d files (%s).", s.Bare, s.FirstBare)
	}
	for _, p := range s.Problems {
		e.Say("%s: %s", p.Path, p.Text)
	}
	if more := s.Failed - int64(len(s.Problems)); more > 0 {
		e.Say("… and %d more.", more)
	}
}

// show prints how far a copy is on a terminal, until it is stopped.
func show(e *env.Env, p *transfer.Progress) (stop func()) {
	if !env.IsTerminal(e.Err) {
		return func() {}
	}
	done, gone := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(gone)
		tick := time.NewTicker(500 * time.Millisecond)
		defer tick.Stop()
		m := meter{began: e.Now()}
		for {
			select {
			case <-done:
				fmt.Fprint(e.Err, "\r\x1b[K")
				return
			case <-tick.C:
				fmt.Fprintf(e.Err, "\r\x1b[K%s", m.line(p.Passed.Load(), p.Moved.Load(), p.Bytes.Load(), e.Now()))
			}
		}
	}()
	return func() { close(done); <-gone }
}

// A meter tells a rate and the time that is left, of the time since it began.
type meter struct{ began time.Time }

func (m meter) line(passed, moved, total int64, now time.Time) string {
	seconds := max(now.Sub(m.began).Seconds(), 0.001)
	line := fmt.Sprintf("%s sent, %s/s", humanize.Bytes(uint64(moved)), humanize.Bytes(uint64(float64(moved)/seconds)))
	if total > 0 && passed > 0 && passed <= total {
		left := time.Duration(float64(total-passed) / float64(passed) * seconds * float64(time.Second))
		line += fmt.Sprintf(", %d%% of %s, %s left", passed*100/total, humanize.Bytes(uint64(total)), left.Round(time.Second))
	}
	return line
}

// exactly is cobra.ExactArgs, as an error of the command line.
func exactly(n int, what string) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if len(args) != n {
			return env.Usagef("it takes %s; see `%s --help`", what, c.CommandPath())
		}
		return nil
	}
}
