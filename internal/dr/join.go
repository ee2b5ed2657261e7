// SPDX-License-Identifier: Apache-2.0

package dr

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"

	"hozon.dev/hozon/internal/fail"
)

// A restore may make one member only and add the others to it, each with an empty folder: then their data comes from the first one, by etcd itself.

// variableFiles are where a service or a static pod of OpenShift's takes etcd's variables from.
var variableFiles = []string{"/etc/etcd/etcd.conf", "/etc/default/etcd", "/etc/sysconfig/etcd", "/etc/etcd.env"}

// joining are the settings of a member, in a manifest or in a file of variables.
var joining = []struct{ cluster, state *regexp.Regexp }{
	{regexp.MustCompile(`(?m)^(.*--initial-cluster=)([^\s"']*)(.*)$`), regexp.MustCompile(`(?m)^.*--initial-cluster-state=[^\s"']*.*\n?`)},
	{regexp.MustCompile(`(?m)^(\s*ETCD_INITIAL_CLUSTER=)(.*)()$`), regexp.MustCompile(`(?m)^\s*ETCD_INITIAL_CLUSTER_STATE=.*\n?`)},
}

// join is text with the settings of a member that joins others; false if it has none.
func join(text, members string) (string, bool) {
	for i, j := range joining {
		at := j.cluster.FindStringSubmatchIndex(text)
		if at == nil {
			continue
		}
		before, after := text[at[2]:at[3]], text[at[6]:at[7]]
		state := strings.Replace(before, "--initial-cluster=", "--initial-cluster-state=", 1)
		value := members
		if i == 1 {
			state = strings.Replace(before, "ETCD_INITIAL_CLUSTER=", "ETCD_INITIAL_CLUSTER_STATE=", 1)
			value = `"` + members + `"`
		}
		head, tail := j.state.ReplaceAllString(text[:at[0]], ""), j.state.ReplaceAllString(text[at[1]:], "")
		if strings.HasPrefix(text[at[1]:], "\n") && !strings.HasPrefix(tail, "\n") {
			tail = "\n" + tail
		}
		return head + before + value + after + "\n" + state + "existing" + after + tail, true
	}
	return text, false
}

// planJoins makes all members but one join that one.
func (r *Restorer) planJoins(p *Plan) error {
	first := p.members()[0]
	if len(r.Members) > 0 {
		if h := p.host(r.Members[0]); h.Member != nil {
			first = h
		}
	}
	p.First = first.Name
	for _, h := range p.joins() {
		if h.Layout == LayoutK3s {
			return fail.Errorf(fail.Unsupported, "members are not added one by one to k3s: all servers get the same data; leave out --add-members")
		}
		candidates := variableFiles
		for _, part := range h.Parts {
			if part.Process == "etcd" && part.Manifest != "" {
				candidates = append([]string{part.Manifest}, candidates...)
			}
		}
		i := slices.IndexFunc(candidates, func(file string) bool { _, err := r.joinText(h, file, ""); return err == nil })
		if i < 0 {
			return fail.Errorf(fail.Unsupported, "machine %s: where its etcd is told its --initial-cluster was not found (%s): it cannot be made to join; leave out --add-members", h.Name, strings.Join(candidates, ", "))
		}
		h.Join = candidates[i]
	}
	return nil
}

// joins are the machines whose members are added.
func (p *Plan) joins() []*HostPlan {
	if p.First == "" {
		return nil
	}
	return slices.DeleteFunc(p.members(), func(h *HostPlan) bool { return h.Name == p.First })
}

// upTo are the first member and those that joined it, up to h.
func (p *Plan) upTo(h *HostPlan) []*HostPlan {
	all := []*HostPlan{p.host(p.First)}
	for _, j := range p.joins() {
		if h != all[0] {
			all = append(all, j)
		}
		if j == h {
			break
		}
	}
	return all
}

func initialCluster(members []*HostPlan) string {
	var all []string
	for _, h := range members {
		for _, u := range h.Member.PeerURLs {
			all = append(all, h.Member.Name+"="+u)
		}
	}
	return strings.Join(all, ",")
}

func (r *Restorer) joinText(h *HostPlan, file, members string) ([]byte, error) {
	text, err := r.Archive.read(h.Name, file)
	if err != nil {
		return nil, err
	}
	changed, ok := join(string(text), members)
	if !ok {
		return nil, fail.Errorf(fail.NotFound, "%s of machine %s has no initial cluster", file, h.Name)
	}
	return []byte(changed), nil
}

