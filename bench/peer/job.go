// SPDX-License-Identifier: Apache-2.0

package peer

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"time"
)

// A Run is what one job used, of the server and its plugins together.
type Run struct {
	Wall  time.Duration // from the request that creates the job until the API says that it is Completed
	CPU   time.Duration
	Peak  int64 // most bytes that all of them together had in memory, seen ten times a second: the true peak may be higher
	Items int   // as Velero counts them
}

// Backup backs up the whole cluster, with all that belongs to no namespace: without being asked to, Velero leaves most of
// that out.
func (s *Server) Backup(ctx context.Context, name string) (Run, error) {
	return s.job(ctx, "backups", "Backup", name, object{
		"includedNamespaces": []string{"*"}, "includeClusterResources": true, "storageLocation": locationName, "ttl": "720h0m0s",
	})
}

// Restore restores namespaces of a backup that the cluster knows.
func (s *Server) Restore(ctx context.Context, name, backup string, namespaces []string) (Run, error) {
	return s.job(ctx, "restores", "Restore", name, object{"backupName": backup, "includedNamespaces": namespaces})
}

// Announce tells the cluster of a backup in the bucket by its record (velero-backup.json), as the server itself does once
// a minute.
func (s *Server) Announce(ctx context.Context, record []byte) error {
	var o object
	if err := json.Unmarshal(record, &o); err != nil {
		return fmt.Errorf("announce a backup: %w", err)
	}
	meta, _ := o["metadata"].(map[string]any)
	for _, field := range []string{"uid", "resourceVersion", "generation", "creationTimestamp", "managedFields"} {
		delete(meta, field)
	}
	name, _ := meta["name"].(string)
	body, err := json.Marshal(o)
	if err != nil {
		return err
	}
	// A server may have found it in the bucket itself.
	if _, err := request(ctx, s.cluster, http.MethodPost, path("backups"), body, http.StatusCreated, http.StatusConflict); err != nil {
		return fmt.Errorf("announce backup %s: %w", name, err)
	}
	return s.rest(ctx, time.Now())
}

// final are the phases after which nothing more happens.
var final = []string{"Completed", "PartiallyFailed", "Failed", "FailedValidation"}

func (s *Server) job(ctx context.Context, resource, kind, name string, spec object) (Run, error) {
	before, err := s.usage()
	if err != nil {
		return Run{}, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	opened := make(chan struct{})
	type outcome struct {
		status status
		at     time.Time
		err    error
	}
	ended := make(chan outcome, 1)
	go func() {
		st, err := s.follow(ctx, resource, name, opened, func(st status) bool { return slices.Contains(final, st.Phase) })
		ended <- outcome{st, time.Now(), err}
	}()
	select {
	case <-opened:
	case o := <-ended:
		return Run{}, o.err
	}
	peak := s.observe(ctx)
	started := time.Now()
	o := object{"apiVersion": "velero.io/v1", "kind": kind, "metadata": object{"name": name}, "spec": spec}
	if err := post(ctx, s.cluster, path(resource), o); err != nil {
		return Run{}, err
	}
	end := <-ended
	if end.err != nil {
		return Run{}, end.err
	}
	after, err := s.usage()
	if err != nil {
		return Run{}, err
	}
	cancel()
	run := Run{Wall: end.at.Sub(started), CPU: after.cpu - before.cpu, Peak: max(<-peak, after.memory), Items: end.status.Progress.ItemsBackedUp + end.status.Progress.ItemsRestored}
	if end.status.Phase != "Completed" {
		return run, fmt.Errorf("velero %s %s: %s\n%s", kind, name, end.status, s.Complaints())
	}
	return run, nil
}

// observe looks at the memory until ctx ends, and then tells the most that it saw.
func (s *Server) observe(ctx context.Context) <-chan int64 {
	peak := make(chan int64, 1)
	go func() {
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		var most int64
		for {
			if u, err := s.usage(); err == nil { // a process that ends while it is looked at is no error
				most = max(most, u.memory)
			}
			select {
			case <-ctx.Done():
				peak <- most
				return
			case <-tick.C:
			}
		}
	}()
	return peak
}
