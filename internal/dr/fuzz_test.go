// SPDX-License-Identifier: Apache-2.0

package dr

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
)

// FuzzSettings reads any bytes as the configuration files that stand for a program's flags. Each becomes one flag, or an error.
func FuzzSettings(f *testing.F) {
	f.Add([]byte("name: a\ndata-dir: /var/lib/etcd\nclient-transport-security: {cert-file: /a.crt, client-cert-auth: true}\npeer-transport-security: {cert-file: /p.crt}\n"))
	f.Add([]byte("etcdClientInfo: {ca: ca.crt, urls: [\"https://a:2379\"]}\nservingInfo: {bindAddress: \"0.0.0.0:8443\"}\nkubernetesMasterConfig: {apiServerArguments: {storage-backend: [etcd3]}}\n"))
	f.Add([]byte("- a"))
	f.Fuzz(func(t *testing.T, text []byte) {
		for _, read := range []func([]byte, string) ([]string, error){etcdSettings, masterSettings} {
			args, err := read(text, "/etc/origin/master")
			if err != nil {
				continue
			}
			for _, a := range args {
				if !strings.HasPrefix(a, "--") || !strings.Contains(a, "=") {
					t.Errorf("%q", a)
				}
			}
		}
	})
}

// FuzzProcesses reads any bytes as what a machine says of its processes. What is taken is a part of a control plane.
func FuzzProcesses(f *testing.F) {
	f.Add([]byte("P\x00etcd\x0012\x00etcd.service\x00/usr/bin/etcd\x00--data-dir=/d\x00E\x00ETCD_NAME=a\x00"))
	f.Add([]byte("P\x00hyperkube\x001\x00\x00hyperkube\x00kubelet\x00--config\x00/c\x00P\x00etcd"))
	f.Fuzz(func(t *testing.T, text []byte) {
		for _, p := range parseProcesses(string(text)) {
			if p.within == "" && !slices.Contains(parts, p.name) || p.within != "" && !slices.Contains(parts, p.within) {
				t.Errorf("%+v", p)
			}
			p.flag("data-dir")
			p.encryption()
		}
	})
}

// FuzzKeysV2 reads any bytes as the keys of etcd's v2 store.
func FuzzKeysV2(f *testing.F) {
	f.Add([]byte(`{"node":{"dir":true,"nodes":[{"key":"/a","value":"b"},{"key":"/d","dir":true,"nodes":[{"key":"/d/e"}]}]}}`))
	f.Fuzz(func(t *testing.T, dump []byte) {
		var answer struct{ Node node }
		if json.Unmarshal(dump, &answer) != nil {
			return
		}
		if n := answer.Node.keys(); n < 0 || n > len(dump) {
			t.Errorf("%d keys in %d bytes", n, len(dump))
		}
	})
}
