// SPDX-License-Identifier: Apache-2.0

package store

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"hozon.dev/hozon/internal/blob"
	"hozon.dev/hozon/internal/fail"
)

const (
	runsPrefix = "metadata/hozon/runs/"
	// claimTTL is how long a run is believed to live after its last sign of life. It is renewed three times as often.
	claimTTL   = 2 * time.Minute
	claimLimit = 64 << 10 // bytes
)

// Claim is the mark of a run under way (doc/format.md, section 8).
type Claim struct {
	Run     string    `json:"run"`
	Kind    Sort      `json:"kind"`
	Name    string    `json:"name"`
	Host    string    `json:"host"`
	PID     int       `json:"pid"`
	BootID  string    `json:"bootID,omitempty"`
	Started time.Time `json:"started"`
	Expires time.Time `json:"expires"`
}

func claimKey(sort Sort, name string) string {
	return runsPrefix + string(sort) + "-" + name + ".json"
}

// newClaim marks a run of this process.
func newClaim(sort Sort, name, run string, now time.Time) Claim {
	host, _ := os.Hostname() // empty only means that a dead run is found out by its expiry
	return Claim{
		Run: run, Kind: sort, Name: name, Host: host, PID: os.Getpid(), BootID: bootID(),
		Started: now.UTC(), Expires: now.Add(claimTTL).UTC(),
	}
}

func bootID() string {
	id, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(id))
}

// dead reports whether the run is certainly over: its time is up, or it belonged to a process of this boot of this
// host that is gone.
func (c Claim) dead(now time.Time) bool {
	if now.After(c.Expires) {
		return true
	}
	host, err := os.Hostname()
	if err != nil || c.Host != host || c.BootID == "" || c.BootID != bootID() || c.PID <= 0 {
		return false
	}
	return errors.Is(unix.Kill(c.PID, 0), unix.ESRCH)
}

// same reports whether two claims are of one run; they may differ in when they expire.
func (c Claim) same(o Claim) bool {
	return c.Run == o.Run && c.Host == o.Host && c.PID == o.PID && c.Started.Equal(o.Started)
}

func (c Claim) busy() error {
	return fmt.Errorf("run %s on %s (pid %d, since %s) is working on it; wait for it, or until %s if it died",
		c.Run, c.Host, c.PID, c.Started.Format(time.RFC3339), c.Expires.Format(time.RFC3339))
}

// claim reads the claim on a backup or restore; fail.NotFound if there is none.
func (s *Store) claim(ctx context.Context, sort Sort, name string) (Claim, error) {
	var c Claim
	r, err := s.bucket.Get(ctx, claimKey(sort, name), 0, -1)
	if err != nil {
		return c, err
	}
	defer r.Close()
	data, err := io.ReadAll(io.LimitReader(r, claimLimit))
	if err != nil {
		return c, fmt.Errorf("read claim on %s %s: %w", sort, name, err)
	}
	if err := json.Unmarshal(data, &c); err != nil || c.Kind != sort || c.Name != name {
		return c, fail.Errorf(fail.Corrupt, "claim %s in %s is not readable; remove it if no run is under way", claimKey(sort, name), s)
	}
	return c, nil
}

func (s *Store) putClaim(ctx context.Context, c Claim, o blob.PutOptions) error {
	data, err := json.Marshal(c)
	if err != nil {
		return err
	}
	_, err = s.bucket.Put(ctx, claimKey(c.Kind, c.Name), bytes.NewReader(data), o)
	return err
}

// Sweep removes what dead runs left behind and returns their names ("backup a"). Committed backups and live runs are not touched.
func (s *Store) Sweep(ctx context.Context) ([]string, error) {
	type key struct {
		sort Sort
		name string
	}
	var claimed []key
	err := s.bucket.List(ctx, runsPrefix, false, func(i blob.Info) error {
		base := strings.TrimSuffix(strings.TrimPrefix(i.Key, runsPrefix), ".json")
		kind, name, ok := strings.Cut(base, "-")
		if sort := Sort(kind); ok && (sort == Backup || sort == Restore) && CheckName(sort, name) == nil {
			claimed = append(claimed, key{sort, name})
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("look for dead runs in %s: %w", s, err)
	}
	var swept []string
	for _, k := range claimed {
		c, err := s.claim(ctx, k.sort, k.name)
		if fail.Is(err, fail.NotFound) {
			continue
		}
		if err != nil {
			return swept, err
		}
		if !c.dead(s.Now()) {
			continue
		}
		cleaned, err := s.bury(ctx, c)
		if err != nil {
			return swept, fmt.Errorf("clean up after dead run %s of %s %s: %w", c.Run, c.Kind, c.Name, err)
		}
		if cleaned {
			swept = append(swept, string(c.Kind)+" "+c.Name)
		}
	}
	return swept, nil
}

// Disown removes what a run left that its owner knows to be over: its claim and its draft, unless that was committed. A claim of another
// run, or none, is left as it is.
func (s *Store) Disown(ctx context.Context, sort Sort, name, run string) error {
	c, err := s.claim(ctx, sort, name)
	if fail.Is(err, fail.NotFound) {
		return nil
	}
	if err == nil && c.Run == run {
		_, err = s.bury(ctx, c)
	}
	if err != nil {
		return fmt.Errorf("clean up after run %s of %s %s: %w", run, sort, name, err)
	}
	return nil
}

// bury removes a dead run's draft, unless it was committed, and then its claim.
func (s *Store) bury(ctx context.Context, c Claim) (cleaned bool, err error) {
	committed, err := s.exists(ctx, c.Kind, c.Name)
	if err != nil {
		return false, err
	}
	if !committed {
		if cleaned, err = s.wipe(ctx, c.Kind, c.Name); err != nil {
			return cleaned, err
		}
	}
	return cleaned, s.bucket.Delete(ctx, claimKey(c.Kind, c.Name))
}
