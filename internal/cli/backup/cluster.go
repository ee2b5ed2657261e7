// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
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

// The folders that archives go to: bmctl's, where the command is called beside one, else ours.
// stamp is bmctl's form of the time in the name of an archive.
const stamp = "2006-01-02T150405Z0700"

type clusterOptions struct {
	cluster    string
	file       string
	hosts      env.Hosts
	recipients env.Recipients
	from       string
	output     env.Output
}

func newCluster(e *env.Env) *cobra.Command {
	o := &clusterOptions{}
	c := &cobra.Command{
		Use:   "cluster -c NAME",
		Short: "Save the control plane itself: etcd, certificates, configuration",
		Long: `Save the control plane itself into one archive: a snapshot of etcd, taken from its healthiest member, and of every machine the
files that its running etcd, API server, controllers, scheduler and kubelet are told to use, /etc/kubernetes, and a list of packages.

The archive is written as one stream: nothing lies on a disk in the clear unless no recipient is given. It is read back and verified (every
file's hash, etcd's hash, every record of the database) before it gets its name. "hozon cluster inspect" and "extract" open it.

Known by their looks are kubeadm, OpenShift 3.11 and 4, k3s and RKE2 with their own etcd, and etcd or API servers started by systemd. Machines are reached
over SSH as the inventory says:

  ssh: {user: admin, key: /home/me/.ssh/id_ed25519, sudo: true}
  hosts:
  - {name: cp1, address: 192.0.2.11}
  - {name: cp2, address: 192.0.2.12, port: 2222, files: [/root/kubeadm.yaml]}

Without an inventory it is the machine that the command runs on, without SSH.`,
		Example: `  # From a control-plane node, sealed
  hozon backup cluster -c prod --recipient age1qyqszqgpqyqszqgpqyqszqgpqyqszqgpqyqszqgpqyqszqgpqyqsc7f9w7

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
	o.output.AddFlag(f, "text", "json", "yaml")
	return c
}

// result is what the command prints.
type result struct {
	File     string           `json:"file"`
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
	hosts, err := o.connect(ctx)
	defer func() {
		for _, h := range hosts {
			h.Close()
		}
	}()
	if err != nil {
		return err
	}
	w, err := newArchiveFile(o.path(e, len(to) > 0), to)
	if err != nil {
		return err
	}
	defer w.discard()
	saver := dr.Saver{Cluster: o.cluster, Tool: "hozon " + e.Version, From: o.from, Now: e.Now, Say: e.Say}
	manifest, err := saver.Save(ctx, hosts, w)
	if err != nil {
		return fmt.Errorf("back up cluster %s: %w", o.cluster, err)
	}
	e.Say("Reading it back")
	r, err := w.finish(ctx)
	if err != nil {
		return fmt.Errorf("back up cluster %s: verify %s: %w", o.cluster, w.name, err)
	}
	r.Expires, r.From, r.Files, r.Warnings = manifest.Expires, manifest.Etcd, len(manifest.Files), append([]string{}, manifest.Warnings...)
	return r.tell(e, o.output.Format)
}

// connect reaches all machines of the inventory before anything is written.
func (o *clusterOptions) connect(ctx context.Context) (hosts []*host.Host, err error) {
	specs, err := o.hosts.Read()
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

// archiveFile is an archive that is being written, under another name until it is verified.
type archiveFile struct {
	name   string
	file   *os.File
	out    io.Writer
	sealer io.WriteCloser  // nil: in the clear
	with   seal.Identities // made for this run only, so that it can be read back
}

func newArchiveFile(name string, to seal.Recipients) (*archiveFile, error) {
	if _, err := os.Lstat(name); err == nil {
		return nil, env.Usagef("%s exists: give another --backup-file", name)
	}
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		return nil, fmt.Errorf("make the folder of the archive: %w", err)
	}
	f, err := os.OpenFile(name+".part", os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("create the archive: %w", err)
	}
	w := &archiveFile{name: name, file: f, out: f}
	if len(to) == 0 {
		return w, nil
	}
	if w.sealer, w.with, err = seal.NewCheckedWriter(f, to); err != nil {
		w.discard()
		return nil, err
	}
	w.out = w.sealer
	return w, nil
}

func (w *archiveFile) Write(p []byte) (int, error) { return w.out.Write(p) }

// discard removes what is not finished.
func (w *archiveFile) discard() {
	if w.file != nil {
		w.file.Close()
		os.Remove(w.file.Name())
		w.file = nil
	}
}

// finish reads the archive back and gives it its name.
func (w *archiveFile) finish(ctx context.Context) (result, error) {
	r := result{File: w.name, Sealed: w.sealer != nil}
	if w.sealer != nil {
		if err := w.sealer.Close(); err != nil {
			return r, err
		}
	}
	if err := w.file.Sync(); err != nil {
		return r, err
	}
	info, err := w.file.Stat()
	if err != nil {
		return r, err
	}
	r.Size = info.Size()
	var from io.ReaderAt = w.file
	size := r.Size
	if w.sealer != nil {
		opened, err := seal.Open(w.file, size, w.with)
		if err != nil {
			return r, err
		}
		from, size = opened, opened.Size
	}
	if _, r.Etcd, err = dr.Verify(ctx, from, size); err != nil {
		return r, err
	}
	if err := os.Link(w.file.Name(), w.name); err != nil { // unlike a rename it replaces nothing
		return r, err
	}
	w.discard()
	return r, nil
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
