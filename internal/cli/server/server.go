// SPDX-License-Identifier: Apache-2.0

// Package server is the command `hozon server`.
package server

import (
	"cmp"
	"context"
	"net"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"hozon.dev/hozon/internal/cli/env"
	"hozon.dev/hozon/internal/cluster"
	"hozon.dev/hozon/internal/server"
)

type options struct {
	server.Options
	logLevel, logFormat string
	qps                 float32
	burst               int
	restoreOnly         bool
	profiler            string
	features            []string
}

// New returns the command.
func New(e *env.Env) *cobra.Command {
	o := &options{}
	c := &cobra.Command{
		Use:   "server",
		Short: "Run the server, which carries out the custom resources of velero.io",
		Long: `Run the server, which carries out the custom resources of velero.io in one namespace.

It runs in a pod, or anywhere with a kubeconfig. Of several servers in one namespace one leads and works. A run
that a server did not survive is begun again by the next one, three times at most.

Flags that only Velero knows are accepted with a warning.`,
		Example: `  # For development: outside of the cluster, with KUBECONFIG
  hozon server --namespace velero

  # Two backups at a time, logs as JSON
  hozon server --concurrent-backups 2 --log-format json`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return o.run(c.Context(), e, c.Flags()) },
	}
	o.addFlags(c.Flags())
	return c
}

func (o *options) addFlags(f *pflag.FlagSet) {
	d := &o.Defaults
	f.StringVar(&o.logLevel, "log-level", "info", "Least level that is logged: debug, info, warning, error.")
	f.StringVar(&o.logFormat, "log-format", "text", "Form of the log: text or json.")
	f.StringVar(&o.PluginDir, "plugin-dir", "/plugins", "Folder of plugins: object stores and volume snapshotters of Velero's kind.")
	f.StringVar(&o.MetricsAddress, "metrics-address", ":8085", "Address of /metrics, /healthz and /readyz; 0: none.")
	f.StringVar(&o.profiler, "profiler-address", "localhost:6060", "Address of Go's profiler (/debug/pprof/), which is there only if this flag is given.")
	f.StringVar(&o.PublicURL, "public-url", "", "URL by which clients reach --metrics-address, for downloads from stores that give no URLs of their own, such as folders (default: this machine's or pod's address).")
	f.DurationVar(&o.SyncPeriod, "backup-sync-period", time.Minute, "How often backups are copied from the buckets into the cluster; 0: never.")
	f.DurationVar(&o.ValidatePeriod, "store-validation-frequency", time.Minute, "How often locations are looked at; 0: once.")
	f.DurationVar(&o.ExpirePeriod, "garbage-collection-frequency", time.Hour, "How often the deletion of an expired backup that could not be deleted is tried again.")
	f.DurationVar(&o.VerifyPeriod, "verify-frequency", 24*time.Hour, "How often the newest backup of each schedule is read and verified; 0: never.")
	f.StringVar(&o.DefaultLocation, "default-backup-storage-location", "default", "Location of backups that name none, if no location is marked as the default.")
	f.StringToStringVar(&d.SnapshotLocation, "default-volume-snapshot-locations", nil, "Snapshot locations of backups that name none: provider:location,…")
	f.DurationVar(&d.TTL, "default-backup-ttl", 720*time.Hour, "How long backups are kept that do not say it.")
	f.DurationVar(&d.ItemTimeout, "default-item-operation-timeout", 4*time.Hour, "How long asynchronous operations may take.")
	f.DurationVar(&d.ResourceTimeout, "resource-timeout", 10*time.Minute, "How long single steps may take.")
	f.DurationVar(&o.Terminating, "terminating-resource-timeout", 10*time.Minute, "How long a restore waits for namespaces that are being deleted.")
	f.StringVar(&o.Priorities, "restore-resource-priorities", "", "Resources that a restore brings back before others, '-', and after: of kinds that Kubernetes does not define. The rest is ordered by what needs what.")
	f.StringVar(&d.GroupLabel, "volume-group-snapshot-label-key", "velero.io/volume-group", "Label of claims that are snapshotted together.")
	f.BoolVar(&d.FSBackup, "default-volumes-to-fs-backup", false, "Back up the files of all pod volumes.")
	f.DurationVar(&d.VolumeTimeout, "fs-backup-timeout", 4*time.Hour, "How long the files of one volume may take to be saved or restored, from the moment at which that begins.")
	f.BoolVar(&d.MoveData, "default-snapshot-move-data", false, "Move the data of snapshots to the bucket.")
	f.BoolVar(&o.SkipSchedules, "schedule-skip-immediately", false, "Schedules that do not say it do not make up for a time that they have missed.")
	f.DurationVar(&o.MaintainPeriod, "default-repo-maintain-frequency", 0, "How often repositories are maintained that do not say it; 0: every hour.")
	f.StringVar(&o.MaintenanceConfig, "repo-maintenance-job-configmap", "", "ConfigMap with the bounds of the Jobs that maintain repositories.")
	f.StringVar(&o.RepositoryConfig, "backup-repository-configmap", "", "ConfigMap with the settings that new repositories get: cacheLimitMB and fullMaintenanceInterval.")
	f.IntVar(&o.Concurrent, "concurrent-backups", 3, "How many backups run at the same time.")
	f.BoolVar(&o.LeaderElection, "leader-elect", true, "Work only while leading among the servers of the namespace.")
	f.StringSliceVar(&o.Disabled, "disable-controllers", nil, "Controllers that are not started.")
	f.BoolVar(&o.restoreOnly, "restore-only", false, "Neither make, delete nor schedule backups (deprecated).")
	f.Float32Var(&o.qps, "client-qps", 0, "Requests a second to the API server; 0: as many as it takes.")
	f.IntVar(&o.burst, "client-burst", 100, "Requests at once, if there is a limit.")
	f.StringVar(&o.GlobalPolicy, "global-backup-volume-policies-configmap", "", "ConfigMap with volume policies that count for all backups, behind their own.")
	f.StringSliceVar(&o.features, "features", nil, "Features of Velero: EnableAPIGroupVersions saves objects in all versions that are served; others that exist are always on.")
	ignore(f)
}

