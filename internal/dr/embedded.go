// SPDX-License-Identifier: Apache-2.0

package dr

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"

	"hozon.dev/hozon/internal/fail"
)

// complete adds what the command lines of processes do not say: files with settings, and parts that run inside of another program.
func (m *machine) complete(ctx context.Context) error {
	for i := range m.processes {
		p := &m.processes[i]
		file := ""
		switch p.name {
		case "etcd":
			file = p.flag("config-file")
		case "kube-apiserver":
			file = p.flag("config")
		}
		if file == "" {
			continue
		}
		text, err := m.read(ctx, p, file)
		if err != nil {
			return err
		}
		read := etcdSettings
		if p.name == "kube-apiserver" {
			read = masterSettings
		}
		more, err := read(text, path.Dir(file))
		if err != nil {
			return fail.Errorf(fail.Corrupt, "host %s: %s: %w", m.Name(), file, err)
		}
		p.args = append(p.args, more...)
	}
	if p := m.process("k3s"); p != nil && m.process("etcd") == nil {
		return m.k3s(ctx, p)
	}
	return nil
}

// read reads a file as a process sees it: in a container its path may be another one than on the machine.
func (m *machine) read(ctx context.Context, p *process, file string) ([]byte, error) {
	text, err := m.Run(ctx, "cat", "--", file)
	if err != nil && p != nil && p.pid != "" {
		if inside, err2 := m.Run(ctx, "cat", "--", path.Join("/proc", p.pid, "root", file)); err2 == nil {
			return inside, nil
		}
	}
	return text, err
}

// place is where on the machine a file of a process lies; "" if that cannot be found.
func (m *machine) place(ctx context.Context, p *process, file string) string {
	if there, err := m.Existing(ctx, []string{file}); err != nil || len(there) > 0 || p.pid == "" {
		return file
	}
	inside := path.Join("/proc", p.pid, "root", file)
	out, err := m.Run(ctx, "find", "-L", "/etc/kubernetes", "-samefile", inside, "-print", "-quit")
	if err != nil {
		return ""
	}
	return strings.TrimSuffix(string(out), "\n")
}

// asFlags writes settings as flags; empty ones are none.
func asFlags(settings map[string]string) []string {
	var args []string
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		if settings[name] != "" {
			args = append(args, "--"+name+"="+settings[name])
		}
	}
	return args
}

// etcdSettings are the flags that etcd's configuration file stands for.
func etcdSettings(text []byte, _ string) ([]string, error) {
	var all map[string]any
	if err := yaml.Unmarshal(text, &all); err != nil {
		return nil, err
	}
	settings := map[string]string{}
	for name, v := range all {
		below, ok := v.(map[string]any)
		if !ok {
			settings[name] = fmt.Sprint(v)
			continue
		}
		prefix := ""
		switch name {
		case "client-transport-security":
		case "peer-transport-security":
			prefix = "peer-"
		default:
			continue
		}
		for n, v := range below {
			settings[prefix+n] = fmt.Sprint(v)
		}
	}
	return asFlags(settings), nil
}

// masterConfig is what is read of OpenShift 3.11's master-config.yaml.
type masterConfig struct {
	EtcdClientInfo struct {
		CA       string   `json:"ca"`
		CertFile string   `json:"certFile"`
		KeyFile  string   `json:"keyFile"`
		URLs     []string `json:"urls"`
	} `json:"etcdClientInfo"`
	EtcdStorageConfig struct {
		KubernetesStoragePrefix string `json:"kubernetesStoragePrefix"`
	} `json:"etcdStorageConfig"`
	ServiceAccountConfig struct {
		PrivateKeyFile string   `json:"privateKeyFile"`
		PublicKeyFiles []string `json:"publicKeyFiles"`
	} `json:"serviceAccountConfig"`
	ServingInfo struct {
		BindAddress string `json:"bindAddress"`
		CertFile    string `json:"certFile"`
		KeyFile     string `json:"keyFile"`
		ClientCA    string `json:"clientCA"`
	} `json:"servingInfo"`
	KubernetesMasterConfig struct {
		APIServerArguments map[string][]string `json:"apiServerArguments"`
	} `json:"kubernetesMasterConfig"`
}

