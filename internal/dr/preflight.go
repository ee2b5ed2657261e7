// SPDX-License-Identifier: Apache-2.0

package dr

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"hozon.dev/hozon/internal/dr/decode"
	"hozon.dev/hozon/internal/etcd"
	"hozon.dev/hozon/internal/fail"
	"hozon.dev/hozon/internal/host"
)

// What a restore refuses, but can be told to do.
const (
	InsistExpired = "expired" // an archive that is past its time
	InsistVersion = "version" // an etcd that is not in the matrix, or another on a machine than the archive's
	InsistCluster = "cluster" // machines whose certificate authority is not the archive's
)

// Insists are all of them.
var Insists = []string{InsistExpired, InsistVersion, InsistCluster}

// Restorer brings a control plane back from an archive.
type Restorer struct {
	Cluster string
	Archive *Archive // not needed to take a restore back
	Members []string // machines that are restored; none: all of the control plane
	Insist  []string
	Scratch Scratch // where etcd's data folders are made

	OwnTools bool // etcd's data is made by the machines' own etcdutl or etcdctl
	OneByOne bool // one member is made, the first of Members, and the others are added to it
	Now      func() time.Time
	Say      func(format string, args ...any) // hears of each step

	hosts   map[string]*host.Host
	checker Checker
}

// Close ends the connections.
func (r *Restorer) Close() {
	for _, h := range r.hosts {
		h.Close()
	}
}

// Prepare decides what to do and looks whether it can be done, on every machine, before anything is touched. The plan is not nil if the archive alone makes one.
func (r *Restorer) Prepare(ctx context.Context, specs []host.Spec) (*Plan, []Finding, error) {
	r.checker = Checker{Now: r.Now}
	p, err := r.newPlan()
	if err != nil {
		return nil, nil, err
	}
	r.archive(ctx, p)
	if p.Execute() {
		if err := r.connect(ctx, p, specs); err != nil {
			return p, r.checker.found, err
		}
		for i := range p.Hosts {
			if h := r.hosts[p.Hosts[i].Name]; h != nil {
				r.machine(ctx, h, p, &p.Hosts[i])
			}
		}
		if r.tools(ctx, p); !p.Tools {
			r.judge("", "memory", r.Scratch.check(ctx, r.Archive.snapshotSize()), "room to make etcd's data")
		}
	}
	bad := slices.IndexFunc(r.checker.found, func(f Finding) bool { return f.Level == Failed })
	if bad >= 0 {
		f := r.checker.found[bad]
		return p, r.checker.found, fail.Errorf(fail.Invalid, "nothing was touched: %s: %s", strings.TrimSpace(f.Host+" "+f.Check), f.Text)
	}
	return p, r.checker.found, ctx.Err()
}

func (r *Restorer) judge(h, check string, err error, format string, args ...any) bool {
	return r.checker.judge(h, check, err, format, args...)
}

// unless is Failed, or, if that was insisted on, a warning.
func (r *Restorer) unless(insist, h, check, format string, args ...any) {
	if slices.Contains(r.Insist, insist) {
		r.checker.add(h, check, Warning, format, args...)
		return
	}
	r.checker.add(h, check, Failed, format+" (--insist %s does it all the same)", append(args, insist)...)
}

// connect reaches every machine of the plan.
func (r *Restorer) connect(ctx context.Context, p *Plan, specs []host.Spec) error {
	r.hosts = map[string]*host.Host{}
	var missing []string
	for _, hp := range p.Hosts {
		i := slices.IndexFunc(specs, func(s host.Spec) bool { return s.Name == hp.Name })
		if i < 0 {
			missing = append(missing, hp.Name)
			continue
		}
		h, err := host.Connect(ctx, specs[i])
		if r.judge(hp.Name, "reachable", err, "logged in") {
			r.hosts[hp.Name] = h
		}
	}
	if len(missing) > 0 {
		return fail.Errorf(fail.Invalid, "machines of the archive are not in the inventory: %s. Add them, or name with --members those that shall make up the cluster", strings.Join(missing, ", "))
	}
	return nil
}