// join are the steps by which a machine's member joins those that run.
func (b *builder) join(h *HostPlan, part Part) {
	with := b.p.upTo(h)
	b.add(h, "add etcd member "+h.Member.Name, func(ctx context.Context) error { return b.r.addMember(ctx, b.p, h) }, nil)
	start, back := "join-unit", b.verb(h, nil, "joined", h.Join)
	args := []string{h.Join, part.Unit}
	if part.Manifest != "" {
		start, args = "join-pod", []string{h.Join, part.Manifest}
	}
	halt := b.halt(h, part, "unstart")
	b.add(h, "start etcd, which joins "+b.p.First, func(ctx context.Context) error {
		text, err := b.r.joinText(h, h.Join, initialCluster(with))
		if err != nil {
			return err
		}
		return b.verb(h, text, start, append(args[:2:2], strconv.Itoa(len(text)))...)(ctx)
	}, func(ctx context.Context) error { return errors.Join(halt(ctx), back(ctx)) })
	b.add(h, "wait until it has the data, and let it vote", func(ctx context.Context) error { return b.r.promote(ctx, b.p, h) }, nil)
	if part.Manifest == h.Join {
		back = b.verb(h, nil, "start-pod", part.Manifest)
	}
	b.add(h, "give etcd its own settings again", back, nil)
	b.add(h, "wait for etcd of "+initialCluster(with), func(ctx context.Context) error { return b.r.awaitEtcd(ctx, b.p, with) }, nil)
}

// first reaches the member that the others join.
func (r *Restorer) first(ctx context.Context, p *Plan) (*member, error) {
	live, err := look(ctx, r.hosts[p.First])
	if err != nil {
		return nil, err
	}
	return connect(ctx, live)
}

// listed finds the member of a machine in what etcd says of its members; nil if it has none.
func (m *member) listed(ctx context.Context, h *HostPlan) (*etcdserverpb.Member, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	list, err := m.client.MemberList(ctx)
	if err != nil {
		return nil, fmt.Errorf("host %s: list etcd's members: %w", m.on.Name(), err)
	}
	for _, e := range list.Members {
		if slices.ContainsFunc(e.PeerURLs, func(u string) bool { return slices.Contains(h.Member.PeerURLs, u) }) {
			return e, nil
		}
	}
	return nil, nil
}

// addMember tells etcd of a member that will come, without a vote until it has the data, so that nothing depends on it before. One that was told of stays.
func (r *Restorer) addMember(ctx context.Context, p *Plan, h *HostPlan) error {
	return poll(ctx, readyTimeout, func(ctx context.Context) error {
		m, err := r.first(ctx, p)
		if err != nil {
			return err
		}
		defer m.client.Close()
		known, err := m.listed(ctx, h)
		if err != nil || known != nil {
			return err
		}
		ctx, cancel := context.WithTimeout(ctx, askTimeout)
		defer cancel()
		_, err = m.client.MemberAddAsLearner(ctx, h.Member.PeerURLs)
		return err
	})
}

// promote waits for the data to arrive: etcd refuses before.
func (r *Restorer) promote(ctx context.Context, p *Plan, h *HostPlan) error {
	return poll(ctx, readyTimeout, func(ctx context.Context) error {
		m, err := r.first(ctx, p)
		if err != nil {
			return err
		}
		defer m.client.Close()
		known, err := m.listed(ctx, h)
		switch {
		case err != nil:
			return err
		case known == nil:
			return fail.Errorf(fail.Corrupt, "etcd does not know member %s any more", h.Member.Name)
		case !known.IsLearner:
			return nil
		}
		ctx, cancel := context.WithTimeout(ctx, askTimeout)
		defer cancel()
		_, err = m.client.MemberPromote(ctx, known.ID)
		if errors.Is(err, rpctypes.ErrMemberNotLearner) {
			return nil
		}
		return err
	})
}

// joinBook is the same for people.
func (b *book) join(h *HostPlan) {
	b.on(*b.p.host(b.p.First), "etcdctl member add %s --learner --peer-urls %s", h.Member.Name, strings.Join(h.Member.PeerURLs, ","))
	b.on(*h, "# %s: --initial-cluster=%s --initial-cluster-state=existing; then start etcd", h.Join, initialCluster(b.p.upTo(h)))
	b.on(*b.p.host(b.p.First), "etcdctl member promote ID # the one that `member add` printed; etcd refuses until the data has arrived")
}