// masterSettings are the flags of a kube-apiserver that OpenShift's master configuration stands for; its paths are relative to its folder.
func masterSettings(text []byte, dir string) ([]string, error) {
	var c masterConfig
	if err := yaml.Unmarshal(text, &c); err != nil {
		return nil, err
	}
	at := func(file string) string {
		if file == "" || path.IsAbs(file) {
			return file
		}
		return path.Join(dir, file)
	}
	settings := map[string]string{
		"etcd-cafile": at(c.EtcdClientInfo.CA), "etcd-certfile": at(c.EtcdClientInfo.CertFile), "etcd-keyfile": at(c.EtcdClientInfo.KeyFile),
		"etcd-servers": strings.Join(c.EtcdClientInfo.URLs, ","), "etcd-prefix": c.EtcdStorageConfig.KubernetesStoragePrefix,
		"service-account-signing-key-file": at(c.ServiceAccountConfig.PrivateKeyFile),
		"tls-cert-file":                    at(c.ServingInfo.CertFile), "tls-private-key-file": at(c.ServingInfo.KeyFile), "client-ca-file": at(c.ServingInfo.ClientCA),
	}
	if _, port, ok := strings.Cut(c.ServingInfo.BindAddress, ":"); ok {
		settings["secure-port"] = port
	}
	args := asFlags(settings)
	for _, key := range c.ServiceAccountConfig.PublicKeyFiles {
		args = append(args, "--service-account-key-file="+at(key))
	}
	for _, name := range slices.Sorted(maps.Keys(c.KubernetesMasterConfig.APIServerArguments)) {
		for _, v := range c.KubernetesMasterConfig.APIServerArguments[name] {
			args = append(args, "--"+name+"="+v)
		}
	}
	return args, nil
}

// k3sData is where k3s keeps everything unless its configuration says otherwise.
const k3sData = "/var/lib/rancher/k3s"

// k3s adds the etcd and API server that run inside of k3s, which hides its own arguments.
func (m *machine) k3s(ctx context.Context, p *process) error {
	data := p.flag("data-dir")
	if text, err := m.Run(ctx, "cat", "--", "/etc/rancher/k3s/config.yaml"); err == nil && data == "" {
		var config struct {
			DataDir string `json:"data-dir"`
		}
		if err := yaml.Unmarshal(text, &config); err != nil {
			return fail.Errorf(fail.Corrupt, "host %s: /etc/rancher/k3s/config.yaml: %w", m.Name(), err)
		}
		data = config.DataDir
	}
	server := cmp.Or(data, k3sData) + "/server/"
	files := map[string]string{
		"etcd-cafile": "tls/etcd/server-ca.crt", "etcd-certfile": "tls/etcd/client.crt", "etcd-keyfile": "tls/etcd/client.key",
		"tls-cert-file": "tls/serving-kube-apiserver.crt", "tls-private-key-file": "tls/serving-kube-apiserver.key", "client-ca-file": "tls/client-ca.crt",
		"service-account-signing-key-file": "tls/service.current.key", "service-account-key-file": "tls/service.key",
		"encryption-provider-config": "cred/encryption-config.json",
	}
	config := server + "db/etcd/config"
	asked := []string{config}
	for _, f := range files {
		asked = append(asked, server+f)
	}
	there, err := m.Existing(ctx, asked)
	if err != nil || !slices.Contains(there, config) {
		return err // its database is another one than etcd, or it is an agent
	}
	text, err := m.Run(ctx, "cat", "--", config)
	if err != nil {
		return err
	}
	args, err := etcdSettings(text, "")
	if err != nil {
		return fail.Errorf(fail.Corrupt, "host %s: %s: %w", m.Name(), config, err)
	}
	for flag, f := range files {
		if files[flag] = server + f; !slices.Contains(there, server+f) {
			delete(files, flag)
		}
	}
	m.processes = append(m.processes, process{name: "etcd", args: args, within: "k3s"}, process{name: "kube-apiserver", args: asFlags(files), within: "k3s"})
	return nil
}
