// SPDX-License-Identifier: Apache-2.0

package dr

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"

	"hozon.dev/hozon/internal/fail"
)

// poll asks until there is no error, for as long as something may take; then the last error is told.
func poll(ctx context.Context, timeout time.Duration, ask func(context.Context) error) error {
	limit, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	var err error
	for {
		now := ask(limit)
		if now == nil {
			return nil
		}
		if err == nil || limit.Err() == nil { // what it says when its time is over tells nothing
			err = now
		}
		select {
		case <-limit.Done(): // also when ctx is
			if ctx.Err() != nil {
				return ctx.Err()
			}
			return fail.Errorf(fail.Transient, "not within %s: %w", timeout, err)
		case <-time.After(pollInterval): // nobody tells when another machine is ready
		}
	}
}

// awaitEtcd waits until every member answers, all of them are one cluster with one leader, and hold the same data.
func (r *Restorer) awaitEtcd(ctx context.Context, p *Plan, all []*HostPlan) error {
	return poll(ctx, readyTimeout, func(ctx context.Context) error { return r.etcdReady(ctx, p, all) })
}

func (r *Restorer) etcdReady(ctx context.Context, p *Plan, all []*HostPlan) error {
	var members []*member
	defer func() {
		for _, m := range members {
			m.client.Close()
		}
	}()
	for _, h := range all {
		live, err := look(ctx, r.hosts[h.Name])
		if err != nil {
			return err
		}
		m, err := connect(ctx, live)
		if err != nil {
			return err
		}
		members = append(members, m)
		switch st := m.status; {
		case st.Leader == 0:
			return fail.Errorf(fail.Transient, "machine %s: its etcd sees no leader", h.Name)
		case st.Header.ClusterId != members[0].status.Header.ClusterId:
			return fail.Errorf(fail.Corrupt, "machine %s: its etcd is of another cluster than that of %s", h.Name, all[0].Name)
		case st.Header.Revision < p.Revision+int64(p.Bump):
			return fail.Errorf(fail.Corrupt, "machine %s: its etcd is at revision %d, before the restored one", h.Name, st.Header.Revision)
		}
	}
	list, err := members[0].members(ctx)
	if err != nil {
		return err
	}
	if len(list) != len(all) {
		return fail.Errorf(fail.Corrupt, "etcd has %d members, not %d", len(list), len(all))
	}
	hashes, err := hashKV(ctx, members)
	if err != nil {
		return err
	}
	if len(hashes) > 1 {
		return fail.Errorf(fail.Corrupt, "the members do not hold the same data: %v", hashes)
	}
	return nil
}

// hashKV asks all members for the hash of their data at the newest revision that all of them have; the machines by hash. etcd 3.4 does not tell it of a revision
// that was just compacted, as that of a restored etcd is: then it is asked for the present.
func hashKV(ctx context.Context, all []*member) (map[uint32][]string, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	at := all[0].status.Header.Revision
	for _, m := range all {
		at = min(at, m.status.Header.Revision)
	}
	hashes, err := hashesAt(ctx, all, at)
	if errors.Is(err, rpctypes.ErrCompacted) {
		return hashesAt(ctx, all, 0)
	}
	return hashes, err
}

func hashesAt(ctx context.Context, all []*member, revision int64) (map[uint32][]string, error) {
	hashes := map[uint32][]string{}
	for _, m := range all {
		r, err := m.client.HashKV(ctx, m.endpoint, revision)
		if err != nil {
			return hashes, fmt.Errorf("host %s: ask etcd for its hash at revision %d: %w", m.on.Name(), revision, err)
		}
		hashes[r.Hash] = append(hashes[r.Hash], m.on.Name())
	}
	return hashes, nil
}
