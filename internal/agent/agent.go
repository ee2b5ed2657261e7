// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/fields"
	kruntime "k8s.io/apimachinery/pkg/runtime"
	clientscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/config"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	ctrllog "sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	ctrlmetrics "sigs.k8s.io/controller-runtime/pkg/metrics"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
	"sigs.k8s.io/controller-runtime/pkg/predicate"

	velerov1 "hozon.dev/hozon/api/velero/v1"
	"hozon.dev/hozon/internal/budget"
	"hozon.dev/hozon/internal/controller"
	"hozon.dev/hozon/internal/fail"
	"hozon.dev/hozon/internal/plugin"
)

// Options say how a node agent works.
type Options struct {
	Config    *rest.Config // of the cluster
	Namespace string       // of the server
	Node      string       // this one
	Version   string
	Log       *slog.Logger
	Now       func() time.Time

	Place          Place
	Scratch        string // folder for indexes of repositories; empty: the system's
	MetricsAddress string // "0": none
	ConfigMap      string // of the node agents; empty: none
}

// someVolumes is how many volumes a node works on at a time unless the ConfigMap says otherwise: one that waits for the store must not leave the
// processors without work.
func someVolumes() int { return max(2, min(4, runtime.GOMAXPROCS(0))) }

// parallel is how many files of one volume are read side by side, when so many volumes may be saved at a time: what all of them read at a time bounds
// the memory, too.
func parallel(volumes int) int { return max(1, 2*runtime.GOMAXPROCS(0)/volumes) }

// Run works until ctx ends.
func Run(ctx context.Context, o Options) error {
	logger := logr.FromSlogHandler(quiet{o.Log.Handler()})
	ctrllog.SetLogger(logger)
	klog.SetLogger(logger)
	if o.Node == "" {
		return fail.Errorf(fail.Invalid, "no node is named: set the variable NODE_NAME, or --node")
	}
	if _, err := os.Stat(o.Place.Pods); err != nil {
		return fail.Errorf(fail.NotFound, "the kubelet's folder of pods: %w: mount it there, or name it with --host-pods-path", err)
	}
	m, err := newManager(o)
	if err != nil {
		return fmt.Errorf("set the node agent up: %w", err)
	}
	scratch, err := os.MkdirTemp(o.Scratch, "hozon-node-agent-")
	if err != nil {
		return fmt.Errorf("set the node agent up: %w", err)
	}
	defer os.RemoveAll(scratch)
	if err := add(ctx, m, o, scratch); err != nil {
		return fmt.Errorf("set the node agent up: %w", err)
	}
	if err := m.Start(ctx); err != nil {
		return fmt.Errorf("run the node agent: %w", err)
	}
	return nil
}

func newManager(o Options) (manager.Manager, error) {
	scheme := kruntime.NewScheme()
	if err := errors.Join(clientscheme.AddToScheme(scheme), velerov1.AddToScheme(scheme)); err != nil {
		return nil, err
	}
	unlimited := rest.CopyConfig(o.Config)
	unlimited.QPS = -1
	here := fields.OneTermEqualSelector("spec.nodeName", o.Node)
	return manager.New(unlimited, manager.Options{
		Scheme: scheme,
		Cache: cache.Options{
			DefaultNamespaces: map[string]cache.Config{o.Namespace: {}},
			DefaultTransform:  cache.TransformStripManagedFields(),
			ByObject:          map[client.Object]cache.ByObject{&corev1.Pod{}: {Namespaces: map[string]cache.Config{cache.AllNamespaces: {FieldSelector: here}}}},
		},
		Metrics:                metricsserver.Options{BindAddress: o.MetricsAddress, ExtraHandlers: map[string]http.Handler{}},
		HealthProbeBindAddress: "0",
		Controller:             config.Controller{SkipNameValidation: new(true)},
		// The tasks' last words are among what is waited for.
		GracefulShutdownTimeout: new(lastWord + 5*time.Second),
	})
}

