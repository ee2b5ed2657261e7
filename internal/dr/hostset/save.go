// SPDX-License-Identifier: Apache-2.0

package hostset

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"hozon.dev/hozon/internal/dr/bundle"
	"hozon.dev/hozon/internal/fail"
	"hozon.dev/hozon/internal/host"
	"hozon.dev/hozon/internal/host/profile"
	"hozon.dev/hozon/internal/seal"
	"hozon.dev/hozon/internal/store"
)

// Saver makes Sets.
type Saver struct {
	Tool     string
	Now      func() time.Time
	Say      func(format string, args ...any) // hears of each machine
	Known    []profile.Profile
	Profiles []string // for machines whose inventory names none; none: those that fit
	To       seal.Recipients
	Notes    string // a text that goes into every archive
	Parallel int    // machines at a time; 0: 8
}

// Plan is what would be saved of a machine.
type Plan struct {
	Host     string   `json:"host"`
	Profiles []string `json:"profiles"`
	Paths    []string `json:"paths"` // those that exist
	Error    string   `json:"error,omitempty"`

	after []string
}

// Save makes a Set. Machines that cannot be saved are in the Record; if that is all of them, there is no Set, and an error.
func (s *Saver) Save(ctx context.Context, st *store.Store, name string, specs []host.Spec) (*Record, error) {
	shelf, err := st.Shelf(store.Hosts, name)
	if err != nil {
		return nil, err
	}
	if files, err := shelf.List(ctx); err != nil {
		return nil, err
	} else if len(files) > 0 {
		return nil, fail.Errorf(fail.Exists, "host backup %s: %s is there already: give another name", name, shelf.Name(files[0]))
	}
	r := &Record{Format: format, Name: name, Tool: s.Tool, Created: s.Now().UTC(), Sealed: len(s.To) > 0, Hosts: make([]Saved, len(specs))}
	err = s.each(ctx, len(specs), func(i int) {
		saved, err := s.one(ctx, shelf, specs[i])
		if err != nil {
			saved.Archive, saved.Error = "", err.Error()
			s.Say("Host %s was NOT saved: %v", saved.Name, err)
		}
		r.Hosts[i] = saved
	})
	if err != nil || r.Failed() == len(specs) {
		cleanup := context.WithoutCancel(ctx)
		if files, err := shelf.List(cleanup); err == nil {
			_ = shelf.Delete(cleanup, files...) // an archive without record is of no use; the next run refuses the name if it stays
		}
	}
	if err != nil {
		return r, err
	}
	if r.Failed() == len(specs) {
		return r, fail.Errorf(fail.Transient, "host backup %s: none of the %d hosts was saved: %s", name, len(specs), r.Hosts[0].Error)
	}
	return r, shelf.PutJSON(ctx, recordFile, r)
}

// each runs do for every machine, some at a time.
func (s *Saver) each(ctx context.Context, n int, do func(i int)) error {
	group := errgroup.Group{}
	group.SetLimit(max(1, s.Parallel))
	if s.Parallel == 0 {
		group.SetLimit(8)
	}
	for i := range n {
		group.Go(func() error {
			if ctx.Err() == nil {
				do(i)
			}
			return ctx.Err()
		})
	}
	return group.Wait()
}

// Plan says what would be saved.
func (s *Saver) Plan(ctx context.Context, specs []host.Spec) ([]Plan, error) {
	plans := make([]Plan, len(specs))
	err := s.each(ctx, len(specs), func(i int) {
		plans[i] = Plan{Host: specs[i].Name, Profiles: []string{}, Paths: []string{}}
		h, err := host.Connect(ctx, specs[i])
		if err == nil {
			defer h.Close()
			plans[i], err = s.plan(ctx, h)
		}
		if err != nil {
			plans[i].Error = err.Error()
		}
	})
	return plans, err
}

// plan finds the profiles of a machine and which of their paths it has.
func (s *Saver) plan(ctx context.Context, h *host.Host) (Plan, error) {
	p := Plan{Host: h.Name(), Profiles: []string{}, Paths: []string{}}
	fit, err := s.fit(ctx, h)
	if err != nil {
		return p, err
	}
	paths := profile.Paths(fit)
	for _, f := range fit {
		p.Profiles = append(p.Profiles, f.Name)
		for _, step := range f.After {
			if !slices.Contains(p.after, step) {
				p.after = append(p.after, step)
			}
		}
	}
	paths = profile.Outermost(append(paths, h.Spec.Files...))
	if len(paths) == 0 {
		return p, fail.Errorf(fail.Invalid, "host %s: no profile fits it: name one with --profile, or files in the inventory", h.Name())
	}
	there, err := h.Existing(ctx, paths)
	if err == nil && len(there) == 0 {
		err = fail.Errorf(fail.NotFound, "host %s has none of the files of %s", h.Name(), strings.Join(p.Profiles, ", "))
	}
	p.Paths = append(p.Paths, paths...)
	return p, err
}

