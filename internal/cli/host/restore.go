// SPDX-License-Identifier: Apache-2.0

package host

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"hozon.dev/hozon/internal/cli/env"
	"hozon.dev/hozon/internal/dr/hostset"
	"hozon.dev/hozon/internal/host"
	"hozon.dev/hozon/internal/seal"
)

type restoreOptions struct {
	machines machines
	identity identity
	paths    []string
	from, to string
	dryRun   bool
	yes      bool
	output   env.Output
}

func newRestore(e *env.Env) *cobra.Command {
	o := &restoreOptions{}
	c := &cobra.Command{
		Use:   "restore NAME",
		Short: "Bring files of machines back",
		Long: `Bring files of machines back from a host backup, with owner, mode, extended attributes and SELinux context.

First all machines are compared with their archives and the plan is printed. Then, machine by machine, what has to be written is sent to the machine, what
it replaces is copied to a folder of /var/lib/hozon/replaced there, and only then the files go to their places. What has not changed is not touched, and files that the
backup does not have stay. Nothing is installed or restarted: what to do after is printed.

Without --host it is every machine that both the backup and the inventory have. The same command again goes on where one was interrupted.`,
		Example: `  # Look first
  hozon host restore before-upgrade --inventory hosts.yaml --host master-0 --dry-run --identity key.txt --store /srv/backups

  # Only some files
  hozon host restore before-upgrade --inventory hosts.yaml --host master-0 --path /etc/origin --identity key.txt --store /srv/backups

  # Onto a machine that takes another one's place
  hozon host restore before-upgrade --inventory hosts.yaml --from master-0 --to master-3 --identity key.txt --store /srv/backups`,
		Args: oneName,
		RunE: func(c *cobra.Command, args []string) error { return o.run(c.Context(), e, args[0]) },
	}
	f := c.Flags()
	o.machines.addFlags(f)
	o.identity.addFlag(e, f)
	f.StringSliceVar(&o.paths, "path", nil, "Only these files and folders, with what is below them.")
	f.StringVar(&o.from, "from", "", "The machine whose files are brought back onto --to.")
	f.StringVar(&o.to, "to", "", "The machine that gets the files of --from.")
	f.BoolVar(&o.dryRun, "dry-run", false, "Print the plan, and change nothing.")
	f.BoolVar(&o.yes, "yes", false, "Do not ask.")
	o.output.AddFlag(f, "text", "json", "yaml")
	return c
}

// target is a backup and the machines that it is compared with.
type target struct {
	set   *hostset.Set
	specs []host.Spec
	with  seal.Identities
}

func openTarget(ctx context.Context, e *env.Env, name string, m *machines, id identity) (*target, error) {
	specs, err := m.read()
	if err != nil {
		return nil, err
	}
	st, err := e.OpenStore(ctx, false)
	if err != nil {
		return nil, err
	}
	set, err := hostset.Open(ctx, st, name)
	if err != nil {
		return nil, err
	}
	with, err := id.read(set.Record.Sealed)
	if err != nil {
		return nil, err
	}
	t := &target{set: set, specs: specs, with: with}
	if len(m.names) > 0 {
		return t, nil
	}
	saved := set.Hosts()
	t.specs = slices.DeleteFunc(slices.Clone(specs), func(s host.Spec) bool { return !slices.Contains(saved, s.Name) })
	if len(t.specs) == 0 {
		return nil, env.Usagef("the inventory has none of the machines of host backup %s: %s", name, strings.Join(saved, ", "))
	}
	return t, nil
}

// job is one machine with what it gets.
type job struct {
	on      *host.Host
	archive *hostset.Archive
	plan    *hostset.Restored
}

func (o *restoreOptions) run(ctx context.Context, e *env.Env, name string) error {
	if err := o.output.Check(); err != nil {
		return err
	}
	if (o.from == "") != (o.to == "") {
		return env.Usagef("give both --from and --to, or none")
	}
	if o.to != "" {
		if len(o.machines.names) > 0 {
			return env.Usagef("--host does not go with --from and --to")
		}
		o.machines.names = []string{o.to}
	}
	t, err := openTarget(ctx, e, name, &o.machines, o.identity)
	if err != nil {
		return err
	}
	r := &hostset.Restorer{Now: e.Now, Paths: o.paths}
	jobs, err := o.plan(ctx, t, r)
	defer func() {
		for _, j := range jobs {
			j.on.Close()
		}
	}()
	if err != nil {
		return err
	}
	results := []*hostset.Restored{}
	for _, j := range jobs {
		results = append(results, j.plan)
	}
	if o.dryRun {
		return o.tell(e, results, "would be ")
	}
	if !o.yes {
		for _, p := range results {
			tellOne(e.Err, p, "would be ")
		}
		if !e.Confirm() {
			e.Say("Nothing was changed.")
			return env.Ended{Code: env.ExitFailed}
		}
	}
	failed := 0
	for i, j := range jobs {
		e.Say("Bringing files back onto host %s", j.on.Name())
		done, err := r.Restore(ctx, j.archive, j.on)
		if done == nil {
			done = j.plan
		}
		if results[i] = done; err != nil {
			done.Error = err.Error()
			failed++
		}
	}
	if err := o.tell(e, results, "was "); err != nil {
		return err
	}
	return ended(failed, len(jobs))
}

func ended(failed, all int) error {
	switch {
	case failed == 0:
		return nil
	case failed == all:
		return env.Ended{Code: env.ExitFailed}
	}
	return env.Ended{Code: env.ExitPartial}
}

// plan reaches and compares all machines before any of them is changed.
func (o *restoreOptions) plan(ctx context.Context, t *target, r *hostset.Restorer) ([]job, error) {
	var jobs []job
	for _, spec := range t.specs {
		from := spec.Name
		if o.from != "" {
			from = o.from
		}
		a, err := t.set.Host(ctx, from, t.with)
		if err != nil {
			return jobs, err
		}
		h, err := host.Connect(ctx, spec)
		if err != nil {
			return jobs, fmt.Errorf("%w; nothing was changed", err)
		}
		jobs = append(jobs, job{on: h, archive: a})
		if jobs[len(jobs)-1].plan, err = r.Plan(ctx, a, h); err != nil {
			return jobs, err
		}
	}
	return jobs, nil
}
