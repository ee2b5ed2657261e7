// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"errors"
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	velerov1 "hozon.dev/hozon/api/velero/v1"
	"hozon.dev/hozon/internal/fail"
	"hozon.dev/hozon/internal/store"
)

// foreign says that a real Velero's server has uploaded a Backup and not brought it to its end.
func foreign(p velerov1.BackupPhase) bool {
	switch p {
	case velerov1.BackupPhaseWaitingForPluginOperations, velerov1.BackupPhaseWaitingForPluginOperationsPartiallyFailed,
		velerov1.BackupPhaseFinalizing, velerov1.BackupPhaseFinalizingPartiallyFailed:
		return true
	}
	return false
}

// operation is what counts of an entry of Velero's file of item operations.
type operation struct {
	Spec struct {
		OperationID string `json:"operationID"`
	} `json:"spec"`
	Status struct {
		Phase   string       `json:"phase"`
		Error   string       `json:"error"`
		Created *metav1.Time `json:"created"`
	} `json:"status"`
}

// adopt brings the Backup of a real Velero to its end. Its objects are in the bucket. Operations that had not ended cannot be followed, since
// they belong to its plugins: they count as failed.
func (r *Backups) adopt(ctx context.Context, name string) {
	for wait := time.Second; ; wait = min(2*wait, time.Minute) {
		err := r.adoptOnce(ctx, name)
		if err == nil || !again(err) || ctx.Err() != nil {
			if err != nil && ctx.Err() == nil {
				r.Log.Warn("a backup of Velero was not brought to its end", "backup", name, "error", err)
			}
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
	}
}

func (r *Backups) adoptOnce(ctx context.Context, name string) error {
	b := &velerov1.Backup{ObjectMeta: metav1.ObjectMeta{Namespace: r.Namespace, Name: name}}
	if err := r.Live.Get(ctx, r.key(name), b); err != nil || !foreign(b.Status.Phase) {
		return nil // it is gone, or over
	}
	_, st, err := r.Stores.at(ctx, b.Spec.StorageLocation)
	if err != nil {
		return err
	}
	record, err := st.Backup(ctx, name)
	if fail.Is(err, fail.NotFound) {
		return r.close(ctx, b, velerov1.BackupPhaseFailed, "found in phase "+string(b.Status.Phase)+", left by another server, and its files are not in the bucket")
	}
	if err != nil {
		return err
	}
	unfinished, failed, err := operations(ctx, st, name)
	if err != nil {
		return err
	}
	phase := velerov1.BackupPhaseCompleted
	partly := b.Status.Phase == velerov1.BackupPhaseFinalizingPartiallyFailed || b.Status.Phase == velerov1.BackupPhaseWaitingForPluginOperationsPartiallyFailed
	if partly || unfinished+failed > 0 || b.Status.Errors > 0 {
		phase = velerov1.BackupPhasePartiallyFailed
	}
	now := metav1.NewTime(r.Now())
	record.Status.Phase, record.Status.CompletionTimestamp = phase, &now
	record.Status.BackupItemOperationsFailed += unfinished
	if err := st.Rewrite(ctx, record); err != nil {
		return err
	}
	text := ""
	if unfinished > 0 {
		text = fmt.Sprintf("%d operations of another server had not ended and cannot be followed", unfinished)
	}
	return r.close(ctx, b, phase, text)
}

// operations counts those of a Backup that had not ended, and those that failed.
func operations(ctx context.Context, st *store.Store, name string) (unfinished, failed int, err error) {
	var all []operation
	err = st.ReadJSON(ctx, store.Backup, name, store.ItemOperations, &all)
	if err != nil && !fail.Is(err, fail.NotFound) {
		return 0, 0, err
	}
	for _, o := range all {
		switch o.Status.Phase {
		case "Completed":
		case "Failed":
			failed++
		default:
			unfinished++
		}
	}
	return unfinished, failed, nil
}

// close writes the end of an adopted Backup into the cluster.
func (r *Backups) close(ctx context.Context, b *velerov1.Backup, phase velerov1.BackupPhase, text string) error {
	err := r.change(ctx, b, func() bool {
		if !foreign(b.Status.Phase) {
			return false
		}
		now := metav1.NewTime(r.Now())
		b.Status.Phase, b.Status.CompletionTimestamp, b.Status.FailureReason = phase, &now, text
		return true
	})
	if err != nil && !errors.Is(err, context.Canceled) {
		return err
	}
	r.Log.Info("a backup of Velero was brought to its end", "backup", b.Name, "phase", phase)
	r.normal(b, string(phase), "Backup", join(append([]string{"left by another server, and brought to its end"}, nonempty(text)...)))
	return nil
}

func nonempty(text string) []string {
	if text == "" {
		return nil
	}
	return []string{text}
}