func (s *Saver) fit(ctx context.Context, h *host.Host) ([]profile.Profile, error) {
	names := h.Spec.Profiles
	if len(names) == 0 {
		names = s.Profiles
	}
	if len(names) > 0 {
		return profile.Named(s.Known, names...)
	}
	there, err := h.Existing(ctx, profile.Marks(s.Known))
	return profile.Fitting(s.Known, there), err
}

// one saves one machine and verifies what was saved.
func (s *Saver) one(ctx context.Context, shelf *store.Shelf, spec host.Spec) (Saved, error) {
	saved := Saved{Name: spec.Name, Address: spec.Address, Profiles: []string{}}
	h, err := host.Connect(ctx, spec)
	if err != nil {
		return saved, err
	}
	defer h.Close()
	plan, err := s.plan(ctx, h)
	saved.Profiles, saved.After = plan.Profiles, plan.after
	if err != nil {
		return saved, err
	}
	saved.Archive = spec.Name + ".tar.gz"
	if len(s.To) > 0 {
		saved.Archive += seal.Extension
	}
	var with seal.Identities
	saved.Size, err = shelf.Put(ctx, saved.Archive, func(w io.Writer) error {
		if len(s.To) == 0 {
			return s.write(ctx, h, plan, w)
		}
		sealer, own, err := seal.NewCheckedWriter(w, s.To)
		if err != nil {
			return err
		}
		with = own
		if err := s.write(ctx, h, plan, sealer); err != nil {
			return err
		}
		return sealer.Close()
	})
	if err != nil {
		return saved, err
	}
	a, err := openArchive(ctx, shelf, saved, with)
	if err != nil {
		return saved, errors.Join(fmt.Errorf("verify: %w", err), shelf.Delete(context.WithoutCancel(ctx), saved.Archive))
	}
	saved.Files, saved.Packages = len(a.Files), len(a.Packages)
	s.Say("Saved host %s: %d files (%s)", saved.Name, saved.Files, strings.Join(saved.Profiles, ", "))
	return saved, nil
}

// write streams the archive of a machine.
func (s *Saver) write(ctx context.Context, h *host.Host, plan Plan, w io.Writer) error {
	m := &bundle.Manifest{Tool: s.Tool, Created: s.Now().UTC(), Hosts: []bundle.Host{{Name: h.Name(), Address: h.Spec.Address, Layout: strings.Join(plan.Profiles, " "),
		Processes: []bundle.Process{}, Paths: plan.Paths}}}
	archive, err := bundle.NewWriter(w, m.Created)
	if err != nil {
		return err
	}
	defer archive.Release()
	if s.Notes != "" {
		if err := archive.AddBytes(notesFile, []byte(s.Notes)); err != nil {
			return err
		}
	}
	prefix := "hosts/" + h.Name() + "/"
	seen := map[string]bool{}
	err = h.Files(ctx, plan.Paths, func(e *tar.Header, r io.Reader) error {
		if seen[e.Name] {
			return fail.Errorf(fail.Corrupt, "its tar sends %q twice", e.Name)
		}
		seen[e.Name] = true
		if e.Name = prefix + "files/" + e.Name; e.Typeflag == tar.TypeLink {
			e.Linkname = prefix + "files/" + e.Linkname
		}
		return archive.Add(e, r)
	})
	if err != nil {
		return fmt.Errorf("save files of host %s: %w", h.Name(), err)
	}
	packages, err := h.Run(ctx, "sh", "-c", packageScript)
	if err != nil {
		return err
	}
	if err := archive.AddBytes(prefix+"packages.txt", packages); err != nil {
		return err
	}
	return archive.Close(m)
}

// Hosts are the machines of a Set that were saved, by name.
func (s *Set) Hosts() []string {
	var names []string
	for _, h := range s.Record.Hosts {
		if h.Archive != "" {
			names = append(names, h.Name)
		}
	}
	slices.Sort(names)
	return names
}
