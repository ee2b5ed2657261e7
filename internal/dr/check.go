// SPDX-License-Identifier: Apache-2.0

package dr

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"k8s.io/client-go/rest"

	"hozon.dev/hozon/internal/dr/decode"
	"hozon.dev/hozon/internal/host"
)

// Level is how good a finding is.
type Level string

const (
	OK      Level = "ok"
	Warning Level = "warning" // somebody should look at it
	Failed  Level = "failed"  // a backup or restore would not work, or the cluster is not healthy
)

// Finding is the answer to one question about one machine.
type Finding struct {
	Host  string `json:"host"`
	Check string `json:"check"`
	Level Level  `json:"level"`
	Text  string `json:"text"`
}

// The bounds of what is well.
const (
	skewWarning   = 2 * time.Second
	skewFailed    = 30 * time.Second
	expiryWarning = 30 * 24 * time.Hour
	freeWarning   = 1 << 30  // bytes where etcd's data lies
	freeFailed    = 64 << 20 // etcd's log grows by that much at once
)

// Checker looks whether a control plane is well, and could be saved. It changes nothing.
type Checker struct {
	Cluster string // its name
	Now     func() time.Time
	Admin   *rest.Config // of the cluster that manages this one; nil: none is asked

	found   []Finding
	signers map[string][]string // machines by the key that signs tokens
	apis    int                 // API servers that run
}

func (c *Checker) add(h string, check string, level Level, format string, args ...any) {
	c.found = append(c.found, Finding{h, check, level, fmt.Sprintf(format, args...)})
}

// judge is OK with a text, or Failed with an error.
func (c *Checker) judge(h string, check string, err error, format string, args ...any) bool {
	if err != nil {
		c.add(h, check, Failed, "%v", err)
		return false
	}
	c.add(h, check, OK, format, args...)
	return true
}

// Check looks at every machine, and at etcd as a whole.
func (c *Checker) Check(ctx context.Context, specs []host.Spec) []Finding {
	c.found, c.signers, c.apis = []Finding{}, map[string][]string{}, 0
	var members []*member
	var hosts []*host.Host
	var asked *server
	var kinds []string
	c.admin(ctx)
	defer func() {
		for _, m := range members {
			m.client.Close()
		}
		for _, h := range hosts {
			h.Close()
		}
	}()
	for _, s := range specs {
		h, err := host.Connect(ctx, s)
		if !c.judge(s.Name, "reachable", err, "logged in%s", keyKnown(s)) {
			continue
		}
		hosts = append(hosts, h)
		m := c.machine(ctx, h)
		if m != nil {
			c.apis += m.count("kube-apiserver")
			kinds = append(kinds, m.layout)
			if api := c.api(ctx, m); api != nil && asked == nil {
				asked = api
				c.settled(ctx, m, api)
			}
		}
		if m == nil || m.process("etcd") == nil {
			continue
		}
		e, err := connect(ctx, m)
		if err != nil {
			c.add(s.Name, "etcd answers", Failed, "%v", err)
			continue
		}
		c.add(s.Name, "etcd answers", OK, "etcd %s, %d MiB", e.status.Version, e.status.DbSize>>20)
		members = append(members, e)
	}
	c.sameSigners()
	if c.apis == 0 && slices.ContainsFunc(kinds, func(l string) bool { return l != LayoutSystemd && l != LayoutNone }) {
		c.add("", "API server", Failed, "none runs on any of these machines")
	}
	if len(members) == 0 {
		c.add("", "etcd", Failed, "no member answers%s", because(nil))
		return c.found
	}
	c.etcd(ctx, members)
	return c.found
}

func keyKnown(s host.Spec) string {
	if s.Address == "" {
		return ""
	}
	return " as " + s.User + "; its host key is the known one"
}

