// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"hozon.dev/hozon/internal/cli/env"
	"hozon.dev/hozon/internal/dr"
	"hozon.dev/hozon/internal/dr/bundle"
	"hozon.dev/hozon/internal/etcd"
	"hozon.dev/hozon/internal/host"
	"hozon.dev/hozon/internal/seal"
	"hozon.dev/hozon/internal/store"
)

// stamp is bmctl's form of the time in the name of an archive.
const stamp = "2006-01-02T150405Z0700"

type clusterOptions struct {
	cluster    string
	file       string
	hosts      env.Hosts
	recipients env.Recipients
	from       string
	location   string
	useDisk    bool
	keep       int
	output     env.Output
}

func newCluster(e *env.Env) *cobra.Command {
	o := &clusterOptions{}
	c := &cobra.Command{
		Use:   "cluster -c NAME",
		Short: "Save the control plane itself: etcd, certificates, configuration",
		Long: `Save the control plane itself into one archive: a snapshot of etcd, taken from its healthiest member, and of every machine the
files that its running etcd, API server, controllers, scheduler and kubelet are told to use, /etc/kubernetes, and a list of packages.

The archive goes into a file, or with --store (or HOZON_STORE) into a store. It is written
as one stream: nothing lies on a disk in the clear unless no recipient is given, or --use-disk. It is read back and verified (every
file's hash, etcd's hash, every record of the database) before it gets its name. "hozon cluster inspect" and "extract" open it.

Known by their looks are kubeadm, OpenShift 3.11 and 4, k3s and RKE2 with their own etcd, and etcd or API servers started by systemd. Machines are reached
over SSH as the inventory says:

  ssh: {user: admin, key: /home/me/.ssh/id_ed25519, sudo: true}
  hosts:
  - {name: cp1, address: 192.0.2.11}
  - {name: cp2, address: 192.0.2.12, port: 2222, files: [/root/kubeadm.yaml]}

Without an inventory it is the machine that the command runs on, without SSH; or, if --kubeconfig names the admin cluster of bmctl that manages the cluster, the
control-plane machines that it knows, with the SSH key that it keeps.`,
		Example: `  # From a control-plane node, sealed
  hozon backup cluster -c prod --recipient age1qyqszqgpqyqszqgpqyqszqgpqyqszqgpqyqszqgpqyqszqgpqyqsc7f9w7

  # Into a bucket, the last seven
  hozon backup cluster -c prod --recipients-file recipients.txt --store 's3://archives/prod?endpoint=https://s3.example.com' --keep 7

  # A user cluster of bmctl
  hozon backup cluster -c user1 --kubeconfig admin-kubeconfig --recipients-file recipients.txt

  # From a workstation
  hozon backup cluster -c prod --inventory hosts.yaml --recipients-file recipients.txt --backup-file /safe/prod.tar.gz.age`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := o.output.Check(); err != nil {
				return err
			}
			if err := store.CheckName(store.Backup, o.cluster); err != nil || o.cluster == "" {
				return env.Usagef("give the cluster a name: -c NAME, of lower-case letters, digits, - and .")
			}
			return o.run(c.Context(), e)
		},
	}
	f := c.Flags()
	f.StringVarP(&o.cluster, "cluster", "c", "", "Name of the cluster.")
	f.StringVar(&o.file, "backup-file", "", "The archive (default: NAME_backup_TIME.tar.gz in bmctl-workspace if that is here, else in hozon-workspace; .age is added when it is sealed).")
	o.hosts.AddFlags(f)
	o.recipients.AddFlags(f)
	f.StringVar(&o.from, "from", "", "Save etcd as this machine has it, though it is not healthy or the members disagree.")
	f.StringVar(&o.location, "backup-location", "", "Instead of --store: a backup location of the cluster that the kubeconfig names.")
	f.BoolVar(&o.useDisk, "use-disk", false, "Write the archive to the workspace first, in the clear, verify it there, then send it to where it goes, and remove it. Needs root.")
	f.IntVar(&o.keep, "keep", 0, "With --store: keep this many archives of the cluster, and delete older ones after this one has been made (0: all).")
	o.output.AddFlag(f, "text", "json", "yaml")
	return c
}

