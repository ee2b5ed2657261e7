// SPDX-License-Identifier: Apache-2.0

package restore

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"hozon.dev/hozon/internal/cli/env"
	"hozon.dev/hozon/internal/dr"
	"hozon.dev/hozon/internal/dr/journal"
	"hozon.dev/hozon/internal/fail"
)

type clusterOptions struct {
	cluster  string
	file     string
	hosts    env.Hosts
	identity string
	members  []string
	oneByOne bool
	ownTools bool
	insist   []string
	useDisk  bool
	yes      bool
	dryRun   bool
	resume   bool
	rollback bool
	output   env.Output
}

func newCluster(e *env.Env) *cobra.Command {
	o := &clusterOptions{}
	c := &cobra.Command{
		Use:   "cluster -c NAME --backup-file FILE",
		Short: "Bring the control plane itself back from its archive",
		Long: `Bring the control plane itself back from an archive of "hozon backup cluster": etcd as it was, on every member, and the files of the machines.
Everything that was written to the cluster since is lost; volumes and nodes are not touched.

First the archive is read whole and every machine is looked at; then the plan is printed and has to be confirmed. Up to there nothing is touched.
Then the restored data is brought beside the present one while the cluster still runs, the control plane is stopped on all machines, what is there is
moved aside (never removed), the restored data and files take its place, and everything is started and waited for. etcd's revision is raised, so that
nobody who has seen later objects takes the restored ones for older news. At the end there is a new kubeconfig, and a list of what is left to do.

Every step is written to a journal in NAME_restore_ID in the workspace folder. After an interruption --resume goes on, and --rollback puts back all
that was moved aside; --rollback also takes back a restore that was finished.

Restores are carried out for kubeadm, k3s with its own etcd, OpenShift 3.11, and etcd and API servers under systemd, with etcd 3.4 to 3.7; for RKE2 and OpenShift 4
this cluster's own run-book is printed, which goes by their tools. The machines keep their names and addresses.
A restore makes etcd's data on this machine, in memory; with --use-disk (as root) in the workspace folder, where it is in the clear until it is sent.`,
		Example: `  # What would happen
  hozon restore cluster -c prod --backup-file prod_backup_2026-11-20T020000Z.tar.gz.age --identity key.txt --inventory hosts.yaml --dry-run

  # Do it
  hozon restore cluster -c prod --backup-file prod_backup_2026-11-20T020000Z.tar.gz.age --identity key.txt --inventory hosts.yaml

  # Two of three machines are gone for good: go on with one
  hozon restore cluster -c prod --backup-file prod.tar.gz --inventory hosts.yaml --members cp1

  # Send the data to one machine only; etcd itself brings it to the others, which are added one after the other
  hozon restore cluster -c prod --backup-file prod.tar.gz --inventory hosts.yaml --members cp1,cp2,cp3 --add-members

  # A user cluster of bmctl
  hozon restore cluster -c user1 --backup-file user1.tar.gz --kubeconfig admin-kubeconfig

  # After an interruption
  hozon restore cluster -c prod --inventory hosts.yaml --identity key.txt --resume
  hozon restore cluster -c prod --inventory hosts.yaml --rollback`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := o.check(); err != nil {
				return err
			}
			return o.run(c.Context(), e)
		},
	}
	f := c.Flags()
	f.StringVarP(&o.cluster, "cluster", "c", "", "Name of the cluster.")
	f.StringVar(&o.file, "backup-file", "", "The archive.")
	o.hosts.AddFlags(f)
	f.StringVar(&o.identity, "identity", e.Getenv("HOZON_IDENTITY"), "File with the age identity that opens a sealed archive (default: $HOZON_IDENTITY).")
	f.StringSliceVar(&o.members, "members", nil, "Machines that shall make up the restored control plane (default: all of the archive).")
	f.BoolVar(&o.oneByOne, "add-members", false, "Restore etcd on one machine, the first of --members, and add the others to it one by one.")
	f.BoolVar(&o.ownTools, "own-tools", false, "Have etcd's data made by the machines' own etcdutl or etcdctl, as with --insist version for an etcd that is not of 3.4 to 3.7.")
	f.StringSliceVar(&o.insist, "insist", nil, "Do it although: "+strings.Join(dr.Insists, ", ")+".")
	f.BoolVar(&o.useDisk, "use-disk", false, "Make etcd's data in the workspace folder instead of in memory; needs root.")
	f.BoolVar(&o.yes, "yes", false, "Do not ask.")
	f.BoolVar(&o.dryRun, "dry-run", false, "Look at everything, print the plan and the run-book, and touch nothing.")
	f.BoolVar(&o.dryRun, "print", false, "The same as --dry-run.")
	f.BoolVar(&o.resume, "resume", false, "Go on with a restore that was interrupted.")
	f.BoolVar(&o.rollback, "rollback", false, "Take the last restore back.")
	o.output.AddFlag(f, "text", "json", "yaml")
	return c
}