// ignored are Velero's flags that have no meaning here, with their defaults.
var ignored = []struct{ name, value, why string }{
	{"client-page-size", "500", "the size of pages follows the size of objects"},
	{"item-operation-sync-frequency", "0", "there are no asynchronous operations yet"},
	{"disable-informer-cache", "false", "restores ask the API server"},
	{"uploader-type", "kopia", "files of volumes are saved with kopia"},
	{"max-concurrent-k8s-connections", "30", "calls adapt to what the API server takes"},
	{"item-block-worker-count", "1", "objects are saved from one listing"},
}

func ignore(f *pflag.FlagSet) {
	for _, i := range ignored {
		f.String(i.name, i.value, "Accepted for Velero's sake: "+i.why+".")
		if i.value == "false" {
			f.Lookup(i.name).NoOptDefVal = "true"
		}
	}
}

// controllers are the names that --disable-controllers takes: Velero's. The value is the name of ours; "": there is none of its own.
var controllers = map[string]string{
	"backup-queue": "backup", "backup": "backup", "backup-operations": "", "backup-deletion": "deletion", "backup-finalizer": "",
	"backup-sync": "sync", "download-request": "download", "gc": "expiry", "backup-repo": "repository", "restore": "restore",
	"restore-operations": "", "restore-finalizer": "", "schedule": "schedule", "server-status-request": "status",
}

func (o *options) run(ctx context.Context, e *env.Env, flags *pflag.FlagSet) error {
	if err := o.complete(e); err != nil {
		return err
	}
	for _, i := range ignored {
		if flags.Changed(i.name) {
			o.Log.Warn("flag is ignored", "flag", "--"+i.name, "reason", i.why)
		}
	}
	cfg, err := cluster.Config(cluster.Options{
		Kubeconfig: e.Kubeconfig, Context: e.KubeContext, QPS: o.qps, Burst: o.burst, UserAgent: "hozon/" + e.Version,
	})
	if err != nil {
		return err
	}
	o.Config, o.Namespace, o.Version, o.Now = cfg, e.Namespace, "hozon "+e.Version, e.Now
	o.Identity = identity(e)
	if _, port, err := net.SplitHostPort(o.MetricsAddress); err == nil && inPod(e) {
		o.Pod = o.Identity + ":" + port
	}
	if !inPod(e) {
		if o.Program, err = os.Executable(); err != nil {
			return err
		}
		o.ProgramArgs = []string{"--namespace=" + e.Namespace, "--kubeconfig=" + e.Kubeconfig, "--kubecontext=" + e.KubeContext}
	}
	o.AllVersions = slices.Contains(o.features, env.AllVersions)
	flags.Visit(func(f *pflag.Flag) { o.PluginArgs = append(o.PluginArgs, "--"+f.Name+"="+f.Value.String()) }) // as Velero hands its own on
	if flags.Changed("profiler-address") {
		if err := profile(ctx, o.profiler, o.Log); err != nil {
			return err
		}
	}
	if o.PublicURL == "" {
		o.PublicURL = publicURL(e, o.MetricsAddress)
	}
	return server.Run(ctx, o.Options)
}

func (o *options) complete(e *env.Env) error {
	if o.Concurrent < 1 {
		return env.Usagef("--concurrent-backups %d: at least one must be able to run", o.Concurrent)
	}
	if o.Defaults.TTL <= 0 {
		return env.Usagef("--default-backup-ttl %s: it must be above zero", o.Defaults.TTL)
	}
	names := o.Disabled
	if o.restoreOnly {
		names = append(names, "backup", "backup-deletion", "gc", "schedule")
	}
	o.Disabled = nil
	for _, name := range names {
		own, ok := controllers[name]
		if !ok {
			return env.Usagef("--disable-controllers %q: known are %s", name, strings.Join(sorted(controllers), ", "))
		}
		o.Disabled = append(o.Disabled, own)
	}
	log, err := e.Logger(o.logLevel, o.logFormat)
	o.Log = log
	return err
}

// identity tells this process from others. In a pod it is the pod's name: nobody else has it, and the process that comes after a crash is the same.
func identity(e *env.Env) string {
	host, _ := os.Hostname() // empty still leaves an id
	if inPod(e) && host != "" {
		return host
	}
	return host + "_" + uuid.NewString()
}

func inPod(e *env.Env) bool { return e.Getenv("KUBERNETES_SERVICE_HOST") != "" }

// publicURL is the URL of an address to listen at. Where that names no host it is the pod's IP, or else the first one of this machine.
func publicURL(e *env.Env, listen string) string {
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return "" // there is no endpoint
	}
	if host == "" {
		host = cmp.Or(e.Getenv("POD_IP"), firstAddress())
	}
	return "http://" + net.JoinHostPort(host, port)
}

func firstAddress() string {
	all, _ := net.InterfaceAddrs() // none is as good as an error
	for _, a := range all {
		if ip, ok := a.(*net.IPNet); ok && ip.IP.IsGlobalUnicast() {
			return ip.IP.String()
		}
	}
	return "127.0.0.1"
}

func sorted(m map[string]string) []string {
	var names []string
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
