// SPDX-License-Identifier: Apache-2.0

package install

import (
	"github.com/spf13/pflag"

	"hozon.dev/hozon/internal/cli/env"
)

// passOn registers the flags that become the server's, under the same names, when they are given.
func passOn(f *pflag.FlagSet) {
	f.Duration("garbage-collection-frequency", 0, "How often the deletion of an expired backup that could not be deleted is tried again.")
	f.Duration("default-repo-maintain-frequency", 0, "How often repositories are maintained that do not say it; 0: every hour.")
	f.String("backup-repository-configmap", "", "ConfigMap with the settings that new repositories get.")
	f.String("repo-maintenance-job-configmap", "", "ConfigMap with the bounds of the Jobs that maintain repositories.")
	f.Int("concurrent-backups", 0, "How many backups run at the same time.")
	f.Bool("schedule-skip-immediately", false, "Schedules that do not say it do not make up for a time that they have missed.")
	f.Bool("default-volumes-to-fs-backup", false, "Back up the files of all pod volumes.")
	f.Bool("default-snapshot-move-data", false, "Move the data of snapshots to the bucket.")
}

var passedOn = []string{
	"garbage-collection-frequency", "default-repo-maintain-frequency", "backup-repository-configmap", "repo-maintenance-job-configmap", "concurrent-backups",
	"schedule-skip-immediately", "default-volumes-to-fs-backup", "default-snapshot-move-data",
}

func addPlain(f *pflag.FlagSet, name, value, usage string) {
	f.String(name, value, usage)
	if value == "false" || value == "true" {
		f.Lookup(name).NoOptDefVal = "true"
	}
}

// passed are the server's flags.
func passed(f *pflag.FlagSet) []string {
	var args []string
	for _, name := range passedOn {
		if f.Changed(name) {
			args = append(args, "--"+name+"="+f.Lookup(name).Value.String())
		}
	}
	return args
}

// ignored are Velero's flags that mean nothing here, and why.
var ignored = []struct{ name, value, why string }{
	{"use-node-agent-windows", "false", "there is no node agent for Windows"},
	{"node-agent-disable-host-path", "false", "the agent reaches volumes through the node's folders; without --use-node-agent there is none"},
	{"csi-snapshot-early-frequent-polling", "false", "nothing polls"},
	{"keep-latest-maintenance-jobs", "0", "the ConfigMap of --repo-maintenance-job-configmap says it, as with Velero 1.18"},
	{"maintenance-job-cpu-request", "", "the ConfigMap of --repo-maintenance-job-configmap says it, as with Velero 1.18"},
	{"maintenance-job-mem-request", "", "the ConfigMap of --repo-maintenance-job-configmap says it, as with Velero 1.18"},
	{"maintenance-job-cpu-limit", "", "the ConfigMap of --repo-maintenance-job-configmap says it, as with Velero 1.18"},
	{"maintenance-job-mem-limit", "", "the ConfigMap of --repo-maintenance-job-configmap says it, as with Velero 1.18"},
	{"disable-informer-cache", "false", "restores ask the API server"},
	{"item-block-worker-count", "0", "objects are saved from one listing"},
	{"apply", "true", "the installation is always applied"},
}

func ignore(f *pflag.FlagSet) {
	for _, i := range ignored {
		addPlain(f, i.name, i.value, "Accepted for Velero's sake: "+i.why+".")
	}
}

func noteIgnored(e *env.Env, f *pflag.FlagSet) {
	for _, i := range ignored {
		if f.Changed(i.name) {
			e.Say("Note: --%s is left out: %s.", i.name, i.why)
		}
	}
}