func (o *clusterOptions) check() error {
	if err := o.output.Check(); err != nil {
		return err
	}
	for _, i := range o.insist {
		if !slices.Contains(dr.Insists, i) {
			return env.Usagef("--insist %s: there are %s", i, strings.Join(dr.Insists, ", "))
		}
	}
	again := o.resume || o.rollback
	switch {
	case o.cluster == "":
		return env.Usagef("give the cluster's name: -c NAME")
	case o.resume && o.rollback:
		return env.Usagef("--resume or --rollback, not both")
	case again && (o.dryRun || len(o.members) > 0 || o.oneByOne || o.ownTools || o.useDisk):
		return env.Usagef("--resume and --rollback go by the plan that was made; they take neither --dry-run nor --members nor --add-members nor --own-tools nor --use-disk")
	case !again && o.file == "":
		return env.Usagef("name the archive: --backup-file FILE")
	case o.useDisk && os.Geteuid() != 0:
		return env.Usagef("--use-disk writes every secret of the cluster to a folder in the clear, and needs root")
	}
	return nil
}

// folder is where a restore keeps its journal.
func (o *clusterOptions) folder(id string) string {
	return filepath.Join(env.Workspace(), o.cluster+"_restore_"+id)
}

const journalName = "journal"

// run looks for restores that came before, and does what was asked for.
func (o *clusterOptions) run(ctx context.Context, e *env.Env) error {
	open, last, err := o.earlier()
	if err != nil {
		return err
	}
	switch {
	case o.rollback && open == "" && last == "":
		return env.Usagef("there is no restore of cluster %s in %s to take back", o.cluster, env.Workspace())
	case o.rollback && open == "":
		open = last
	case o.resume && open == "":
		return env.Usagef("there is no interrupted restore of cluster %s in %s", o.cluster, env.Workspace())
	case !o.resume && !o.rollback && open != "" && !o.dryRun:
		return env.Usagef("a restore of cluster %s was interrupted (%s): --resume goes on with it, --rollback takes it back", o.cluster, filepath.Dir(open))
	}
	r := &dr.Restorer{Cluster: o.cluster, Members: o.members, OneByOne: o.oneByOne, OwnTools: o.ownTools, Insist: o.insist, Now: e.Now, Say: e.Say}
	defer r.Close()
	switch {
	case o.rollback:
		err = o.takeBack(ctx, e, r, open)
	case o.resume:
		err = o.goOn(ctx, e, r, open)
	default:
		err = o.begin(ctx, e, r)
	}
	if err != nil {
		return fmt.Errorf("restore cluster %s: %w", o.cluster, err)
	}
	return nil
}

// earlier finds the journals of a restore that is not finished, and of the last that is.
func (o *clusterOptions) earlier() (open, last string, err error) {
	all, err := filepath.Glob(filepath.Join(o.folder("*"), journalName))
	if err != nil {
		return "", "", err
	}
	var newest int64
	for _, name := range all {
		j, err := journal.Peek(name, &dr.Plan{})
		if fail.Is(err, fail.Corrupt) && j == nil {
			continue // it ended before anything was begun
		}
		if err != nil {
			return "", "", err
		}
		info, err := os.Stat(name)
		if err != nil {
			return "", "", err
		}
		switch at := info.ModTime().UnixNano(); {
		case dr.Unfinished(j):
			open = name
		case dr.TakenBack(j):
		case at > newest:
			newest, last = at, name
		}
	}
	return open, last, nil
}

func (o *clusterOptions) load(ctx context.Context, e *env.Env, name string) (*dr.Archive, *env.Plain, error) {
	e.Say("Reading %s", name)
	f, err := e.OpenArchive(ctx, name, o.identity)
	if err != nil {
		return nil, nil, err
	}
	a, err := dr.Load(ctx, name, f, f.Size)
	if err != nil {
		f.Close()
		return nil, nil, fmt.Errorf("open %s: %w", name, err)
	}
	return a, f, nil
}

// begin makes a plan and carries it out.
func (o *clusterOptions) begin(ctx context.Context, e *env.Env, r *dr.Restorer) error {
	specs, err := o.hosts.OfCluster(ctx, e, o.cluster, false)
	if err != nil {
		return err
	}
	archive, f, err := o.load(ctx, e, o.file)
	if err != nil {
		return err
	}
	defer f.Close()
	r.Archive = archive
	if o.useDisk {
		r.Scratch.Dir = env.Workspace()
		if err := os.MkdirAll(r.Scratch.Dir, 0o700); err != nil {
			return err
		}
	}
	e.Say("Looking at the machines")
	plan, found, err := r.Prepare(ctx, specs)
	for _, f := range found {
		if f.Level != dr.OK {
			e.Say("%s: %s %s: %s", f.Level, f.Host, f.Check, f.Text)
		}
	}
	if err != nil {
		return err
	}
	if o.dryRun || !plan.Execute() {
		return o.print(e, plan, found)
	}
	e.Say("%s", plan.Text())
	if !o.yes && !e.ConfirmName(o.cluster) {
		return fail.Errorf(fail.Invalid, "it was not confirmed; nothing was touched")
	}
	j, err := journal.Create(filepath.Join(o.folder(plan.ID), journalName), e.Now, plan)
	if err != nil {
		return err
	}
	defer j.Close()
	return o.carryOut(ctx, e, r, plan, j)
}

