// SPDX-License-Identifier: Apache-2.0

package host

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"hozon.dev/hozon/internal/cli/env"
	"hozon.dev/hozon/internal/dr/hostset"
	"hozon.dev/hozon/internal/host"
	"hozon.dev/hozon/internal/store"
)

// stamp is how a backup is called that nobody has named.
const stamp = "20060102t150405z"

type backupOptions struct {
	machines   machines
	name       string
	profiles   []string
	files      []string
	recipients env.Recipients
	notes      string
	parallel   int
	keep       int
	dryRun     bool
	output     env.Output
}

func newBackup(e *env.Env) *cobra.Command {
	o := &backupOptions{}
	c := &cobra.Command{
		Use:   "backup [NAME]",
		Short: "Save the files of machines into a store",
		Long: `Save the files of machines into the store: for each machine one archive with the files that its profiles name, with owner, mode, extended attributes and
SELinux context, and the list of its packages. Many machines are saved at the same time, over SSH, as the inventory says (hozon backup cluster --help).

Which profiles: those of the inventory (profiles: [k3s]), else those of --profile, else those that fit by looking. Files that the inventory names for a machine
(files: [/root/install]) are saved too.

Each archive is read back before it counts. With recipients, archives are sealed; without, whoever reads the store has the machines' keys.

Exit codes: 0 all machines were saved, 1 none, 2 the command line or the inventory cannot be used, 3 some were not.`,
		Example: `  hozon host backup before-upgrade --inventory hosts.yaml --recipient age1… --store s3://archives/prod?endpoint=https://s3.example.com

  # What would be saved
  hozon host backup --inventory hosts.yaml --dry-run --store /srv/backups

  # Every night, the last fourteen
  hozon host backup --inventory hosts.yaml --recipients-file recipients.txt --store /srv/backups --keep 14

  # With what was done by hand after the installation, written down
  hozon host backup --inventory hosts.yaml --notes after-install.md --store /srv/backups`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if err := o.output.Check(); err != nil {
				return err
			}
			if o.name = e.Now().UTC().Format(stamp); len(args) == 1 {
				if o.name = args[0]; o.keep > 0 {
					return env.Usagef("--keep is for backups without a NAME: those with one stay until `hozon host delete`")
				}
			}
			return o.run(c.Context(), e)
		},
	}
	f := c.Flags()
	o.machines.addFlags(f)
	f.StringSliceVar(&o.profiles, "profile", nil, "Profiles of machines for which the inventory names none (default: those that fit).")
	f.StringSliceVar(&o.files, "profile-file", nil, "File with a profile of your own; may be repeated.")
	o.recipients.AddFlags(f)
	f.StringVar(&o.notes, "notes", "", "File with notes that go into each archive and that a restore shows: steps after the installation.")
	f.IntVar(&o.parallel, "parallel", 8, "Machines at a time.")
	f.IntVar(&o.keep, "keep", 0, "Of the backups of the same machines that nobody has named, keep this many and delete older ones (default: all).")
	f.BoolVar(&o.dryRun, "dry-run", false, "Say what would be saved.")
	o.output.AddFlag(f, "table", "json", "yaml")
	return c
}

func (o *backupOptions) saver(e *env.Env) (*hostset.Saver, error) {
	if o.parallel < 1 {
		return nil, env.Usagef("--parallel %d", o.parallel)
	}
	s := &hostset.Saver{Tool: "hozon " + e.Version, Now: e.Now, Say: e.Say, Profiles: o.profiles, Parallel: o.parallel}
	var err error
	if s.Known, err = known(o.files); err != nil {
		return nil, err
	}
	if s.To, err = o.recipients.Read(); err != nil {
		return nil, err
	}
	if o.notes != "" {
		s.Notes, err = env.ReadText(o.notes)
	}
	return s, err
}

func (o *backupOptions) run(ctx context.Context, e *env.Env) error {
	specs, err := o.machines.read()
	if err != nil {
		return err
	}
	saver, err := o.saver(e)
	if err != nil {
		return err
	}
	if o.dryRun {
		return o.plan(ctx, e, saver, specs)
	}
	st, err := e.OpenStore(ctx, true)
	if err != nil {
		return err
	}
	r, err := saver.Save(ctx, st, o.name, specs)
	if err != nil {
		return err
	}
	if !r.Sealed {
		e.Say("Warning: the archives in %s are not encrypted. Whoever reads them has the keys and certificates of these machines. Give --recipient to seal them.", st)
	}
	if err := o.tell(e, r); err != nil {
		return err
	}
	if r.Failed() > 0 {
		return env.Ended{Code: env.ExitPartial}
	}
	return o.prune(ctx, e, st, r)
}

// prune deletes older backups, never after one in which a machine is missing.
func (o *backupOptions) prune(ctx context.Context, e *env.Env, st *store.Store, r *hostset.Record) error {
	if o.keep < 1 {
		return nil
	}
	all, err := hostset.List(ctx, st)
	if err != nil {
		return err
	}
	unnamed := func(r hostset.Record) bool { _, err := time.Parse(stamp, r.Name); return err == nil }
	for _, name := range hostset.Outdated(all, r, o.keep, unnamed) {
		if err := hostset.Delete(ctx, st, name); err != nil {
			return err
		}
		e.Say("Deleted host backup %q", name)
	}
	return nil
}

func (o *backupOptions) plan(ctx context.Context, e *env.Env, saver *hostset.Saver, specs []host.Spec) error {
	plans, err := saver.Plan(ctx, specs)
	if err != nil {
		return err
	}
	bad := 0
	table := env.Table{Columns: []string{"HOST", "PROFILES", "FILES AND FOLDERS"}}
	for _, p := range plans {
		text := strings.Join(p.Paths, " ")
		if p.Error != "" {
			text = p.Error
			bad++
		}
		table.Rows = append(table.Rows, []any{p.Host, strings.Join(p.Profiles, ","), text})
	}
	if o.output.Format != "table" {
		err = e.Print(o.output.Format, plans)
	} else {
		err = e.PrintTable(table)
	}
	if err == nil && bad > 0 {
		err = env.Ended{Code: env.ExitPartial}
	}
	return err
}

func (o *backupOptions) tell(e *env.Env, r *hostset.Record) error {
	if o.output.Format != "table" {
		return e.Print(o.output.Format, r)
	}
	table := env.Table{Columns: []string{"HOST", "PROFILES", "FILES", "PACKAGES", "SIZE", "RESULT"}}
	for _, h := range r.Hosts {
		result := "saved"
		if h.Error != "" {
			result = h.Error
		}
		table.Rows = append(table.Rows, []any{h.Name, strings.Join(h.Profiles, ","), fmt.Sprint(h.Files), fmt.Sprint(h.Packages), humanize.IBytes(uint64(h.Size)), result})
	}
	if err := e.PrintTable(table); err != nil {
		return err
	}
	e.Say("Host backup %q has been made.", r.Name)
	return nil
}