// machine asks one machine about itself; nil if it cannot say.
func (c *Checker) machine(ctx context.Context, h *host.Host) *machine {
	name := h.Name()
	out, err := h.Run(ctx, "tar", "--version")
	if err == nil && !strings.Contains(string(out), "GNU") {
		err = fmt.Errorf("its tar is not GNU tar: files cannot be saved from it")
	}
	c.judge(name, "tar", err, "GNU tar")
	c.clock(ctx, h)
	m, err := look(ctx, h)
	if err != nil {
		c.add(name, "layout", Failed, "%v", err)
		return nil
	}
	c.add(name, "layout", OK, "%s", m.layout)
	c.space(ctx, m)
	c.writable(ctx, m)
	c.certificates(ctx, m)
	c.names(ctx, m)
	return m
}

func (c *Checker) clock(ctx context.Context, h *host.Host) {
	before := c.Now()
	out, err := h.Run(ctx, "date", "+%s.%N")
	var seconds float64
	if err == nil {
		seconds, err = strconv.ParseFloat(strings.TrimSpace(string(out)), 64)
	}
	if err != nil {
		c.add(h.Name(), "clock", Failed, "%v", err)
		return
	}
	there := time.Unix(0, int64(seconds*1e9))
	// Somewhere between question and answer is when it looked.
	skew := max(before.Sub(there), there.Sub(c.Now()), 0).Round(time.Millisecond)
	switch {
	case skew >= skewFailed:
		c.add(h.Name(), "clock", Failed, "differs from this machine's by %s: certificates and leases do not bear that", skew)
	case skew >= skewWarning:
		c.add(h.Name(), "clock", Warning, "differs from this machine's by %s", skew)
	default:
		c.add(h.Name(), "clock", OK, "agrees with this machine's")
	}
}

// space looks at the file system with etcd's data.
func (c *Checker) space(ctx context.Context, m *machine) {
	p := m.process("etcd")
	if p == nil || p.flag("data-dir") == "" {
		return
	}
	out, err := m.Run(ctx, "df", "-Pk", "--", p.flag("data-dir"))
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	fields := strings.Fields(lines[len(lines)-1])
	if err != nil || len(fields) < 4 {
		c.add(m.Name(), "space", Warning, "cannot tell how much is left at %s: %v", p.flag("data-dir"), err)
		return
	}
	kib, err := strconv.ParseInt(fields[3], 10, 64)
	switch left := kib << 10; {
	case err == nil && left < freeFailed:
		c.add(m.Name(), "space", Failed, "%d MiB left at %s: etcd stops when it has none. Make room there", kib>>10, p.flag("data-dir"))
	case err != nil || left < freeWarning:
		c.add(m.Name(), "space", Warning, "%d MiB left at %s", kib>>10, p.flag("data-dir"))
	default:
		c.add(m.Name(), "space", OK, "%d MiB left at %s", kib>>10, p.flag("data-dir"))
	}
}

// certificates reads those that flags name and looks when they end.
func (c *Checker) certificates(ctx context.Context, m *machine) {
	var files []string
	of := map[string]*process{}
	for i := range m.processes {
		p := &m.processes[i]
		for _, a := range p.args {
			name := strings.TrimLeft(a, "-")
			name, _, _ = strings.Cut(name, "=")
			if v := p.flag(name); path.IsAbs(v) && (strings.HasSuffix(v, ".crt") || strings.HasSuffix(v, ".pem")) && !strings.Contains(name, "key") {
				files, of[v] = append(files, v), p
			}
		}
	}
	slices.Sort(files)
	files = slices.Compact(files)
	level, bad := OK, []string{}
	var first, oldest time.Time
	for _, f := range files {
		out, err := m.read(ctx, of[f], f)
		if err != nil {
			level, bad = Failed, append(bad, err.Error())
			continue
		}
		x, err := certificateOf(out)
		if err != nil {
			level, bad = Failed, append(bad, f+": "+err.Error())
			continue
		}
		switch left := x.NotAfter.Sub(c.Now()); {
		case left < 0:
			level, bad = Failed, append(bad, fmt.Sprintf("%s expired on %s", f, x.NotAfter.Format(time.DateOnly)))
		case x.NotBefore.After(c.Now()):
			level, bad = Failed, append(bad, fmt.Sprintf("%s is not good before %s", f, x.NotBefore.Format(time.RFC3339)))
		case left < expiryWarning:
			level, bad = worse(level), append(bad, fmt.Sprintf("%s expires on %s", f, x.NotAfter.Format(time.DateOnly)))
		}
		if first.IsZero() || x.NotAfter.Before(first) {
			first = x.NotAfter
		}
		if oldest.IsZero() || x.NotBefore.Before(oldest) {
			oldest = x.NotBefore
		}
	}
	switch {
	case len(bad) > 0:
		c.add(m.Name(), "certificates", level, "%s", strings.Join(bad, "; "))
	case len(files) > 0:
		c.add(m.Name(), "certificates", OK, "%d; the oldest is of %s, the first ends on %s", len(files), oldest.Format(time.DateOnly), first.Format(time.DateOnly))
	}
}

