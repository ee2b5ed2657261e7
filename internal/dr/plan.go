// SPDX-License-Identifier: Apache-2.0

package dr

import (
	"cmp"
	"crypto/rand"
	"fmt"
	"slices"
	"strings"
	"time"

	"hozon.dev/hozon/internal/dr/bundle"
	"hozon.dev/hozon/internal/fail"
)

// Plan is a restore that was decided on. It is written to the journal before anything is done: with it and the archive a restore is continued, with it alone it
// is taken back. It holds no secrets.
type Plan struct {
	ID       string     `json:"id"`
	Cluster  string     `json:"cluster"`
	File     string     `json:"file"`     // the archive
	Snapshot string     `json:"snapshot"` // SHA-256 of etcd's snapshot in it, by which it is known again
	Created  time.Time  `json:"created"`  // of the archive
	Version  string     `json:"version"`  // of the etcd that the snapshot is from
	Revision int64      `json:"revision"` // of the snapshot
	Bump     uint64     `json:"bump"`     // by which the revision is raised
	Token    string     `json:"token"`    // of the new etcd cluster
	Scratch  string     `json:"scratch,omitempty"`
	Tools    bool       `json:"tools,omitempty"` // the machines' own programs make etcd's data
	First    string     `json:"first,omitempty"` // the machine whose member the others join; "": all get the same data
	Hosts    []HostPlan `json:"hosts"`           // by name
}

// HostPlan is what is done on one machine.
type HostPlan struct {
	Name    string         `json:"name"`
	Layout  string         `json:"layout"`
	Data    string         `json:"data,omitempty"`   // what is exchanged of etcd's: its folder, or the one that is in it, after /./
	Member  *bundle.Member `json:"member,omitempty"` // of etcd that is made anew there
	Parts   []Part         `json:"parts"`
	Restart []string       `json:"restart,omitempty"`
	Todo    string         `json:"todo,omitempty"` // what is left to people
	Tool    string         `json:"tool,omitempty"` // that makes etcd's data there
	Join    string         `json:"join,omitempty"` // the file in which its member is told to join others
	Files   []FilePlan     `json:"files,omitempty"`
	API     *APIPlan       `json:"api,omitempty"`
}

// FilePlan is a file that is put back.
type FilePlan struct {
	Path string `json:"path"`
	Why  string `json:"why"`
}

// APIPlan is how a machine's API server is reached there.
type APIPlan struct {
	Address string `json:"address"`          // host and port, as that machine sees it
	Name    string `json:"name"`             // that its certificate has
	Prefix  string `json:"prefix,omitempty"` // of its keys in etcd
}

// bump is what OpenShift raises the revision by when it knows no better: far more than a cluster writes between a backup and its restore.
const bump = 1_000_000_000

// near is more than a cluster writes between the plan and its being stopped.
const near = 10_000_000

// raise is by how much a revision is raised: to the time in microseconds. How far etcd has come is not known when the data of all members is gone, and an archive
// may be restored more than once: raised by the same again, the revision would be below what clients have seen after the first time, and they would go on
// believing that. Nobody writes a million times in a second, so all that was ever seen, also of other restores, is below the time. If a clock was wrong, it is bump.
func raise(from int64, now time.Time) uint64 {
	if ahead := now.UnixMicro() - from; ahead > near {
		return uint64(ahead)
	}
	return bump
}

// exceed makes the revision larger than one that an etcd still answers with.
func (p *Plan) exceed(now int64) {
	if ahead := now - p.Revision; p.Bump < near+uint64(max(ahead, 0)) {
		p.Bump = uint64(ahead) + bump
	}
}

// newPlan is the plan for the machines of an archive that run a part of the control plane.
func (r *Restorer) newPlan() (*Plan, error) {
	m := &r.Archive.Bundle.Manifest
	p := &Plan{
		ID: strings.ToLower(rand.Text()[:8]), Cluster: r.Cluster, File: r.Archive.File, Snapshot: r.Archive.sum(bundle.Snapshot), Created: m.Created,
		Version: m.Etcd.Version, Revision: r.Archive.Status.Revision, Bump: raise(r.Archive.Status.Revision, r.Now()), Scratch: r.Scratch.Dir, Token: "hozon-" + strings.ToLower(rand.Text()),
	}
	for _, h := range m.Hosts {
		chosen := len(r.Members) == 0 || slices.Contains(r.Members, h.Name)
		if len(h.Processes) == 0 || !chosen {
			continue
		}
		hp, err := r.planHost(h)
		if err != nil {
			return nil, err
		}
		if len(hp.Parts) > 0 {
			p.Hosts = append(p.Hosts, *hp)
		}
	}
	slices.SortFunc(p.Hosts, func(a, b HostPlan) int { return cmp.Compare(a.Name, b.Name) })
	for _, name := range r.Members {
		if p.host(name) == nil {
			return nil, fail.Errorf(fail.Invalid, "the archive has no control-plane machine %s", name)
		}
	}
	if len(p.members()) == 0 {
		return nil, fail.Errorf(fail.Unsupported, "none of the archive's machines ran etcd: there is nothing to restore")
	}
	minor, ok := minorOf(p.Version)
	p.Tools = r.OwnTools || !ok || minor < oldestMinor || minor > newestMinor
	if r.OneByOne {
		return p, r.planJoins(p)
	}
	return p, nil
}

