// SPDX-License-Identifier: Apache-2.0

// Package install has the commands `hozon install` and `hozon uninstall`.
package install

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"hozon.dev/hozon/internal/cli/env"
	"hozon.dev/hozon/internal/install"
)

type options struct {
	install.Options
	secretFile   string
	noSecret     bool
	noLocation   bool
	cacert       string
	rbac         string
	restoreOnly  bool
	controlPlane bool
	agent        agentFlags
	recipients   env.Recipients
	features     []string

	dryRun, wait     bool
	keepPlugins, now bool
	timeout          time.Duration
	output           env.Output
}

// New is `hozon install`.
func New(e *env.Env) *cobra.Command {
	o := &options{}
	c := &cobra.Command{
		Use:   "install",
		Short: "Install the server in the cluster, also over Velero",
		Long: `Install the server in the cluster: the kinds of velero.io, a namespace, an account and its rights, the credentials, a location, a Deployment.

It can be repeated: what differs is changed, and the server restarts if it has to. Over a running Velero it takes Velero's place: backups,
schedules, locations and Secrets stay as they are, and the same command of Velero's, with --apply, takes it back. A server that is at work is waited for.

Velero's flags are known; those that mean nothing here are accepted with a note. The object stores of Amazon, Google and Microsoft are built
in: --plugins that name theirs give native snapshots, and are left out with --use-volume-snapshots=false. With --use-node-agent there is a DaemonSet
too, whose pods save and restore the files of volumes.`,
		Example: `  # Amazon S3, with a key
  hozon install --provider aws --bucket backups --secret-file ./credentials --backup-location-config region=eu-west-1 --wait

  # An S3-compatible server
  hozon install --provider aws --bucket backups --secret-file ./credentials \
    --backup-location-config region=minio,s3ForcePathStyle=true,s3Url=https://minio.example.com

  # Google Cloud, with Workload Identity
  hozon install --provider gcp --bucket backups --no-secret --sa-annotations iam.gke.io/gcp-service-account=$EMAIL \
    --backup-location-config serviceAccount=$EMAIL

  # The files of volumes too
  hozon install --provider aws --bucket backups --secret-file ./credentials --backup-location-config region=eu-west-1 --use-node-agent --wait

  # Look first; or let GitOps do it
  hozon install --provider aws --bucket backups --secret-file ./credentials --dry-run -o yaml`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return o.run(c.Context(), e, c.Flags()) },
	}
	o.addFlags(c.Flags(), e)
	return c
}