// archive looks at what the archive alone tells.
func (r *Restorer) archive(ctx context.Context, p *Plan) {
	m := &r.Archive.Bundle.Manifest
	if now := r.Now(); now.After(m.Expires) {
		r.unless(InsistExpired, "", "archive", "it expired on %s: its certificates and tokens are likely to be of no use", m.Expires.Format(time.DateOnly))
	} else {
		r.checker.add("", "archive", OK, "of %s, every hash is right, %d files, %d keys", m.Created.Format(time.RFC3339), len(m.Files), r.Archive.Status.TotalKeys)
	}
	if m.Cluster != r.Cluster {
		r.unless(InsistCluster, "", "name", "the archive is of cluster %s, not of %s", m.Cluster, r.Cluster)
	}
	if minor, ok := minorOf(p.Version); !ok || minor < oldestMinor || minor > newestMinor {
		r.unless(InsistVersion, "", "version", "its etcd is %q; restores are tested with 3.%d to 3.%d", p.Version, oldestMinor, newestMinor)
	}
	for _, h := range p.Hosts {
		if !p.Execute() {
			break // their files have other paths in containers, and their own tools look
		}
		for _, err := range r.certificates(&h) {
			r.checker.add(h.Name, "certificates", Failed, "%v", err)
		}
	}
	switch n, err := r.Archive.Image.trySecret(ctx); {
	case err != nil:
		r.checker.add("", "encryption keys", Failed, "a Secret of the archive cannot be decrypted with the keys in it: %v", err)
	case n > 0:
		r.checker.add("", "encryption keys", OK, "a Secret can be read")
	}
}

// The minors of etcd 3 that are known to start on what etcdutl's library writes (TestMatrix).
const oldestMinor, newestMinor = 4, 7

func minorOf(version string) (int, bool) {
	parts := strings.Split(version, ".")
	if len(parts) < 3 || parts[0] != "3" {
		return 0, false
	}
	n, err := strconv.Atoi(parts[1])
	return n, err == nil
}

// machine looks at one machine.
func (r *Restorer) machine(ctx context.Context, h *host.Host, p *Plan, hp *HostPlan) {
	_, err := r.on(ctx, h.Name(), p, nil, "ready")
	if !r.judge(hp.Name, "tools", err, "GNU tar and what else is needed; %s can be written to", workDir) {
		return
	}
	defer r.on(ctx, h.Name(), p, nil, "forget") // a place that is left empty does no harm
	r.checker.clock(ctx, h)
	r.room(ctx, p, hp)
	if live, err := look(ctx, h); err != nil { // what its programs go by is gone, and will come back
		r.checker.add(hp.Name, "running now", Warning, "%v", err)
	} else {
		r.version(ctx, live, p, hp)
		r.raise(ctx, live, p)
	}
	r.files(ctx, p, hp)
}

// room wants place for etcd's data beside what is there, and for the files.
func (r *Restorer) room(ctx context.Context, p *Plan, hp *HostPlan) {
	need := map[string]int64{workDir: 16 << 20}
	if hp.Member != nil {
		need[hp.Member.DataDir+"/.."] = r.Archive.snapshotSize() + walSize
	}
	for dir, bytes := range need {
		out, err := r.on(ctx, hp.Name, p, nil, "room", dir)
		var kib int64
		if err == nil {
			kib, err = strconv.ParseInt(strings.TrimSpace(string(out)), 10, 64)
		}
		if err == nil && kib<<10 < bytes {
			err = fail.Errorf(fail.Denied, "%d MiB are left, %d are needed: make room there", kib>>10, bytes>>20)
		}
		r.judge(hp.Name, "room at "+strings.TrimSuffix(dir, "/.."), err, "%d MiB left", kib>>10)
	}
}