func add(ctx context.Context, m manager.Manager, o Options, scratch string) error {
	site := &controller.Site{Client: m.GetClient(), Live: m.GetAPIReader(), Events: m.GetEventRecorder("hozon"), Now: o.Now, Log: o.Log, Namespace: o.Namespace}
	limit, err := limit(ctx, site, o)
	if err != nil {
		return err
	}
	o.Log.Info("node agent starts", "version", o.Version, "namespace", o.Namespace, "node", o.Node, "volumes", limit)
	measured, err := newMetrics(o.Node, ctrlmetrics.Registry)
	if err != nil {
		return err
	}
	d := newDesk(limit)
	vs := &volumes{Site: site, node: o.Node, place: o.Place}
	rs := &repositories{Stores: controller.NewStores(site, &plugin.Folder{Log: o.Log}), cache: scratch}
	keep := keeper{Site: site, node: o.Node, desk: d, metrics: measured}
	saving, restoring := keep, keep
	saving.worker = &backups{volumes: vs, repositories: rs, parallel: parallel(limit)}
	saving.empty = func() order { return backupOrder{new(velerov1.PodVolumeBackup)} }
	saving.list = func() client.ObjectList { return new(velerov1.PodVolumeBackupList) }
	restoring.worker = &restores{volumes: vs, repositories: rs}
	restoring.empty = func() order { return restoreOrder{new(velerov1.PodVolumeRestore)} }
	restoring.list = func() client.ObjectList { return new(velerov1.PodVolumeRestoreList) }
	h := &health{cache: m.GetCache()}
	return errors.Join(
		m.AddMetricsServerExtraHandler("/healthz", http.HandlerFunc(h.live)),
		m.AddMetricsServerExtraHandler("/readyz", http.HandlerFunc(h.ready)),
		m.Add(h), m.Add(d),
		saving.add(m, "pod-volume-backup", &velerov1.PodVolumeBackup{}, func(*corev1.Pod) bool { return false }),
		restoring.add(m, "pod-volume-restore", &velerov1.PodVolumeRestore{}, mayWait),
	)
}

// add hands the keeper to a manager. Pods that concern says no to are not looked at until they end.
func (k *keeper) add(m manager.Manager, name string, o client.Object, concerns func(*corev1.Pod) bool) error {
	pods := func(o client.Object) bool {
		pod, ok := o.(*corev1.Pod)
		return ok && (over(pod) || concerns(pod))
	}
	heard := predicate.NewPredicateFuncs(pods)
	heard.DeleteFunc = func(event.DeleteEvent) bool { return true }
	return builder.ControllerManagedBy(m).Named(name).For(o).
		Watches(&corev1.Pod{}, handler.EnqueueRequestsFromMapFunc(k.ofPod), builder.WithPredicates(heard)).Complete(k)
}

func mayWait(pod *corev1.Pod) bool { return pod.Labels[labelMover] == "true" || hasWait(pod) }

// limit is how many volumes this node works on at a time.
func limit(ctx context.Context, site *controller.Site, o Options) (int, error) {
	if o.ConfigMap == "" {
		return someVolumes(), nil
	}
	var config corev1.ConfigMap
	if err := site.Live.Get(ctx, client.ObjectKey{Namespace: o.Namespace, Name: o.ConfigMap}, &config); err != nil {
		return 0, fmt.Errorf("read the ConfigMap %s/%s of the node agents: %w", o.Namespace, o.ConfigMap, err)
	}
	c, err := budget.Parse(config.Data)
	if err != nil {
		return 0, fmt.Errorf("ConfigMap %s/%s: %w", o.Namespace, o.ConfigMap, err)
	}
	for key, why := range budget.Ignored(config.Data) {
		o.Log.Warn("setting of the node agents is ignored", "configMap", o.ConfigMap, "setting", key, "reason", why)
	}
	var node corev1.Node
	if len(c.Load.PerNode) > 0 {
		if err := site.Live.Get(ctx, client.ObjectKey{Name: o.Node}, &node); err != nil {
			return 0, fmt.Errorf("read the labels of node %s: %w", o.Node, err)
		}
	}
	return c.Volumes(node.Labels, someVolumes()), nil
}

// health answers /healthz and /readyz.
type health struct {
	cache  cache.Cache
	synced atomic.Bool
}

// Start makes the process ready once its caches are filled.
func (h *health) Start(ctx context.Context) error {
	if h.cache.WaitForCacheSync(ctx) {
		h.synced.Store(true)
	}
	<-ctx.Done()
	return nil
}

func (h *health) live(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") }

func (h *health) ready(w http.ResponseWriter, _ *http.Request) {
	if !h.synced.Load() {
		http.Error(w, "the caches are not filled yet", http.StatusServiceUnavailable)
		return
	}
	fmt.Fprintln(w, "ok")
}

// quiet leaves out what libraries say of themselves in the normal course of things, unless everything is wanted.
type quiet struct{ slog.Handler }

func (q quiet) Enabled(ctx context.Context, level slog.Level) bool {
	return q.Handler.Enabled(ctx, level) && (level >= slog.LevelWarn || q.Handler.Enabled(ctx, slog.LevelDebug))
}

func (q quiet) WithAttrs(attrs []slog.Attr) slog.Handler { return quiet{q.Handler.WithAttrs(attrs)} }

func (q quiet) WithGroup(name string) slog.Handler { return quiet{q.Handler.WithGroup(name)} }
