// SPDX-License-Identifier: Apache-2.0

package dr

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"sync"

	"hozon.dev/hozon/internal/backup"
	"hozon.dev/hozon/internal/collect"
	"hozon.dev/hozon/internal/dr/decode"
	"hozon.dev/hozon/internal/fail"
	"hozon.dev/hozon/internal/object"
	"hozon.dev/hozon/internal/report"
)

// Read makes an Image a backup.Source: every object goes to the sink, but for those that are being deleted.
func (i *Image) Read(ctx context.Context, sink collect.Sink) (backup.Found, error) {
	r := &reading{troubles: troubles{}}
	objects := func(key string) bool {
		_, ok := i.below(key)
		return ok
	}
	err := i.pump(ctx, objects, func() taker {
		return &reader{all: r, lane: sink.Lane(), troubles: troubles{}}
	})
	if err != nil {
		return backup.Found{}, err
	}
	f := &r.found
	f.ResourceVersion = strconv.FormatInt(i.live.Revision, 10)
	for _, t := range r.troubles.list() {
		f.Problems = append(f.Problems, report.Note{Cluster: true, Text: t.Text()})
	}
	slices.SortFunc(f.Terminating, object.Compare)
	if !i.Hashed() {
		f.Warnings = append(f.Warnings, report.Note{Text: NoHash})
	}
	return *f, nil
}

// NoHash is said of a snapshot without a hash.
const NoHash = "the snapshot does not end with its hash: it was copied from a member's folder and not saved by etcd; whether every byte of it is as etcd wrote it cannot be told"

// reading is what the goroutines of a Read share.
type reading struct {
	mu       sync.Mutex
	found    backup.Found
	troubles troubles
}

type reader struct {
	all         *reading
	lane        collect.Lane
	troubles    troubles
	terminating []object.Ref
	uid         string
}

func (r *reader) take(f found) error {
	switch {
	case f.rest == "" || errors.Is(f.err, decode.ErrBookkeeping):
		return nil
	case f.err != nil:
		r.troubles.add(f.key, f.err)
		return nil
	}
	head, err := object.Scan(f.object.Body)
	if err != nil {
		r.troubles.add(f.key, &decode.Problem{Resource: f.object.Ref.GroupResource(), Reason: "what was decoded is not sound JSON"})
		return nil
	}
	if head.Terminating {
		r.terminating = append(r.terminating, f.object.Ref)
		return nil
	}
	if f.object.Ref == (object.Ref{Resource: "namespaces", Name: "kube-system"}) {
		r.uid = head.UID
	}
	err = r.lane.Add(collect.Item{Ref: f.object.Ref, Type: f.object.Type, Head: head, Body: f.object.Body})
	if fail.Is(err, fail.Invalid) {
		r.troubles.add(f.key, &decode.Problem{Resource: f.object.Ref.GroupResource(), Reason: err.Error()})
		return nil
	}
	return err
}

func (r *reader) close() error {
	r.all.mu.Lock()
	defer r.all.mu.Unlock()
	r.all.troubles.merge(r.troubles)
	r.all.found.Terminating = append(r.all.found.Terminating, r.terminating...)
	if r.uid != "" {
		r.all.found.ClusterUID = r.uid
	}
	return r.lane.Close()
}