// planned is the plan as data.
type planned struct {
	Plan     *dr.Plan     `json:"plan"`
	Findings []dr.Finding `json:"findings"`
	Runbook  []string     `json:"runbook"`
}

func (o *clusterOptions) print(e *env.Env, plan *dr.Plan, found []dr.Finding) error {
	book := plan.Runbook()
	if o.output.Format != "text" {
		return e.Print(o.output.Format, planned{plan, found, book})
	}
	head := "\nThe same by hand:\n"
	if !plan.Execute() {
		head = ""
	}
	_, err := fmt.Fprintf(e.Out, "%s%s\n%s\n", plan.Text(), head, strings.Join(book, "\n"))
	return err
}

func (o *clusterOptions) carryOut(ctx context.Context, e *env.Env, r *dr.Restorer, plan *dr.Plan, j *journal.Journal) error {
	out, err := r.Run(ctx, plan, j, filepath.Join(env.Workspace(), o.cluster, o.cluster+"-kubeconfig"))
	if err != nil {
		return fmt.Errorf("%w\nThe restore is not finished. --resume goes on with it, --rollback puts back what was there before", err)
	}
	if err := o.tell(e, plan, out); err != nil {
		return err
	}
	return r.Finish(j)
}

func (o *clusterOptions) tell(e *env.Env, plan *dr.Plan, out *dr.Outcome) error {
	if o.output.Format != "text" {
		return e.Print(o.output.Format, out)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "Cluster %s is restored to what it was at %s.\n", o.cluster, plan.Created.Format("2006-01-02 15:04:05 MST"))
	if out.Kubeconfig != "" {
		fmt.Fprintf(&b, "Kubeconfig: %s\n", out.Kubeconfig)
	}
	for _, t := range out.Tidied {
		fmt.Fprintf(&b, "Done: %s\n", t)
	}
	for _, t := range out.Todo {
		fmt.Fprintf(&b, "To do: %s\n", t)
	}
	_, err := fmt.Fprint(e.Out, b.String())
	return err
}

// again opens a journal and reaches the machines of its plan.
func (o *clusterOptions) again(ctx context.Context, e *env.Env, r *dr.Restorer, name string) (*dr.Plan, *journal.Journal, error) {
	specs, err := o.hosts.OfCluster(ctx, e, o.cluster, false)
	if err != nil {
		return nil, nil, err
	}
	plan := &dr.Plan{}
	j, err := journal.Open(name, e.Now, plan)
	if err != nil {
		return nil, nil, err
	}
	r.Scratch.Dir = plan.Scratch
	if err := r.Reconnect(ctx, plan, specs); err != nil {
		j.Close()
		return nil, nil, err
	}
	return plan, j, nil
}

func (o *clusterOptions) goOn(ctx context.Context, e *env.Env, r *dr.Restorer, name string) error {
	plan, j, err := o.again(ctx, e, r, name)
	if err != nil {
		return err
	}
	defer j.Close()
	if o.file == "" {
		o.file = plan.File
	}
	archive, f, err := o.load(ctx, e, o.file)
	if err != nil {
		return err
	}
	defer f.Close()
	r.Archive = archive
	if err := r.Same(plan); err != nil {
		return err
	}
	return o.carryOut(ctx, e, r, plan, j)
}

func (o *clusterOptions) takeBack(ctx context.Context, e *env.Env, r *dr.Restorer, name string) error {
	plan, j, err := o.again(ctx, e, r, name)
	if err != nil {
		return err
	}
	defer j.Close()
	e.Say("The restore of %s is taken back: what it moved aside takes its place again.", plan.Created.Format("2006-01-02 15:04:05 MST"))
	if !o.yes && !e.ConfirmName(o.cluster) {
		return fail.Errorf(fail.Invalid, "it was not confirmed; nothing was touched")
	}
	if err := r.Rollback(ctx, plan, j); err != nil {
		return fmt.Errorf("%w\nNot everything could be taken back. Repeat --rollback when the cause is gone", err)
	}
	_, err = fmt.Fprintf(e.Out, "The restore is taken back. What it had put in place is kept as *.hozon-%s.undone.\n", plan.ID)
	return err
}
