// SPDX-License-Identifier: Apache-2.0

package dr

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"hozon.dev/hozon/internal/dr/journal"
	"hozon.dev/hozon/internal/fail"
	"hozon.dev/hozon/internal/host"
)

//go:embed restore.sh
var restoreScript string

// How long is waited for things that machines do by themselves. A kubelet may look at its manifests only every 20 seconds, and lets a pod end for 30.
const (
	goneTimeout  = 3 * time.Minute
	readyTimeout = 5 * time.Minute
	pollInterval = 500 * time.Millisecond
)

// finished is the event that closes a journal.
const finished = "finished"

// step is one thing that is done, on one machine or, with no name of one, here. Both of its functions may be called again, also after they were cut off.
type step struct {
	text string // for people, and with the machine the name in the journal
	host string
	do   func(ctx context.Context) error
	undo func(ctx context.Context) error // nil: there is nothing to take back
	tell bool                            // it has something to tell at the end, and is done again for that
}

func (s step) name() string { return strings.TrimSpace(s.text + " @" + s.host) }

func (s step) said() string {
	if s.host == "" {
		return s.text
	}
	return s.host + ": " + s.text
}

// Outcome is what a restore has to tell when it is over.
type Outcome struct {
	Kubeconfig string   `json:"kubeconfig,omitempty"` // the file that was written
	Tidied     []string `json:"tidied"`               // what was cleaned up in the restored cluster
	Todo       []string `json:"todo"`                 // what is left to people
}

// Reconnect reaches the machines of a plan that was made before.
func (r *Restorer) Reconnect(ctx context.Context, p *Plan, specs []host.Spec) error {
	r.checker = Checker{Now: r.Now}
	if err := r.connect(ctx, p, specs); err != nil {
		return err
	}
	for _, f := range r.checker.found {
		if f.Level == Failed {
			return errors.New(f.Text)
		}
	}
	return nil
}

// Same says whether the archive is the one that a plan was made of.
func (r *Restorer) Same(p *Plan) error {
	if r.Archive.sum("etcd/snapshot.db") != p.Snapshot {
		return fail.Errorf(fail.Invalid, "%s is not the archive that the restore %s was begun with (%s)", r.Archive.File, p.ID, p.File)
	}
	return nil
}