// worse is at least a warning.
func worse(l Level) Level {
	if l == OK {
		return Warning
	}
	return l
}

// certificateOf is the first certificate of a file.
func certificateOf(text []byte) (*x509.Certificate, error) {
	block, _ := pem.Decode(text)
	if block == nil || block.Type != "CERTIFICATE" {
		return nil, fmt.Errorf("no certificate in it")
	}
	return x509.ParseCertificate(block.Bytes)
}

// etcd asks the members about each other.
func (c *Checker) etcd(ctx context.Context, all []*member) {
	for _, m := range all {
		switch {
		case m.status.Leader == 0:
			c.add(m.on.Name(), "etcd leader", Failed, "it sees no leader: the quorum is lost")
		case len(m.status.Errors) > 0:
			c.add(m.on.Name(), "etcd alarms", Failed, "%s", strings.Join(m.status.Errors, "; "))
		}
	}
	best, err := healthiest(all)
	if !c.judge("", "etcd healthy", err, "a leader, no alarms") {
		return
	}
	list, err := best.members(ctx)
	if err != nil {
		c.add("", "etcd members", Failed, "%v", err)
		return
	}
	level := OK
	if len(list) != len(all) {
		level = Warning
	}
	c.add("", "etcd members", level, "%d, of which %d were asked; the quorum is %d", len(list), len(all), len(list)/2+1)
	c.agree(ctx, all)
	c.secrets(ctx, best)
}

// agree compares the members' hashes at the newest revision that all of them have.
func (c *Checker) agree(ctx context.Context, all []*member) {
	hashes, err := hashKV(ctx, all)
	switch {
	case len(hashes) > 1:
		c.add("", "etcd agrees", Failed, "the members do NOT hold the same data: %s. Find out which is right before anything is saved", disagree(hashes))
	case err != nil:
		c.add("", "etcd agrees", Warning, "%v", err)
	default:
		c.add("", "etcd agrees", OK, "one hash at the revision that all have")
	}
}

// secrets takes one Secret out of etcd and decrypts it with the API server's keys.
func (c *Checker) secrets(ctx context.Context, from *member) {
	api := from.on.process("kube-apiserver")
	if api == nil || api.encryption() == "" {
		return
	}
	const check = "encryption keys"
	name := from.on.Name()
	text, err := from.on.read(ctx, api, api.encryption())
	if err != nil {
		c.add(name, check, Failed, "%v", err)
		return
	}
	keys, err := decode.ReadKeyring(text)
	if err != nil {
		c.add(name, check, Failed, "%s: %v", api.encryption(), err)
		return
	}
	prefix := "/registry/"
	if p := api.flag("etcd-prefix"); p != "" {
		prefix = "/" + strings.Trim(p, "/") + "/"
	}
	ask, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	r, err := from.client.Get(ask, prefix+"secrets/", clientv3.WithPrefix(), clientv3.WithLimit(1))
	if err != nil || len(r.Kvs) == 0 {
		c.add(name, check, Warning, "there is no Secret to try them on (%v)", err)
		return
	}
	d, err := decode.New(keys)
	if err == nil {
		kv := r.Kvs[0]
		_, err = d.Decode(string(kv.Key), strings.TrimPrefix(string(kv.Key), prefix), kv.Value, kv.ModRevision)
	}
	c.judge(name, check, err, "decrypt a Secret")
}