func (r *Restorer) planHost(h bundle.Host) (*HostPlan, error) {
	known := recipeOf(h.Layout, r.Archive.has)
	if known == nil {
		return nil, fail.Errorf(fail.Unsupported, "machine %s is laid out as %q, for which no restore is known: `hozon cluster extract` brings objects of this archive back, and it is a tar of everything", h.Name, h.Layout)
	}
	hp := &HostPlan{Name: h.Name, Layout: h.Layout, Parts: known.parts(h), Restart: known.restart, Todo: known.todo}
	if len(hp.Parts) > 0 && slices.ContainsFunc(h.Processes, func(p bundle.Process) bool { return p.Name == "etcd" }) {
		if hp.Member = h.Member; hp.Member == nil {
			hp.Member = (&machine{processes: processesOf(h)}).setup() // an archive of a version that did not say
		}
		if hp.Member.WALDir != "" {
			return nil, fail.Errorf(fail.Unsupported, "machine %s: its etcd has a WAL folder of its own (%s), which is not restored to", h.Name, hp.Member.WALDir)
		}
		if hp.Data = hp.Member.DataDir; known.inner {
			hp.Data += "/./member"
		}
	}
	hp.API = r.planAPI(h)
	return hp, nil
}

func processesOf(h bundle.Host) []process {
	var all []process
	for _, p := range h.Processes {
		all = append(all, process{name: p.Name, args: p.Args})
	}
	return all
}

func (p *Plan) host(name string) *HostPlan {
	for i := range p.Hosts {
		if p.Hosts[i].Name == name {
			return &p.Hosts[i]
		}
	}
	return nil
}

// members are the machines that get etcd's data.
func (p *Plan) members() []*HostPlan {
	var all []*HostPlan
	for i := range p.Hosts {
		if p.Hosts[i].Member != nil {
			all = append(all, &p.Hosts[i])
		}
	}
	return all
}

// made are the machines that get data, not those that join them.
func (p *Plan) made() []*HostPlan {
	if p.First != "" {
		return []*HostPlan{p.host(p.First)}
	}
	return p.members()
}

// initialCluster names every member that gets data, the same for all of them.
func (p *Plan) initialCluster() string { return initialCluster(p.made()) }

// Execute says whether a restore carries the plan out, or only prints it.
func (p *Plan) Execute() bool {
	return !slices.ContainsFunc(p.Hosts, func(h HostPlan) bool {
		known := recipeOf(h.Layout, nobody)
		return known == nil || known.print != nil
	})
}

// raised says what becomes of the revision.
func (p *Plan) raised() string {
	if p.Bump == 0 {
		return "at the snapshot's revision: what has seen newer objects has to be restarted"
	}
	return fmt.Sprintf("its revision raised to %d so that nobody takes older data for newer", p.Revision+int64(p.Bump))
}

func nobody(string, string) bool { return false }

// path is what is exchanged of etcd's data.
func (h *HostPlan) path() string { return strings.Replace(h.Data, "/./", "/", 1) }

// Text says what will happen, machine by machine.
func (p *Plan) Text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "Restore of cluster %s to what it was at %s (etcd %s, revision %d).\n", p.Cluster, p.Created.Format(time.RFC3339), p.Version, p.Revision)
	fmt.Fprintf(&b, "What changed since is lost. etcd begins anew on %d machines, %s.\n", len(p.made()), p.raised())
	if joins := p.joins(); len(joins) > 0 {
		fmt.Fprintf(&b, "%d more members are added to it one by one, and get its data.\n", len(joins))
	}
	if !p.Execute() {
		fmt.Fprintf(&b, "\nFor %s nothing is carried out: do what follows by hand.\n", p.Hosts[0].Layout)
		return b.String()
	}
	for _, h := range p.Hosts {
		fmt.Fprintf(&b, "\n%s (%s)\n", h.Name, h.Layout)
		var names []string
		for _, part := range slices.Backward(h.Parts) {
			names = append(names, part.Process+" ("+cmp.Or(part.Manifest, part.Unit)+")")
		}
		fmt.Fprintf(&b, "  stop      %s\n", strings.Join(names, ", "))
		switch {
		case h.Join != "":
			fmt.Fprintf(&b, "  set aside %s, kept as %[1]s.hozon-%s.old\n", h.path(), p.ID)
			fmt.Fprintf(&b, "  add       etcd member %s (%s) to that of %s\n", h.Member.Name, strings.Join(h.Member.PeerURLs, ","), p.First)
		case h.Member != nil:
			fmt.Fprintf(&b, "  set aside %s, kept as %[1]s.hozon-%s.old\n", h.path(), p.ID)
			fmt.Fprintf(&b, "  put       etcd member %s (%s) at %s\n", h.Member.Name, strings.Join(h.Member.PeerURLs, ","), h.path())
		}
		for i, f := range h.Files {
			if i == 20 {
				fmt.Fprintf(&b, "  put       %d more files (-o json lists them)\n", len(h.Files)-i)
				break
			}
			fmt.Fprintf(&b, "  put       %s (%s)\n", f.Path, f.Why)
		}
		slices.Reverse(names)
		fmt.Fprintf(&b, "  start     %s\n", strings.Join(names, ", "))
	}
	fmt.Fprintf(&b, "\nFiles that are replaced are kept below %s/%s/old on their machines.\n", workDir, p.ID)
	return b.String()
}

// workDir is where a restore works on a machine; restore.sh has it too.
const workDir = "/var/lib/hozon-restore"