func (o *options) addFlags(f *pflag.FlagSet, e *env.Env) {
	f.StringVar(&o.Provider, "provider", "", "Kind of store: aws (and all that speaks S3), gcp, azure, file.")
	f.StringVar(&o.Bucket, "bucket", "", "Bucket, container or folder in which backups are kept.")
	f.StringVar(&o.Prefix, "prefix", "", "Folder in it.")
	f.StringToStringVar(&o.LocationConfig, "backup-location-config", nil, "The provider's settings: key=value,…")
	f.StringVar(&o.secretFile, "secret-file", "", "File with the credentials, as Velero's plugin of the provider wants it.")
	f.BoolVar(&o.noSecret, "no-secret", false, "The cluster gives the server its credentials (workload identity, instance roles).")
	f.BoolVar(&o.noLocation, "no-default-backup-location", false, "Make no location.")
	f.StringVar(&o.cacert, "cacert", "", "File with the CA of the store, in PEM form.")
	f.BoolVar(&o.SnapshotLocation, "use-volume-snapshots", true, "Make a location for snapshots of volumes.")
	f.StringToStringVar(&o.SnapshotConfig, "snapshot-location-config", nil, "Its settings: key=value,…")
	f.StringSliceVar(&o.Plugins, "plugins", nil, "Images of plugins. Those of Amazon, Google and Microsoft are needed for native snapshots only; without --use-volume-snapshots they are left out.")
	f.StringVar(&o.Image, "image", "hozon:"+strings.ReplaceAll(strings.TrimPrefix(e.Version, "v"), "+", "-"), "Image of the server (`make image` makes it; push it where the nodes can pull it).")
	f.StringVar(&o.Account, "service-account-name", "", "Account that exists, with its rights, for the server to use.")
	f.StringToStringVar(&o.AccountAnnotations, "sa-annotations", nil, "Annotations of the account that is made.")
	f.StringToStringVar(&o.PodAnnotations, "pod-annotations", nil, "Annotations of the server's pods.")
	f.StringToStringVar(&o.PodLabels, "pod-labels", nil, "Labels of the server's pods.")
	f.StringVar(&o.PriorityClass, "server-priority-class-name", "", "Priority class of the server's pods.")
	f.StringVar(&o.Server.CPURequest, "velero-pod-cpu-request", "500m", "CPU that the server asks for; 0: none.")
	f.StringVar(&o.Server.MemRequest, "velero-pod-mem-request", "128Mi", "Memory that the server asks for; 0: none.")
	f.StringVar(&o.Server.CPULimit, "velero-pod-cpu-limit", "1000m", "CPU that the server may use; 0: any.")
	f.StringVar(&o.Server.MemLimit, "velero-pod-mem-limit", "512Mi", "Memory that the server may use; 0: any.")
	f.StringVar(&o.rbac, "rbac", string(install.ClusterAdmin), "Rights of the server: cluster-admin, as Velero's, or split: what it needs.")
	f.BoolVar(&o.restoreOnly, "restore-only", false, "The server neither makes, deletes nor schedules backups.")
	f.StringSliceVar(&o.features, "features", nil, "Features of Velero; those that exist are always on.")
	f.BoolVar(&o.controlPlane, "with-control-plane-backup", false, "Also a CronJob on a control-plane node that saves the control plane itself into the default location (hozon backup cluster).")
	f.StringVar(&o.ControlPlane.Cluster, "control-plane-name", "cluster", "With it: the name of the cluster in the store.")
	f.StringVar(&o.ControlPlane.Schedule, "control-plane-schedule", "0 */6 * * *", "With it: when.")
	f.IntVar(&o.ControlPlane.Keep, "control-plane-keep", 28, "With it: how many archives are kept.")
	o.recipients.AddFlags(f)
	f.BoolVar(&o.CRDsOnly, "crds-only", false, "Only the kinds of velero.io.")
	f.BoolVar(&o.dryRun, "dry-run", false, "Print the objects (with -o), and change nothing.")
	f.BoolVar(&o.wait, "wait", false, "Wait until the server is ready.")
	f.DurationVar(&o.timeout, "timeout", 5*time.Minute, "How long --wait waits.")
	f.BoolVar(&o.keepPlugins, "keep-plugins", false, "Install over a server whose plugins are not built in; they stay in its Deployment.")
	f.BoolVar(&o.now, "now", false, "Replace a server at once, also when it is at work.")
	o.output.AddTableFlags(f, "", "json", "yaml")
	f.Lookup("output").Usage = "Print the objects as json or yaml."
	o.agent.add(f)
	passOn(f)
	ignore(f)
}

func (o *options) run(ctx context.Context, e *env.Env, f *pflag.FlagSet) error {
	if err := o.complete(e, f); err != nil {
		return err
	}
	all, err := o.Manifests()
	if err != nil {
		return env.UsageError(err)
	}
	if o.output.Format != "" {
		if err := e.Print(o.output.Format, install.List(all)); err != nil {
			return err
		}
	}
	if o.dryRun {
		return nil
	}
	server, err := e.OpenServer()
	if err != nil {
		return err
	}
	say := func(format string, args ...any) { fmt.Fprintf(e.Out, format+"\n", args...) }
	if o.output.Format != "" {
		say = e.Say // data is on Out already
	}
	i := install.Installer{Cluster: server.Cluster, Namespace: e.Namespace, Say: say, KeepPlugins: o.keepPlugins, Snapshots: o.SnapshotLocation, Now: o.now}
	if err := i.Apply(ctx, all); err != nil {
		return err
	}
	return o.finish(ctx, e, &i)
}

