// SPDX-License-Identifier: Apache-2.0

// Package server puts the controllers together into the program that runs in the cluster: manager, leader election, metrics, health.
//
// Of several replicas one leads and works; the others keep their caches warm and answer health checks. A process that loses the lead ends.
// It decides nothing about backups.
package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"
	clientscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
	"k8s.io/klog/v2"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/config"
	ctrllog "sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	ctrlmetrics "sigs.k8s.io/controller-runtime/pkg/metrics"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	velerov1 "hozon.dev/hozon/api/velero/v1"
	"hozon.dev/hozon/internal/cluster"
	"hozon.dev/hozon/internal/controller"
	"hozon.dev/hozon/internal/plugin"
)

// leaseName is the Lease by which replicas agree who leads.
const leaseName = "hozon-server"

// The times of the lease. A process that cannot renew it ends before anybody else can have it.
const (
	leaseDuration = 15 * time.Second
	renewDeadline = 10 * time.Second
	retryPeriod   = 2 * time.Second
)

// Options say how the server works. They have no defaults of their own: the command line has them.
type Options struct {
	Config    *rest.Config // of the cluster
	Namespace string
	Version   string // "hozon v1.2.3"
	Log       *slog.Logger
	Now       func() time.Time
	Identity  string // of this process, unique; one that comes back after a crash gets the lead at once

	MetricsAddress string        // "0": none
	PublicURL      string        // where clients reach what is at MetricsAddress
	VerifyPeriod   time.Duration // between two verifications of the newest backups; 0: never
	Pod            string        // where the API server's proxy reaches it: "pod:port"; "": this is no pod
	LeaderElection bool
	Disabled       []string // controllers that are not started
	PluginDir      string   // where plugins lie; "": nowhere
	PluginArgs     []string // what they get on their command lines

	SyncPeriod        time.Duration
	ValidatePeriod    time.Duration
	ExpirePeriod      time.Duration
	MaintainPeriod    time.Duration // of repositories that do not say it; 0: an hour
	MaintenanceConfig string        // ConfigMap with the bounds of its Jobs
	RepositoryConfig  string        // ConfigMap with the settings that new repositories get
	Program           string        // this one, for maintenance where this is no pod; "": it is one
	ProgramArgs       []string      // which cluster and namespace
	Concurrent        int
	DefaultLocation   string
	SkipSchedules     bool // the default of spec.skipImmediately
	Terminating       time.Duration
	Priorities        string // of resources in restores
	GlobalPolicy      string // ConfigMap with volume policies for all backups
	AllVersions       bool   // backups hold objects in all versions, not only in the preferred one; restores take the one that the target prefers
	Defaults          controller.Defaults
}

// Run works until ctx ends, or the lead is lost, which is an error.
func Run(ctx context.Context, o Options) error {
	logger := logr.FromSlogHandler(quiet{o.Log.Handler()})
	ctrllog.SetLogger(logger)
	klog.SetLogger(logger)
	if err := ready(ctx, o); err != nil {
		return err
	}
	m, err := newManager(o)
	if err != nil {
		return fmt.Errorf("set the server up: %w", err)
	}
	plugins := &plugin.Folder{Dir: o.PluginDir, Args: o.PluginArgs, Log: o.Log}
	defer plugins.Close()
	if err := add(m, o, plugins); err != nil {
		return fmt.Errorf("set the server up: %w", err)
	}
	o.Log.Info("server starts", "version", o.Version, "namespace", o.Namespace, "identity", o.Identity)
	if err := m.Start(ctx); err != nil {
		return fmt.Errorf("run the server: %w", err)
	}
	return nil
}

func newManager(o Options) (manager.Manager, error) {
	scheme := runtime.NewScheme()
	if err := clientscheme.AddToScheme(scheme); err != nil {
		return nil, err
	}
	if err := velerov1.AddToScheme(scheme); err != nil {
		return nil, err
	}
	unlimited := rest.CopyConfig(o.Config)
	unlimited.QPS = -1
	opts := manager.Options{
		Scheme:                        scheme,
		Cache:                         cache.Options{DefaultNamespaces: map[string]cache.Config{o.Namespace: {}}},
		Client:                        client.Options{Cache: &client.CacheOptions{Unstructured: false}},
		Metrics:                       metricsserver.Options{BindAddress: o.MetricsAddress, ExtraHandlers: map[string]http.Handler{}},
		HealthProbeBindAddress:        "0",
		Controller:                    config.Controller{SkipNameValidation: new(true)},
		GracefulShutdownTimeout:       new(20 * time.Second),
		LeaderElection:                o.LeaderElection,
		LeaderElectionReleaseOnCancel: true,
		LeaseDuration:                 new(leaseDuration),
		RenewDeadline:                 new(renewDeadline),
		RetryPeriod:                   new(retryPeriod),
	}
	if o.LeaderElection {
		lock, err := lock(o)
		if err != nil {
			return nil, err
		}
		opts.LeaderElectionResourceLockInterface = lock
	}
	h := &health{}
	opts.Metrics.ExtraHandlers["/healthz"] = http.HandlerFunc(h.live)
	opts.Metrics.ExtraHandlers["/readyz"] = http.HandlerFunc(h.ready)
	m, err := manager.New(unlimited, opts)
	if err != nil {
		return nil, err
	}
	leads := manager.RunnableFunc(func(context.Context) error { // runs once this process leads
		o.Log.Info("this server leads", "identity", o.Identity)
		return nil
	})
	return m, errors.Join(m.Add(&started{cache: m.GetCache(), health: h}), m.Add(leads))
}

