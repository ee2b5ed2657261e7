// SPDX-License-Identifier: Apache-2.0

package project

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/labels"

	saved "hozon.dev/hozon/internal/cli/cluster"
	"hozon.dev/hozon/internal/cli/env"
	"hozon.dev/hozon/internal/collect"
	"hozon.dev/hozon/internal/dr"
	"hozon.dev/hozon/internal/export"
	"hozon.dev/hozon/internal/report"
	"hozon.dev/hozon/internal/sops"
)

type exportOptions struct {
	namespaces []string
	all        bool
	to         string
	selector   string
	backup     string
	archive    string
	saved      saved.Source
	force      bool
	cluster    bool
	images     []string
	secrets    string
	recipients []string
	output     env.Output
}

func newExport(e *env.Env) *cobra.Command {
	o := &exportOptions{}
	c := &cobra.Command{
		Use:   "export NAMESPACE… [--to DIR|FILE|-]",
		Short: "Write namespaces as manifests that apply cleanly elsewhere",
		Long: `Write namespaces as manifests that apply cleanly elsewhere: every kind, as of one moment, without what the server set, counted, allocated or
filled in, and without what clusters and controllers make by themselves. Two exports of the same state are the same bytes.

Into a folder, each object is a file; into a file (*.yaml) or to standard output, all are one stream. What will not travel (images in a registry of
this cluster, storage classes, fixed addresses, …) is said on standard error, with file and field; -o json prints it.

` + env.ExitHelp,
		Example: `  # A folder for Git
  hozon project export shop --to shop

  # One stream, without Secrets
  hozon project export shop --secrets omit > project.yaml

  # Secrets encrypted so that sops, Flux and Argo CD can read them
  hozon project export shop --to shop --force --secrets encrypt --age-recipient age1…

  # Out of a backup, without a cluster
  hozon project export shop --from-backup monday --store /srv/backups --to shop

  # Out of what was saved of the control plane
  hozon project export shop --from-archive prod_backup.tar.gz.age --identity key.txt --to shop`,
		RunE: func(c *cobra.Command, args []string) error {
			o.namespaces = args
			return o.run(c.Context(), e)
		},
	}
	f := c.Flags()
	f.StringVar(&o.to, "to", "-", "Where to: a folder, a file (*.yaml, *.yml), or '-' for standard output.")
	f.BoolVarP(&o.all, "all-namespaces", "A", false, "All namespaces but the cluster's own (kube-*, openshift-*).")
	f.StringVarP(&o.selector, "selector", "l", "", "Only objects that match this label selector.")
	f.StringVar(&o.backup, "from-backup", "", "Read this backup of --store instead of a cluster.")
	f.StringVar(&o.archive, "from-archive", "", "Read this file instead of a cluster: an archive of a control plane, or an etcd snapshot.")
	o.saved.AddFlags(e, f)
	f.BoolVar(&o.force, "force", false, "Write over what is there, without asking; of an earlier export in the folder, files of objects that are gone are removed.")
	f.BoolVar(&o.cluster, "with-cluster-scoped", false, "Take along the cluster-scoped objects that the project needs: definitions, classes, cluster roles and bindings, volumes.")
	f.StringSliceVar(&o.images, "image-map", nil, "Rewrite the beginning of images' names: from=to.")
	f.StringVar(&o.secrets, "secrets", string(export.Plain), "What becomes of Secrets: 'plain', 'omit', or 'encrypt' (as SOPS does, to --age-recipient).")
	f.StringSliceVar(&o.recipients, "age-recipient", nil, "age recipients of encrypted Secrets (age1…; default: $SOPS_AGE_RECIPIENTS).")
	o.output.AddFlag(f, "", "json", "yaml")
	f.Lookup("output").Usage = "Print what was exported, left out, and will not travel, as json or yaml. Not together with --to -."
	return c
}

func (o *exportOptions) complete(e *env.Env) (export.Options, error) {
	out := export.Options{Secrets: export.Secrets(o.secrets), WithCluster: o.cluster}
	out.Namespaces = slices.Compact(slices.Sorted(slices.Values(o.namespaces)))
	switch {
	case o.all == (len(out.Namespaces) > 0):
		return out, env.Usagef("say which namespaces: names, or --all-namespaces")
	case !slices.Contains([]export.Secrets{export.Plain, export.Omit, export.Encrypt}, out.Secrets):
		return out, env.Usagef("--secrets %q: one of plain, omit, encrypt", o.secrets)
	case o.backup != "" && o.archive != "":
		return out, env.Usagef("give either --from-backup or --from-archive")
	case o.output.Format != "" && o.to == "-":
		return out, env.Usagef("-o %s and the manifests cannot both go to standard output: give --to DIR or FILE", o.output.Format)
	}
	images, err := pairs("image-map", o.images, false)
	if err != nil {
		return out, err
	}
	out.Images = images
	if o.selector != "" {
		s, err := labels.Parse(o.selector)
		if err != nil {
			return out, env.Usagef("--selector %q: %w", o.selector, err)
		}
		out.Selector = s
	}
	if err := o.seal(e, &out); err != nil {
		return out, err
	}
	return out, o.output.Check()
}