// result is what the command prints.
type result struct {
	Format   int              `json:"format"`
	Cluster  string           `json:"cluster"`
	Created  time.Time        `json:"created"`
	File     string           `json:"file"` // or the name on the shelf of a store
	Size     int64            `json:"size"`
	Sealed   bool             `json:"sealed"`
	Expires  time.Time        `json:"expires"`
	Etcd     etcd.Status      `json:"etcd"`
	From     bundle.EtcdFacts `json:"from"`
	Files    int              `json:"files"`
	Warnings []string         `json:"warnings"`
}

func (o *clusterOptions) run(ctx context.Context, e *env.Env) error {
	to, err := o.recipients.Read()
	if err != nil {
		return err
	}
	d, err := o.destination(ctx, e, to)
	if err != nil {
		return err
	}
	r, err := o.make(ctx, e, d)
	if err != nil {
		if s, ok := d.(*storeDestination); ok {
			return s.failed(ctx, o.cluster, e.Now(), err)
		}
		return err
	}
	if err := r.tell(e, o.output.Format); err != nil {
		return err
	}
	if s, ok := d.(*storeDestination); ok && o.keep > 0 {
		return s.prune(ctx, o.keep, e)
	}
	return nil
}

// make makes the archive.
func (o *clusterOptions) make(ctx context.Context, e *env.Env, d destination) (result, error) {
	hosts, err := o.connect(ctx, e)
	defer func() {
		for _, h := range hosts {
			h.Close()
		}
	}()
	if err != nil {
		return result{}, err
	}
	saver := dr.Saver{Cluster: o.cluster, Tool: "hozon " + e.Version, From: o.from, Now: e.Now, Say: e.Say}
	job := &job{say: e.Say}
	job.write = func(w io.Writer) (err error) {
		job.manifest, err = saver.Save(ctx, hosts, w)
		return err
	}
	if o.useDisk {
		remove, err := job.spool(ctx, e)
		defer remove()
		if err != nil {
			return result{}, fmt.Errorf("back up cluster %s: %w", o.cluster, err)
		}
	}
	r, err := d.put(ctx, job)
	if err != nil {
		return result{}, fmt.Errorf("back up cluster %s: %w", o.cluster, err)
	}
	return r, nil
}

// connect reaches all machines of the inventory before anything is written.
func (o *clusterOptions) connect(ctx context.Context, e *env.Env) (hosts []*host.Host, err error) {
	read := func() ([]host.Spec, error) { return o.hosts.OfCluster(ctx, e, o.cluster, true) }
	if o.location != "" { // then the kubeconfig is that of the cluster with the location
		read = o.hosts.Read
	}
	specs, err := read()
	if err != nil {
		return nil, err
	}
	var refused []error
	for _, s := range specs {
		h, err := host.Connect(ctx, s)
		if err != nil {
			refused = append(refused, err)
			continue
		}
		hosts = append(hosts, h)
	}
	return hosts, errors.Join(refused...)
}

// path is where the archive goes.
func (o *clusterOptions) path(e *env.Env, sealed bool) string {
	if o.file != "" {
		return o.file
	}
	name := filepath.Join(env.Workspace(), o.cluster+"_backup_"+e.Now().UTC().Format(stamp)+".tar.gz")
	if sealed {
		name += seal.Extension
	}
	return name
}

func (r result) tell(e *env.Env, format string) error {
	for _, w := range r.Warnings {
		e.Say("Warning: %s", w)
	}
	if !r.Sealed {
		e.Say("Warning: %s is not encrypted. Whoever reads it owns the cluster: it holds every Secret, the keys of the certificate authorities and the key that signs the tokens of service accounts. Give --recipient to seal it.", r.File)
	}
	if format != "text" {
		return e.Print(format, r)
	}
	_, err := fmt.Fprintf(e.Out, "%s: %s, %d files, etcd %s at revision %d (%d members), verified. Good until %s.\n",
		r.File, humanize.IBytes(uint64(r.Size)), r.Files, r.From.Version, r.Etcd.Revision, len(r.From.Members), r.Expires.Format(time.DateOnly))
	return err
}
