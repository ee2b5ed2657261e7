// SPDX-License-Identifier: Apache-2.0

package dr

import (
	"cmp"
	"context"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"

	"hozon.dev/hozon/internal/dr/bundle"
	"hozon.dev/hozon/internal/host"
	"hozon.dev/hozon/internal/host/profile"
)

// parts are the programs that are looked for.
var parts = []string{"etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "k3s", "rke2", "openshift", "hypershift", "hyperkube"}

// lookScript prints every process whose program is one of parts: P, program, id, systemd's unit if any, arguments, E, those of its variables that configure etcd; each ended by
// NUL. k3s and RKE2 rewrite their command line into one text, "k3s server".
const lookScript = `for p in /proc/[0-9]*; do
	exe=$(tr '\0' '\n' <"$p/cmdline" 2>/dev/null | head -n 1); exe=${exe%% *}; exe=${exe##*/}
	case $exe in etcd|kube-apiserver|kube-controller-manager|kube-scheduler|kubelet|k3s|rke2|openshift|hypershift|hyperkube) ;; *) continue ;; esac
	unit=$(sed -n 's|.*/\([^/]*\)\.service$|\1|p' "$p/cgroup" 2>/dev/null | head -n 1)
	printf 'P\0%s\0%s\0%s\0' "$exe" "${p#/proc/}" "$unit"; tail -c +1 "$p/cmdline"; printf 'E\0'
	tr '\0' '\n' <"$p/environ" 2>/dev/null | grep '^ETCD_' | tr '\n' '\0'
done; :`

// process is a part of the control plane that runs on a machine.
type process struct {
	name   string // of the part, whichever program it runs in
	pid    string
	unit   string // of systemd; "" if it belongs to none
	within string // the program that it is only a part of
	args   []string
	env    map[string]string
}

// flag is the value of a flag of the process, or of the variable by which etcd takes it; "" if it has none.
func (p process) flag(name string) string {
	for i, a := range p.args {
		a = strings.TrimPrefix(strings.TrimPrefix(a, "-"), "-")
		if v, ok := strings.CutPrefix(a, name+"="); ok {
			return v
		}
		if a == name && strings.HasPrefix(p.args[i], "-") && i+1 < len(p.args) && !strings.HasPrefix(p.args[i+1], "-") {
			return p.args[i+1]
		}
	}
	return p.env["ETCD_"+strings.ToUpper(strings.ReplaceAll(name, "-", "_"))]
}

// machine is what was found on a host.
type machine struct {
	*host.Host
	layout    string
	processes []process
}

// process finds a part of the control plane; nil if it does not run there.
func (m *machine) process(name string) *process {
	for i := range m.processes {
		if m.processes[i].name == name {
			return &m.processes[i]
		}
	}
	return nil
}

// count is how many processes of a part run.
func (m *machine) count(name string) int {
	n := 0
	for _, p := range m.processes {
		if p.name == name {
			n++
		}
	}
	return n
}

// look finds out what runs on a machine.
func look(ctx context.Context, h *host.Host) (*machine, error) {
	out, err := h.Run(ctx, "sh", "-c", lookScript)
	if err != nil {
		return nil, err
	}
	m := &machine{Host: h, processes: parseProcesses(string(out))}
	if m.layout, err = lookLayout(ctx, h, m.processes); err != nil {
		return nil, err
	}
	return m, m.complete(ctx)
}

// partOf is the part of a control plane that a program which has several runs as, by its arguments; the program itself if that cannot be told.
func partOf(program string, args []string) string {
	said := " " + strings.Join(args[:min(3, len(args))], " ") + " "
	for _, c := range []struct{ words, part string }{
		{" openshift-kube-apiserver ", "kube-apiserver"}, {" start master api ", "kube-apiserver"}, {" start master controllers ", "kube-controller-manager"},
		{" openshift-kube-controller-manager ", "kube-controller-manager"}, {" start node ", "kubelet"}, {" kubelet ", "kubelet"}, {" kube-apiserver ", "kube-apiserver"},
		{" kube-scheduler ", "kube-scheduler"}, {" kube-controller-manager ", "kube-controller-manager"},
	} {
		if strings.Contains(said, c.words) {
			return c.part
		}
	}
	return program
}

func parseProcesses(text string) []process {
	var all []process
	tokens := strings.Split(strings.TrimSuffix(text, "\x00"), "\x00")
	inEnv := false
	for i := 0; i < len(tokens); i++ {
		switch {
		case tokens[i] == "P" && i+3 < len(tokens) && slices.Contains(parts, tokens[i+1]):
			all = append(all, process{name: tokens[i+1], pid: tokens[i+2], unit: tokens[i+3], env: map[string]string{}})
			inEnv = false
			i += 4 // the program's own name
		case len(all) == 0:
		case tokens[i] == "E":
			inEnv = true
		case inEnv:
			if k, v, ok := strings.Cut(tokens[i], "="); ok {
				all[len(all)-1].env[k] = v
			}
		default:
			all[len(all)-1].args = append(all[len(all)-1].args, tokens[i])
		}
	}
	for i := range all {
		if p := &all[i]; strings.HasPrefix(p.name, "hyper") || p.name == "openshift" {
			p.within, p.name = p.name, partOf(p.name, p.args)
		}
	}
	return all
}

// data are flags that name what the machine makes, not what it is told.
var data = []string{"data-dir", "wal-dir", "root-dir", "log-dir", "log-file", "audit-log-path", "volume-plugin-dir", "container-runtime-endpoint", "image-service-endpoint", "seccomp-profile-root"}

// paths are the files and folders that are worth saving: those that flags name, the fixed places, and what the inventory adds. A folder stands for what
// is below it.
func (m *machine) paths() []string {
	all := append([]string{}, m.Spec.Files...)
	all = append(all, m.fixed()...)
	for _, p := range m.processes {
		for _, a := range p.args {
			name, value, ok := strings.Cut(strings.TrimLeft(a, "-"), "=")
			if ok && !slices.Contains(data, name) {
				all = append(all, value)
			} else if !ok && strings.HasPrefix(a, "-") && !slices.Contains(data, name) {
				all = append(all, p.flag(name))
			}
		}
		for name, value := range p.env {
			if name != "ETCD_DATA_DIR" && name != "ETCD_WAL_DIR" {
				all = append(all, value)
			}
		}
	}
	all = slices.DeleteFunc(all, func(f string) bool {
		return !path.IsAbs(f) || path.Clean(f) != f || f == "/" || strings.HasPrefix(f, "/proc/") || strings.HasPrefix(f, "/sys/") || strings.HasPrefix(f, "/dev/")
	})
	return profile.Outermost(all)
}

// encryption is the flag with the API server's keys, as this or an older one has it.
func (p process) encryption() string {
	return cmp.Or(p.flag("encryption-provider-config"), p.flag("experimental-encryption-provider-config"))
}

// facts are what the manifest says of a machine.
func (m *machine) facts(ctx context.Context) bundle.Host {
	h := bundle.Host{Name: m.Name(), Address: m.Spec.Address, Layout: m.layout, Processes: []bundle.Process{}}
	for _, p := range m.processes {
		h.Processes = append(h.Processes, bundle.Process{Name: p.name, Args: p.args, Unit: p.unit, Within: p.within})
	}
	if api := m.process("kube-apiserver"); api != nil {
		if !strings.HasPrefix(m.layout, "openshift") { // has two
			h.Prefix = api.flag("etcd-prefix")
		}
		if config := api.encryption(); path.IsAbs(config) {
			if at := m.place(ctx, api, config); path.IsAbs(at) {
				h.EncryptionConfig = m.entry(at)
			}
		}
	}
	h.Member = m.setup()
	return h
}

// setup is how etcd is set up there; nil if none runs.
func (m *machine) setup() *bundle.Member {
	p := m.process("etcd")
	if p == nil {
		return nil
	}
	return &bundle.Member{
		Name: cmp.Or(p.flag("name"), "default"), DataDir: cmp.Or(p.flag("data-dir"), cmp.Or(p.flag("name"), "default")+".etcd"), WALDir: p.flag("wal-dir"),
		PeerURLs: strings.Split(cmp.Or(p.flag("initial-advertise-peer-urls"), "http://localhost:2380"), ","),
	}
}

// dataOwner finds out whose etcd's folder is, and its mode. If it cannot be looked at, whose the process is; then there is an error, too.
func (m *machine) dataOwner(ctx context.Context, of *bundle.Member) error {
	out, err := m.Run(ctx, "stat", "-c", "%U:%G %u:%g %a", "--", of.DataDir)
	if p := m.process("etcd"); err != nil && p != nil && p.pid != "" {
		out, _ = m.Run(ctx, "stat", "-c", "%U:%G %u:%g 0", "--", "/proc/"+p.pid)
	}
	mode := ""
	if n, _ := fmt.Sscan(string(out), &of.Owner, &of.IDs, &mode); n == 3 {
		of.Mode, _ = strconv.ParseInt(mode, 8, 32)
	}
	if strings.Contains(of.Owner, "UNKNOWN") {
		of.Owner = "" // a user or group of a container, who has no name on the machine
	}
	return err
}

// entry is the name in the archive of a file of the machine.
func (m *machine) entry(file string) string { return entryOf(m.Name(), file) }