func (o *exportOptions) seal(e *env.Env, out *export.Options) error {
	if out.Secrets != export.Encrypt {
		if len(o.recipients) > 0 {
			return env.Usagef("--age-recipient is for --secrets encrypt")
		}
		return nil
	}
	names := o.recipients
	if text := e.Getenv("SOPS_AGE_RECIPIENTS"); len(names) == 0 && text != "" {
		names = strings.Split(text, ",")
	}
	if len(names) == 0 {
		return env.Usagef("--secrets encrypt needs --age-recipient: the public key that `age-keygen` prints")
	}
	recipients, err := sops.ParseRecipients(names)
	if err != nil {
		return err
	}
	out.Seal = (&sops.Sealer{Recipients: recipients, Now: e.Now, Rand: rand.Reader}).Seal
	return nil
}

func (o *exportOptions) run(ctx context.Context, e *env.Env) error {
	opts, err := o.complete(e)
	if err != nil {
		return err
	}
	if o.archive != "" {
		return o.saved.Open(ctx, o.archive, func(image *dr.Image) error {
			read := func(ctx context.Context, to collect.Sink) (collect.Result, []report.Note, error) {
				found, err := image.Read(ctx, to)
				return found.Result, found.Warnings, err
			}
			return o.write(ctx, e, &export.Snapshot{Read: read}, opts)
		})
	}
	from, err := source(ctx, e, o.backup)
	if err != nil {
		return err
	}
	return o.write(ctx, e, from, opts)
}

func (o *exportOptions) write(ctx context.Context, e *env.Env, from export.Source, opts export.Options) error {
	to, err := o.open(e)
	if err != nil {
		return err
	}
	result, err := export.Run(ctx, from, to, opts)
	if err != nil {
		to.abandon()
		return err
	}
	if err := to.Close(); err != nil {
		return fmt.Errorf("write to %s: %w", o.to, err)
	}
	return o.tell(e, result)
}

// source is the backup, or without one the cluster.
func source(ctx context.Context, e *env.Env, backup string) (export.Source, error) {
	if backup == "" {
		client, err := e.OpenCluster()
		return &export.Cluster{Client: client}, err
	}
	s, err := e.OpenStore(ctx, false)
	return &export.Backup{Store: s, Name: backup}, err
}

// target is a sink that can be given up.
type target struct {
	export.Sink
	abandon func()
}

// open makes the sink. What is there already is not written over without a yes.
func (o *exportOptions) open(e *env.Env) (target, error) {
	if o.to == "-" {
		return target{&export.Stream{W: e.Out}, func() {}}, nil
	}
	info, err := os.Stat(o.to)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return target{}, err
	}
	exists := err == nil
	ext := filepath.Ext(o.to)
	if exists && !info.IsDir() || !exists && (ext == ".yaml" || ext == ".yml") {
		if exists && !o.agreed(e, "The file %s exists and will be written over.", o.to) {
			return target{}, env.Ended{Code: env.ExitFailed}
		}
		return newFile(o.to)
	}
	if entries, _ := os.ReadDir(o.to); len(entries) > 0 && !o.agreed(e, "The folder %s is not empty: manifests in it will be written over, and those of an earlier export removed if their objects are gone.", o.to) {
		return target{}, env.Ended{Code: env.ExitFailed}
	}
	tree, err := export.OpenTree(o.to)
	if err != nil {
		return target{}, err
	}
	return target{tree, tree.Abandon}, nil
}

func (o *exportOptions) agreed(e *env.Env, format string, args ...any) bool {
	if o.force {
		return true
	}
	e.Say(format, args...)
	if e.Confirm() {
		return true
	}
	e.Say("Nothing was written; --force does not ask.")
	return false
}

// file is a stream into a file that takes its place when it is complete. It may hold Secrets.
type file struct {
	export.Stream
	f    *os.File
	name string
}

func newFile(name string) (target, error) {
	f, err := os.CreateTemp(filepath.Dir(name), ".hozon-*.part") // mode 0600
	if err != nil {
		return target{}, err
	}
	s := &file{Stream: export.Stream{W: f}, f: f, name: name}
	return target{s, func() { f.Close(); os.Remove(f.Name()) }}, nil
}

func (s *file) Close() error {
	err := errors.Join(s.Stream.Close(), s.f.Close())
	if err == nil {
		err = os.Rename(s.f.Name(), s.name)
	}
	if err != nil {
		os.Remove(s.f.Name())
	}
	return err
}

// tell says what will not travel.
func (o *exportOptions) tell(e *env.Env, r export.Result) error {
	for _, note := range r.Notes {
		e.Say("%s", note)
	}
	var texts []string
	for _, f := range r.Findings {
		where := f.File
		if where == "" {
			where = f.Object
		}
		texts = append(texts, fmt.Sprintf("%s: %s: %s", where, f.Field, f.Text))
	}
	for _, line := range env.FirstLines("warning", texts) {
		e.Say("%s", line)
	}
	texts = nil
	for _, p := range r.Problems {
		texts = append(texts, p.Text)
	}
	for _, line := range env.FirstLines("problem", texts) {
		e.Say("%s", line)
	}
	at := ""
	if r.ResourceVersion != "" {
		at = " as of resourceVersion " + r.ResourceVersion
	}
	e.Say("%d objects exported%s, %d left out because clusters or controllers make them.", r.Objects, at, len(r.Left))
	if o.secrets == string(export.Plain) && o.to != "-" {
		e.Say("Secrets are in clear text (base64); --secrets omit or encrypt for Git.")
	}
	if o.output.Format != "" {
		if err := e.Print(o.output.Format, r); err != nil {
			return err
		}
	}
	return nil
}