// version looks which etcd would be started.
func (r *Restorer) version(ctx context.Context, live *machine, p *Plan, hp *HostPlan) {
	i := slices.IndexFunc(hp.Parts, func(part Part) bool { return part.Process == "etcd" && part.Unit != "" })
	if i < 0 {
		return // a static pod names its image, which is put back
	}
	out, err := live.Run(ctx, "sh", "-c", `for p in "$(command -v etcd)" /usr/local/bin/etcd /opt/etcd/etcd; do if [ -x "$p" ]; then exec "$p" --version; fi; done; echo "there is no etcd in the PATH" >&2; exit 1`)
	if err != nil {
		r.checker.add(hp.Name, "version", Warning, "cannot tell which etcd would start: %v", err)
		return
	}
	line, _, _ := strings.Cut(string(out), "\n")
	there := strings.TrimSpace(strings.TrimPrefix(line, "etcd Version:"))
	have, ok := minorOf(there)
	want, _ := minorOf(p.Version)
	if !ok || have < want || have > want+1 {
		r.unless(InsistVersion, hp.Name, "version", "its etcd is %s; the archive is of %s, and etcd bears the same minor version or the next", there, p.Version)
		return
	}
	r.checker.add(hp.Name, "version", OK, "etcd %s", there)
}

// raise makes the revision larger than that of an etcd that still answers.
func (r *Restorer) raise(ctx context.Context, live *machine, p *Plan) {
	if live.process("etcd") == nil {
		return
	}
	m, err := connect(ctx, live)
	if err != nil {
		r.checker.add(live.Name(), "etcd now", Warning, "%v", err)
		return
	}
	defer m.client.Close()
	now := m.status.Header.Revision
	if now < p.Revision {
		r.checker.add(live.Name(), "etcd now", Warning, "it answers, but at revision %d, before the archive's %d: it is not the etcd that was saved, or has lost its data", now, p.Revision)
		return
	}
	r.checker.add(live.Name(), "etcd now", OK, "it answers, at revision %d: what was written after %d will be gone", now, p.Revision)
	p.exceed(now)
}

// tools finds the programs that make etcd's data, if it is not the library's.
func (r *Restorer) tools(ctx context.Context, p *Plan) {
	if !p.Tools {
		return
	}
	for _, hp := range p.made() {
		if r.hosts[hp.Name] == nil {
			continue
		}
		out, err := r.on(ctx, hp.Name, p, nil, "tool")
		tool, raises, _ := strings.Cut(strings.TrimSpace(string(out)), " ")
		if hp.Tool = tool; r.judge(hp.Name, "tool", err, "etcd's data is made by its %s", tool) && raises == "" {
			r.checker.add(hp.Name, "tool", Warning, "its %s cannot raise the revision: restart every kubelet, controller and operator when the cluster is restored", tool)
			p.Bump = 0
		}
		_, _ = r.on(ctx, hp.Name, p, nil, "forget")
	}
}

// errSeen ends a walk through the keys.
var errSeen = errors.New("seen")

// trySecret decodes one Secret; n is how many there were, 0 or 1.
func (i *Image) trySecret(ctx context.Context) (n int, err error) {
	var bad error
	secret := func(key string) bool {
		rest, ok := i.below(key)
		return ok && strings.HasPrefix(rest, "secrets/")
	}
	err = i.live.Each(ctx, secret, func(kv etcd.KV) error {
		rest, _ := i.below(kv.Key)
		n++
		if _, bad = i.decoder.Decode(kv.Key, rest, kv.Value, kv.ModRevision); bad != nil {
			var p *decode.Problem
			if errors.As(bad, &p) && strings.Contains(p.Reason, "KMS") {
				n, bad = 0, nil // its keys are elsewhere, which is as it should be
			}
		}
		return errSeen
	})
	if errors.Is(err, errSeen) {
		err = bad
	}
	return n, err
}

// sane makes a name fit for the lists of restore.sh.
func sane(name string) error {
	if strings.ContainsAny(name, "\n\x00") {
		return fail.Errorf(fail.Unsupported, "the name %q has a line end in it", name)
	}
	return nil
}

func (a *Archive) snapshotSize() int64 { return a.Image.snapshot.Size }

// on runs a verb of restore.sh on a machine.
func (r *Restorer) on(ctx context.Context, name string, p *Plan, in []byte, verb string, args ...string) ([]byte, error) {
	h := r.hosts[name]
	if h == nil {
		return nil, fail.Errorf(fail.NotFound, "machine %s is not connected", name)
	}
	out, err := runScript(ctx, h, in, p.ID, verb, args...)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", verb, err)
	}
	return out, nil
}
