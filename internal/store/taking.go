// SPDX-License-Identifier: Apache-2.0

package store

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"

	"hozon.dev/hozon/internal/blob"
	"hozon.dev/hozon/internal/fail"
)

const (
	takingsPrefix = "metadata/hozon/snapshots/"
	takingLimit   = 64 << 20 // bytes
)

// Taking is what a run of a backup takes of snapshots outside of the bucket, where nobody can list them (doc/format.md, section 8). Each is in it before
// it is made, without an id, and gets its id when it has one.
type Taking struct {
	Backup    string     `json:"backup"`
	Run       string     `json:"run"`
	Cluster   string     `json:"cluster"`   // UID of the namespace kube-system
	Namespace string     `json:"namespace"` // that of the snapshots' locations
	Snapshots []Snapshot `json:"snapshots"`
}

// String names the taking for messages.
func (t Taking) String() string {
	return fmt.Sprintf("the snapshots that run %s of backup %s took", t.Run, t.Backup)
}

func (t Taking) key() string { return takingsPrefix + t.Backup + "/" + t.Run + ".json" }

// PutTaking records what a run takes, in place of what was recorded of it.
func (s *Store) PutTaking(ctx context.Context, t Taking) error {
	data, err := json.Marshal(t)
	if err == nil {
		_, err = s.bucket.Put(ctx, t.key(), bytes.NewReader(data), blob.PutOptions{})
	}
	if err != nil {
		return fmt.Errorf("record %s: %w", t, err)
	}
	return nil
}

// DropTaking forgets a record whose snapshots belong to a backup, or are gone.
func (s *Store) DropTaking(ctx context.Context, t Taking) error {
	if err := s.bucket.Delete(ctx, t.key()); err != nil && !fail.Is(err, fail.NotFound) {
		return fmt.Errorf("forget %s: %w", t, err)
	}
	return nil
}

// Takings reads the records of one backup, or of all (""). One that cannot be read does not keep the others away: it is told in the error.
func (s *Store) Takings(ctx context.Context, backup string) ([]Taking, error) {
	prefix := takingsPrefix
	if backup != "" {
		prefix += backup + "/"
	}
	var all []Taking
	err := s.bucket.List(ctx, prefix, false, func(i blob.Info) error {
		name, run, ok := strings.Cut(strings.TrimSuffix(strings.TrimPrefix(i.Key, takingsPrefix), ".json"), "/")
		if ok && CheckName(Backup, name) == nil && len(validation.IsDNS1123Subdomain(run)) == 0 {
			all = append(all, Taking{Backup: name, Run: run})
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("look for snapshots of unfinished runs in %s: %w", s, err)
	}
	var found []Taking
	var errs []error
	for _, t := range all {
		read, err := s.readTaking(ctx, t)
		switch {
		case err == nil:
			found = append(found, read)
		case !fail.Is(err, fail.NotFound):
			errs = append(errs, err)
		}
	}
	return found, errors.Join(errs...)
}

func (s *Store) readTaking(ctx context.Context, want Taking) (Taking, error) {
	var t Taking
	r, err := s.bucket.Get(ctx, want.key(), 0, -1)
	if err != nil {
		return t, err
	}
	defer r.Close()
	data, err := io.ReadAll(io.LimitReader(r, takingLimit))
	if err != nil {
		return t, fmt.Errorf("read %s: %w", want, err)
	}
	if err := json.Unmarshal(data, &t); err != nil || t.Backup != want.Backup || t.Run != want.Run {
		return t, fail.Errorf(fail.Corrupt, "%s in %s is not readable: it names snapshots that an unfinished run has taken; remove those that no backup lists, then this file", want.key(), s)
	}
	return t, nil
}

// Loose is what of a taking belongs to no backup: all of it if the run came to nothing. fail.Busy: the run is under way. What a dead run has left of its draft
// is removed first, so that it cannot be committed any more.
func (s *Store) Loose(ctx context.Context, t Taking) ([]Snapshot, error) {
	c, err := s.claim(ctx, Backup, t.Backup)
	switch {
	case fail.Is(err, fail.NotFound) || err == nil && c.Run != t.Run:
	case err != nil:
		return nil, err
	case !c.dead(s.Now()):
		return nil, fail.As(fail.Busy, c.busy())
	default:
		if _, err := s.bury(ctx, c); err != nil {
			return nil, err
		}
	}
	kept := map[string]bool{}
	exists, err := s.exists(ctx, Backup, t.Backup)
	if err != nil {
		return nil, err
	}
	if exists {
		var listed []Snapshot
		if err := s.ReadJSON(ctx, Backup, t.Backup, VolumeSnapshots, &listed); err != nil {
			return nil, err
		}
		for _, l := range listed {
			kept[l.place()] = true
		}
	}
	var loose []Snapshot
	for _, one := range t.Snapshots {
		if one.Status.ID == "" || !kept[one.place()] {
			loose = append(loose, one)
		}
	}
	return loose, nil
}
