// SPDX-License-Identifier: Apache-2.0

package install

import (
	"context"
	"time"

	"github.com/spf13/pflag"

	"hozon.dev/hozon/internal/cli/env"
	"hozon.dev/hozon/internal/install"
)

// agentFlags are those of the node agents.
type agentFlags struct {
	install.NodeAgent
	restic       bool // as the option was called once
	uploader     string
	volumeBudget time.Duration
}

// needAgent are the flags that say how the agents are, if there are any.
var needAgent = []string{
	"privileged-node-agent", "node-agent-host-root", "kubelet-root-dir", "node-agent-configmap", "node-agent-priority-class-name",
	"node-agent-pod-cpu-request", "node-agent-pod-mem-request", "node-agent-pod-cpu-limit", "node-agent-pod-mem-limit",
}

func (a *agentFlags) add(f *pflag.FlagSet) {
	f.BoolVar(&a.Enabled, "use-node-agent", false, "Also a node agent on every node, which saves and restores the files of pods' volumes.")
	f.BoolVar(&a.restic, "use-restic", false, "The same as --use-node-agent, as it was called once.")
	f.BoolVar(&a.Privileged, "privileged-node-agent", false, "The node agent is privileged, as SELinux (OpenShift) demands.")
	f.BoolVar(&a.HostRoot, "node-agent-host-root", false, "The node agent sees all files of its node, so that it can save hostPath volumes.")
	f.StringVar(&a.KubeletRoot, "kubelet-root-dir", "/var/lib/kubelet", "The kubelet's folder on the nodes.")
	f.StringVar(&a.ConfigMap, "node-agent-configmap", "", "ConfigMap that says how many volumes a node works on at a time.")
	f.StringVar(&a.PriorityClass, "node-agent-priority-class-name", "", "Priority class of the node agents' pods.")
	f.StringVar(&a.Resources.CPURequest, "node-agent-pod-cpu-request", "0", "CPU that a node agent asks for; 0: none.")
	f.StringVar(&a.Resources.MemRequest, "node-agent-pod-mem-request", "0", "Memory that a node agent asks for; 0: none.")
	f.StringVar(&a.Resources.CPULimit, "node-agent-pod-cpu-limit", "0", "CPU that a node agent may use; 0: any.")
	f.StringVar(&a.Resources.MemLimit, "node-agent-pod-mem-limit", "0", "Memory that a node agent may use; 0: any.")
	f.StringVar(&a.uploader, "uploader-type", "kopia", "What keeps the files of volumes: kopia.")
	f.DurationVar(&a.volumeBudget, "pod-volume-operation-timeout", 0, "How long the volumes of a backup may take (the server's --fs-backup-timeout).")
}

// complete makes options of flags, and says what is left out.
func (a *agentFlags) complete(e *env.Env, f *pflag.FlagSet, o *install.Options) error {
	if a.uploader != "kopia" {
		return env.Usagef("--uploader-type %q: volumes are saved by kopia; what restic has saved is restored", a.uploader)
	}
	if f.Changed("pod-volume-operation-timeout") {
		o.Args = append(o.Args, "--fs-backup-timeout="+a.volumeBudget.String())
	}
	a.Enabled = a.Enabled || a.restic
	o.NodeAgent = a.NodeAgent
	if a.Enabled {
		return nil
	}
	for _, name := range needAgent {
		if f.Changed(name) {
			e.Say("Note: --%s is left out: there is no node agent without --use-node-agent.", name)
		}
	}
	return nil
}

// finish waits for the agents, or says what became of those that are there.
func (a *agentFlags) finish(ctx context.Context, i *install.Installer, wait bool) error {
	if a.Enabled {
		if !wait {
			return nil
		}
		i.Say("Waiting for node-agent daemonset to be ready.")
		return i.WaitAgents(ctx)
	}
	have, err := i.HasAgents(ctx)
	if have {
		i.Say("DaemonSet/%s stays as it is: --use-node-agent would bring it up to date.", install.DaemonSet)
	}
	return err
}
