// SPDX-License-Identifier: Apache-2.0

package store

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"hozon.dev/hozon/internal/blob"
	"hozon.dev/hozon/internal/fail"
	"hozon.dev/hozon/internal/hook"
)

const (
	debtsPrefix = "metadata/hozon/hooks/"
	debtLimit   = 64 << 20 // bytes
)

// Debt is what a run of a backup owes the pods whose pre hooks it may have begun: their post hooks (doc/format.md, section 8). It names pods and no
// commands: who can write to the bucket must not be able to have commands run in a cluster. They are found in the pods' annotations and in the Backup.
type Debt struct {
	Backup  string     `json:"backup"`
	Run     string     `json:"run"`
	Cluster string     `json:"cluster"`           // UID of the namespace kube-system
	Ordered int        `json:"ordered,omitempty"` // so many of the first pods one after the other
	Pods    []hook.Pod `json:"pods"`
}

func debtKey(backup string) string { return debtsPrefix + backup + ".json" }

// PutDebt records a debt, before anything is done that makes it one.
func (s *Store) PutDebt(ctx context.Context, d Debt) error {
	data, err := json.Marshal(d)
	if err == nil {
		_, err = s.bucket.Put(ctx, debtKey(d.Backup), bytes.NewReader(data), blob.PutOptions{})
	}
	if err != nil {
		return fmt.Errorf("record the post hooks that backup %s has to run: %w", d.Backup, err)
	}
	return nil
}

// DropDebt forgets what a run owed and was paid.
func (s *Store) DropDebt(ctx context.Context, backup, run string) error {
	d, err := s.readDebt(ctx, backup)
	if err == nil && d.Run == run { // not another's, which has been recorded since
		err = s.bucket.Delete(ctx, debtKey(backup))
	}
	if err != nil && !fail.Is(err, fail.NotFound) {
		return fmt.Errorf("forget the post hooks of backup %s: %w", backup, err)
	}
	return nil
}

func (s *Store) readDebt(ctx context.Context, backup string) (Debt, error) {
	var d Debt
	r, err := s.bucket.Get(ctx, debtKey(backup), 0, -1)
	if err != nil {
		return d, err
	}
	defer r.Close()
	data, err := io.ReadAll(io.LimitReader(r, debtLimit))
	if err != nil {
		return d, fmt.Errorf("read the post hooks of backup %s: %w", backup, err)
	}
	if err := json.Unmarshal(data, &d); err != nil || d.Backup != backup {
		return d, fail.Errorf(fail.Corrupt, "%s in %s is not readable: it names pods whose post hooks are to be run after a run that died; see to the applications, and remove it", debtKey(backup), s)
	}
	return d, nil
}

// Debt is what a run of the backup owes that is over, or not known to live; fail.NotFound if nothing is owed, or a run that lives will see to it.
func (s *Store) Debt(ctx context.Context, backup string) (Debt, error) {
	if err := CheckName(Backup, backup); err != nil {
		return Debt{}, err
	}
	d, err := s.readDebt(ctx, backup)
	if err != nil {
		return Debt{}, err
	}
	claim, err := s.claim(ctx, Backup, backup)
	if err == nil && claim.Run == d.Run && !claim.dead(s.Now()) {
		return Debt{}, fail.Errorf(fail.NotFound, "run %s of backup %s is under way", d.Run, backup)
	}
	if err != nil && !fail.Is(err, fail.NotFound) {
		return Debt{}, err
	}
	return d, nil
}

// Debtors are the backups of which a debt is recorded.
func (s *Store) Debtors(ctx context.Context) ([]string, error) {
	var names []string
	err := s.bucket.List(ctx, debtsPrefix, false, func(i blob.Info) error {
		name := strings.TrimSuffix(strings.TrimPrefix(i.Key, debtsPrefix), ".json")
		if CheckName(Backup, name) == nil {
			names = append(names, name)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("look for post hooks that are owed in %s: %w", s, err)
	}
	return names, nil
}