func (o *options) finish(ctx context.Context, e *env.Env, i *install.Installer) error {
	if o.CRDsOnly {
		return nil
	}
	if o.wait {
		i.Say("Waiting for Velero deployment to be ready.")
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, o.timeout, fmt.Errorf("not ready after %s", o.timeout))
		defer cancel()
		if err := i.Wait(ctx); err != nil {
			return err
		}
	}
	if err := o.agent.finish(ctx, i, o.wait); err != nil {
		return err
	}
	if o.Credentials == nil {
		i.Say("No secret file was specified, no Secret created.")
	}
	if o.Provider == "" {
		i.Say("No bucket and provider were specified, no default backup storage location created.")
	}
	i.Say("Velero is installed! ⛵ Use 'kubectl logs deployment/%s -n %s' to view the status.", install.Deployment, e.Namespace)
	return nil
}

// complete makes options of flags, and says what is not done.
func (o *options) complete(e *env.Env, f *pflag.FlagSet) error {
	if err := o.output.Check(); err != nil {
		return err
	}
	o.Namespace, o.RBAC = e.Namespace, install.RBAC(o.rbac)
	if o.CRDsOnly {
		return nil
	}
	if o.noLocation {
		o.Provider, o.Bucket = "", ""
	} else if o.Provider == "" || o.Bucket == "" {
		return env.Usagef("--provider and --bucket are required, unless --no-default-backup-location or --crds-only is given")
	}
	if o.secretFile == "" && !o.noSecret && !o.noLocation {
		return env.Usagef("--secret-file is required; if the cluster gives the server its credentials, say so with --no-secret")
	}
	if err := o.readFiles(); err != nil {
		return err
	}
	if f.Changed("use-volume-snapshots") && !o.SnapshotLocation {
		o.SnapshotConfig = nil
	}
	if o.restoreOnly {
		o.Args = append(o.Args, "--restore-only")
	}
	if len(o.features) > 0 {
		o.Args = append(o.Args, "--features="+strings.Join(o.features, ","))
	}
	o.Args = append(o.Args, passed(f)...)
	if err := o.agent.complete(e, f, &o.Options); err != nil {
		return err
	}
	if err := o.completeControlPlane(e); err != nil {
		return err
	}
	noteIgnored(e, f)
	return nil
}

func (o *options) completeControlPlane(e *env.Env) error {
	to, err := o.recipients.Read()
	switch {
	case err != nil:
		return err
	case !o.controlPlane && len(to) > 0:
		return env.Usagef("--recipient is for --with-control-plane-backup")
	case !o.controlPlane:
		o.ControlPlane = install.ControlPlane{}
		return nil
	case len(to) == 0:
		e.Say("Warning: archives of the control plane will not be encrypted: whoever reads the bucket owns the cluster. Give --recipient.")
	}
	o.ControlPlane.Recipients, err = o.recipients.Texts()
	return err
}

// readFiles reads the credentials and the CA. The file of a folder location is its own credential.
func (o *options) readFiles() error {
	var errs []error
	read := func(flag, file string) []byte {
		if file == "" {
			return nil
		}
		data, err := os.ReadFile(file)
		if err != nil {
			errs = append(errs, fmt.Errorf("--%s: %w", flag, err))
		} else if len(data) == 0 {
			errs = append(errs, env.Usagef("--%s: %s is empty", flag, path.Base(file)))
		}
		return data
	}
	o.Credentials = read("secret-file", o.secretFile)
	o.CACert = read("cacert", o.cacert)
	return errors.Join(errs...)
}
