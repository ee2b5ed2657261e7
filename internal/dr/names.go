// SPDX-License-Identifier: Apache-2.0

package dr

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/url"
	"path"
	"slices"
	"strings"
)

// serving are the flags of a certificate, of its key and of the addresses that it has to be good for.
var serving = []struct {
	process, cert, key string
	addresses          []string
}{
	{"etcd", "cert-file", "key-file", []string{"advertise-client-urls"}},
	{"etcd", "peer-cert-file", "peer-key-file", []string{"initial-advertise-peer-urls"}},
	{"kube-apiserver", "tls-cert-file", "tls-private-key-file", []string{"advertise-address"}},
	{"kube-apiserver", "etcd-certfile", "etcd-keyfile", nil},
	{"kube-apiserver", "kubelet-client-certificate", "kubelet-client-key", nil},
}

// names looks whether certificates and keys are pairs, and good for the addresses that they serve.
func (c *Checker) names(ctx context.Context, m *machine) {
	var bad, odd []string
	n := 0
	for _, s := range serving {
		p := m.process(s.process)
		if p == nil || p.flag(s.cert) == "" || p.flag(s.key) == "" {
			continue
		}
		n++
		pair, err := readPair(ctx, m, p, p.flag(s.cert), p.flag(s.key))
		if err != nil {
			bad = append(bad, err.Error())
			continue
		}
		for _, address := range s.addresses {
			for _, host := range hostsOf(p.flag(address)) {
				if pair.Leaf.VerifyHostname(host) != nil {
					odd = append(odd, fmt.Sprintf("%s is not for %s (--%s)", p.flag(s.cert), host, address))
				}
			}
		}
	}
	switch {
	case len(bad) > 0:
		c.add(m.Name(), "certificate pairs", Failed, "%s", strings.Join(bad, "; "))
	case len(odd) > 0:
		c.add(m.Name(), "certificate pairs", Warning, "%s: who goes by that address refuses it", strings.Join(odd, "; "))
	case n > 0:
		c.add(m.Name(), "certificate pairs", OK, "%d have their keys, and are for the addresses that they serve", n)
	}
}

func readPair(ctx context.Context, m *machine, p *process, cert, key string) (tls.Certificate, error) {
	public, err := m.read(ctx, p, cert)
	if err != nil {
		return tls.Certificate{}, err
	}
	private, err := m.read(ctx, p, key)
	if err != nil {
		return tls.Certificate{}, err
	}
	pair, err := tls.X509KeyPair(public, private)
	if err != nil {
		return pair, fmt.Errorf("%s and %s are no pair: %w", cert, key, err)
	}
	return pair, nil
}

// hostsOf are the hosts of a list of URLs or addresses.
func hostsOf(list string) []string {
	var all []string
	for part := range strings.SplitSeq(list, ",") {
		host := part
		if u, err := url.Parse(part); err == nil && u.Host != "" {
			host = u.Hostname()
		}
		if ip := net.ParseIP(host); host != "" && (ip == nil || !ip.IsUnspecified()) {
			all = append(all, host)
		}
	}
	return all
}

// writable looks whether a restore could write where it would have to.
func (c *Checker) writable(ctx context.Context, m *machine) {
	dirs := []string{"/var/lib"}
	for _, p := range m.paths() {
		dirs = append(dirs, p, path.Dir(p))
	}
	if p := m.process("etcd"); p != nil && p.flag("data-dir") != "" {
		dirs = append(dirs, p.flag("data-dir"), path.Dir(path.Clean(p.flag("data-dir"))))
	}
	slices.Sort(dirs)
	script := `for d do if [ -d "$d" ] && ! [ -w "$d" ]; then printf '%s\0' "$d"; fi; done`
	out, err := m.Run(ctx, append([]string{"sh", "-c", script, "sh"}, slices.Compact(dirs)...)...)
	if err != nil {
		c.add(m.Name(), "writable", Failed, "%v", err)
		return
	}
	if bad := strings.FieldsFunc(string(out), func(r rune) bool { return r == 0 }); len(bad) > 0 {
		c.add(m.Name(), "writable", Failed, "a restore could not write to %s: are they mounted read-only?", strings.Join(bad, ", "))
		return
	}
	c.add(m.Name(), "writable", OK, "the folders that a restore writes to")
}
