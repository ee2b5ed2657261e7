// SPDX-License-Identifier: Apache-2.0

// Package nodeagent has the commands that run in the pods of node agents and of restored workloads: `hozon node-agent server` and
// `hozon restore-helper`.
package nodeagent

import (
	"cmp"
	"context"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"hozon.dev/hozon/internal/agent"
	"hozon.dev/hozon/internal/cli/env"
	"hozon.dev/hozon/internal/cluster"
)

type options struct {
	agent.Options
	logLevel, logFormat string
}

// New is `hozon node-agent`.
func New(e *env.Env) *cobra.Command {
	c := &cobra.Command{Use: "node-agent", Short: "Work on the volumes of a node's pods", Hidden: true}
	c.AddCommand(newServer(e))
	return c
}

func newServer(e *env.Env) *cobra.Command {
	o := &options{}
	c := &cobra.Command{
		Use:   "server",
		Short: "Save and restore the volumes of the pods of one node",
		Long: `Save and restore the volumes of the pods of one node, as PodVolumeBackups and PodVolumeRestores ask for it.

It runs as root in a pod of the DaemonSet node-agent, which ` + "`hozon install --use-node-agent`" + ` makes, and sees the kubelet's folder of pods.

Flags that only Velero knows are accepted with a warning.`,
		Example: `  NODE_NAME=node-1 hozon node-agent server --namespace velero --host-pods-path /var/lib/kubelet/pods`,
		Args:    cobra.NoArgs,
		RunE:    func(c *cobra.Command, _ []string) error { return o.run(c.Context(), e, c.Flags()) },
	}
	o.addFlags(c.Flags(), e)
	return c
}

func (o *options) addFlags(f *pflag.FlagSet, e *env.Env) {
	f.StringVar(&o.logLevel, "log-level", "info", "Least level that is logged: debug, info, warning, error.")
	f.StringVar(&o.logFormat, "log-format", "text", "Form of the log: text or json.")
	f.StringVar(&o.MetricsAddress, "metrics-address", ":8085", "Address of /metrics, /healthz and /readyz; 0: none.")
	f.StringVar(&o.ConfigMap, "node-agent-configmap", "", "ConfigMap that says how many volumes a node works on at a time.")
	f.StringVar(&o.Node, "node", e.Getenv("NODE_NAME"), "Name of this node (default: $NODE_NAME).")
	f.StringVar(&o.Place.Pods, "host-pods-path", "/host_pods", "Where this process sees the kubelet's folder of pods.")
	f.StringVar(&o.Place.Root, "host-root-path", "", "Where this process sees the node's root, for hostPath volumes; empty: nowhere.")
	for _, i := range ignored {
		f.String(i.name, i.value, "Accepted for Velero's sake: "+i.why+".")
	}
}

// ignored are Velero's flags that have no meaning here, with their defaults.
var ignored = []struct{ name, value, why string }{
	{"resource-timeout", "10m", "nothing is prepared that could take long"},
	{"data-mover-prepare-timeout", "30m", "no pod has to be prepared"},
	{"backup-repository-configmap", "", "what bounds the cache of a repository is read in its BackupRepository"},
	{"features", "", "those that exist are always on"},
}

func (o *options) run(ctx context.Context, e *env.Env, flags *pflag.FlagSet) error {
	log, err := e.Logger(o.logLevel, o.logFormat)
	if err != nil {
		return err
	}
	for _, i := range ignored {
		if flags.Changed(i.name) {
			log.Warn("flag is ignored", "flag", "--"+i.name, "reason", i.why)
		}
	}
	cfg, err := cluster.Config(cluster.Options{Kubeconfig: e.Kubeconfig, Context: e.KubeContext, UserAgent: "hozon-node-agent/" + e.Version})
	if err != nil {
		return err
	}
	o.Config, o.Namespace, o.Version, o.Now, o.Log = cfg, e.Namespace, "hozon "+e.Version, e.Now, log
	o.Scratch = cmp.Or(o.Scratch, e.Getenv("VELERO_SCRATCH_DIR"))
	return agent.Run(ctx, o.Options)
}