// Run carries the plan out from where the journal says it is. An error leaves the journal as it is: Run again continues, Rollback takes it all back.
func (r *Restorer) Run(ctx context.Context, p *Plan, j *journal.Journal, kubeconfig string) (*Outcome, error) {
	defer r.Scratch.clean(p)
	out := &Outcome{Tidied: []string{}, Todo: []string{}}
	all := r.steps(p, kubeconfig, out)
	for i, s := range all {
		done := j.State(s.name()) == journal.Done
		if done && !s.tell {
			continue
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		r.Say("[%d/%d] %s", i+1, len(all), s.said())
		if err := once(ctx, s, j, done); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// once does a step, between two lines of the journal unless it was done before.
func once(ctx context.Context, s step, j *journal.Journal, done bool) error {
	if !done {
		if err := j.Record(s.name(), journal.Begun); err != nil {
			return err
		}
	}
	if err := s.do(ctx); err != nil {
		return fmt.Errorf("%s: %w", s.said(), err)
	}
	if done {
		return nil
	}
	return j.Record(s.name(), journal.Done)
}

// Finish closes the journal of a restore that was carried out, when its outcome has been told.
func (r *Restorer) Finish(j *journal.Journal) error { return j.Record(finished, journal.Done) }

// Rollback takes back, from the last to the first, what was begun. It goes on when a step cannot be taken back, and returns all that failed.
func (r *Restorer) Rollback(ctx context.Context, p *Plan, j *journal.Journal) error {
	if err := r.Scratch.clean(p); err != nil {
		return err
	}
	var failed []error
	all := r.steps(p, "", &Outcome{})
	for _, s := range slices.Backward(all) {
		if st := j.State(s.name()); st == "" || st == journal.Undone {
			continue
		}
		if err := ctx.Err(); err != nil {
			return errors.Join(append(failed, err)...)
		}
		if s.undo != nil {
			r.Say("Taking back: %s", s.said())
			if err := s.undo(ctx); err != nil {
				failed = append(failed, fmt.Errorf("take back %q: %w", s.said(), err))
				continue
			}
		}
		if err := j.Record(s.name(), journal.Undone); err != nil {
			return err
		}
	}
	if len(failed) > 0 {
		return errors.Join(failed...)
	}
	return j.Record(finished, journal.Undone)
}

// Unfinished says whether a journal is of a restore that neither came to its end nor was taken back.
func Unfinished(j *journal.Journal) bool { return j.State(finished) == "" }

// steps are all steps of a plan, always the same for the same plan.
func (r *Restorer) steps(p *Plan, kubeconfig string, out *Outcome) []step {
	b := &builder{r: r, p: p}
	for i := range p.Hosts {
		b.stage(&p.Hosts[i])
	}
	b.all = append(b.all, step{text: "remove what was unpacked", do: func(context.Context) error { return r.Scratch.clean(p) }})
	for _, name := range slices.Backward(order) {
		b.each(name, b.stop)
	}
	for i := range p.Hosts {
		b.swap(&p.Hosts[i])
	}
	for _, name := range order {
		b.each(name, func(h *HostPlan, part Part) {
			if name != "etcd" || h.Join == "" {
				b.start(h, part)
			}
		})
		b.await(name)
	}
	for i := range p.Hosts {
		b.restart(&p.Hosts[i])
	}
	b.finish(kubeconfig, out)
	return b.all
}

// builder puts the steps together.
type builder struct {
	r   *Restorer
	p   *Plan
	all []step
}

// verb is a call of restore.sh.
func (b *builder) verb(h *HostPlan, in []byte, verb string, args ...string) func(context.Context) error {
	return func(ctx context.Context) error {
		_, err := b.r.on(ctx, h.Name, b.p, in, verb, args...)
		return err
	}
}

func (b *builder) add(h *HostPlan, text string, do, undo func(context.Context) error) {
	b.all = append(b.all, step{text: text, host: h.Name, do: do, undo: undo})
}

func (b *builder) each(process string, f func(*HostPlan, Part)) {
	for i := range b.p.Hosts {
		for _, part := range b.p.Hosts[i].Parts {
			if part.Process == process {
				f(&b.p.Hosts[i], part)
			}
		}
	}
}

// stage brings everything to the machines while the cluster still runs: what does not fit does no harm.
func (b *builder) stage(h *HostPlan) {
	b.add(h, "make a place to work", b.verb(h, nil, "ready"), nil)
	if h.Member != nil && h.Join == "" {
		b.add(h, "bring etcd's data beside "+h.path(),
			func(ctx context.Context) error { return b.r.stageData(ctx, b.p, h) }, b.verb(h, nil, "unstage-data", h.Data))
	}
	b.add(h, "bring files beside theirs", func(ctx context.Context) error { return b.r.stageFiles(ctx, b.p, h) }, b.verb(h, nil, "unstage-files"))
}

func (b *builder) stop(h *HostPlan, part Part) {
	resume := b.verb(h, nil, "resume-unit", part.Unit)
	if part.Manifest != "" {
		resume = b.verb(h, nil, "resume-pod", part.Manifest)
	}
	b.add(h, "stop "+part.Process, b.halt(h, part, "stop"), resume)
}

// halt stops a part by one of two verbs, and waits until it is gone.
func (b *builder) halt(h *HostPlan, part Part, by string) func(context.Context) error {
	stop := b.verb(h, nil, by+"-unit", part.Unit)
	if part.Manifest != "" {
		stop = b.verb(h, nil, by+"-pod", part.Manifest)
	}
	gone := b.verb(h, nil, "await-gone", append([]string{seconds(goneTimeout)}, part.shows()...)...)
	return func(ctx context.Context) error {
		if err := stop(ctx); err != nil {
			return err
		}
		return gone(ctx)
	}
}

func (b *builder) swap(h *HostPlan) {
	switch {
	case h.Join != "":
		b.add(h, "set "+h.path()+" aside", b.verb(h, nil, "aside-data", h.dataArgs()...), b.verb(h, nil, "unswap-data", h.Data))
	case h.Member != nil:
		b.add(h, "set "+h.path()+" aside and put the restored one there", b.verb(h, nil, "swap-data", h.Data), b.verb(h, nil, "unswap-data", h.Data))
	}
	if files := list(h.paths()); len(files) > 0 {
		b.add(h, "put files back", b.verb(h, files, "swap-files"), b.verb(h, files, "unswap-files"))
	}
}

func (b *builder) start(h *HostPlan, part Part) {
	start := b.verb(h, nil, "start-unit", part.Unit)
	if part.Manifest != "" {
		start = b.verb(h, nil, "start-pod", part.Manifest)
	}
	b.add(h, "start "+part.Process, start, b.halt(h, part, "unstart"))
}

// await waits for what a part makes up, if it is there.
func (b *builder) await(process string) {
	there := false
	b.each(process, func(*HostPlan, Part) { there = true })
	if there && (process == "etcd" || process == k3sPart) {
		b.all = append(b.all, step{text: "wait for etcd", do: func(ctx context.Context) error { return b.r.awaitEtcd(ctx, b.p, b.p.made()) }})
	}
	if process == "etcd" {
		b.each(process, func(h *HostPlan, part Part) {
			if h.Join != "" {
				b.join(h, part)
			}
		})
	}
	if process == "kube-apiserver" || process == k3sPart {
		b.each(process, func(h *HostPlan, _ Part) {
			if h.API != nil {
				b.add(h, "wait for the API server", func(ctx context.Context) error { return b.r.awaitAPI(ctx, h) }, nil)
			}
		})
	}
}

func (b *builder) restart(h *HostPlan) {
	for _, unit := range h.Restart {
		b.add(h, "restart "+unit, b.verb(h, nil, "restart-unit", unit), nil)
	}
}

// finish is what follows when all runs.
func (b *builder) finish(kubeconfig string, out *Outcome) {
	if !slices.ContainsFunc(b.p.Hosts, func(h HostPlan) bool { return h.API != nil }) {
		return
	}
	b.all = append(b.all,
		step{text: "write a kubeconfig", tell: true, do: func(context.Context) error {
			var err error
			out.Kubeconfig, err = b.r.writeKubeconfig(b.p, kubeconfig)
			return err
		}},
		step{text: "tidy up", tell: true, do: func(ctx context.Context) error { return b.r.tidy(ctx, b.p, out) }})
}

func isClosed(err error) bool { return errors.Is(err, io.ErrClosedPipe) }

// TakenBack says whether a journal is of a restore that was taken back.
func TakenBack(j *journal.Journal) bool { return j.State(finished) == journal.Undone }