// lock is the lease. Its calls are bounded by half of the deadline, so that one that hangs does not cost the lead.
func lock(o Options) (resourcelock.Interface, error) {
	cfg := rest.CopyConfig(o.Config)
	cfg.Timeout = renewDeadline / 2
	clients, err := kubernetes.NewForConfig(rest.AddUserAgent(cfg, "leader-election"))
	if err != nil {
		return nil, err
	}
	return resourcelock.New(resourcelock.LeasesResourceLock, o.Namespace, leaseName, clients.CoreV1(), clients.CoordinationV1(),
		resourcelock.ResourceLockConfig{Identity: o.Identity})
}

func add(m manager.Manager, o Options, plugins *plugin.Folder) error {
	client, err := cluster.New(o.Config)
	if err != nil {
		return err
	}
	site := &controller.Site{
		Client: m.GetClient(), Live: m.GetAPIReader(), Events: m.GetEventRecorder("hozon"),
		Now: o.Now, Log: o.Log, Namespace: o.Namespace,
	}
	stores := controller.NewStores(site, plugins)
	streams := controller.NewStreams(stores, o.PublicURL, o.Pod)
	if err := m.AddMetricsServerExtraHandler(controller.StreamPath, streams); err != nil {
		return err
	}
	tallies := &controller.Tallies{Site: site}
	controlPlanes := &controller.ControlPlanes{Site: site, Stores: stores, Period: o.ValidatePeriod}
	if err := ctrlmetrics.Registry.Register(&controller.Metrics{Tallies: tallies, ControlPlanes: controlPlanes}); err != nil {
		return err
	}
	backups, restores, repositories := controller.NewFlights(), controller.NewFlights(), controller.NewFlights()
	for _, f := range []*controller.Flights{backups, restores, repositories} {
		if err := m.Add(f); err != nil {
			return err
		}
	}
	all := []struct {
		name string
		adder
	}{
		{"location", &controller.Locations{Site: site, Stores: stores, Period: o.ValidatePeriod}},
		{"control-plane", controlPlanes},
		{"backup", &controller.Backups{
			Site: site, Stores: stores, Flights: backups, Cluster: client, Tool: o.Version,
			Concurrent: o.Concurrent, DefaultLocation: o.DefaultLocation, Defaults: o.Defaults, GlobalPolicy: o.GlobalPolicy, AllVersions: o.AllVersions,
		}},
		{"restore", &controller.Restores{
			Site: site, Stores: stores, Flights: restores, Cluster: client,
			Concurrent: o.Concurrent, ItemTimeout: o.Defaults.ItemTimeout, ResourceTimeout: o.Defaults.ResourceTimeout, VolumeTimeout: o.Defaults.VolumeTimeout, Terminating: o.Terminating, Priorities: o.Priorities, ByTarget: o.AllVersions,
		}},
		{"sync", &controller.Syncs{Site: site, Stores: stores, Cluster: client, Period: o.SyncPeriod}},
		{"deletion", &controller.Deletions{Site: site, Stores: stores, Tallies: tallies}},
		{"download", &controller.Downloads{Site: site, Stores: stores, Streams: streams}},
		{"expiry", &controller.Expiries{Site: site, Period: o.ExpirePeriod}},
		{"schedule", &controller.Schedules{Site: site, Tallies: tallies, SkipImmediately: o.SkipSchedules}},
		{"tally", tallies},
		{"verification", &controller.Verifications{Site: site, Stores: stores, Period: o.VerifyPeriod}},
		{"repository", &controller.Repositories{
			Site: site, Stores: stores, Flights: repositories, Maintainer: maintainer(site, client, o), Frequency: o.MaintainPeriod, ConfigMap: o.RepositoryConfig,
		}},
		{"status", &controller.Statuses{Site: site, Version: o.Version, Plugins: plugins}},
	}
	for _, c := range all {
		if slices.Contains(o.Disabled, c.name) {
			o.Log.Info("controller is disabled", "name", c.name)
			continue
		}
		if err := c.Add(m); err != nil {
			return err
		}
	}
	return nil
}

// maintainer runs Jobs where this is a pod, and processes elsewhere.
func maintainer(site *controller.Site, c *cluster.Client, o Options) controller.Maintainer {
	if o.Program == "" {
		return &controller.MaintainJob{Site: site, Cluster: c, Deployment: "velero", ConfigMap: o.MaintenanceConfig}
	}
	return &controller.MaintainProcess{Program: o.Program, Args: o.ProgramArgs}
}

// adder is a controller.
type adder interface{ Add(m manager.Manager) error }

// quiet leaves out what libraries say of themselves in the normal course of things, unless everything is wanted.
type quiet struct{ slog.Handler }

func (q quiet) Enabled(ctx context.Context, level slog.Level) bool {
	return q.Handler.Enabled(ctx, level) && (level >= slog.LevelWarn || q.Handler.Enabled(ctx, slog.LevelDebug))
}

func (q quiet) WithAttrs(attrs []slog.Attr) slog.Handler { return quiet{q.Handler.WithAttrs(attrs)} }

func (q quiet) WithGroup(name string) slog.Handler { return quiet{q.Handler.WithGroup(name)} }
