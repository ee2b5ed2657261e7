// SPDX-License-Identifier: Apache-2.0

package save

import (
	"context"
	"fmt"
	"sync"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	velerov1 "hozon.dev/hozon/api/velero/v1"
	"hozon.dev/hozon/internal/fail"
	"hozon.dev/hozon/internal/velero"
	"hozon.dev/hozon/internal/volume/order"
)

// side is how many calls are under way at the same time.
const side = 8

// each calls fn with every task that is not over, several at a time, and ends those that come back with an error.
func (r *saving) each(tasks []*task, fn func(*task) error) {
	var wg sync.WaitGroup
	places := make(chan struct{}, side)
	errs := make([]error, len(tasks))
	for i, t := range tasks {
		places <- struct{}{}
		wg.Go(func() {
			defer func() { <-places }()
			errs[i] = fn(t)
		})
	}
	wg.Wait()
	for i, t := range tasks {
		if errs[i] != nil {
			r.refuse(t, errs[i])
		}
	}
}

// connectAll sees to it that there is a repository for each namespace, and ends the tasks of those of which there is none.
func (r *saving) connectAll(ctx context.Context) {
	var first []*task // of each repository
	others := map[string][]*task{}
	for _, t := range r.open() {
		name := repositoryName(t.backup)
		if others[name] == nil {
			first = append(first, t)
		}
		others[name] = append(others[name], t)
	}
	var mu sync.Mutex
	failed := map[string]error{}
	r.each(first, func(t *task) error {
		err := r.connect(ctx, t.backup)
		mu.Lock()
		defer mu.Unlock()
		failed[repositoryName(t.backup)] = err
		return err
	})
	for _, t := range r.open() {
		if err := failed[repositoryName(t.backup)]; err != nil {
			r.refuse(t, err)
		}
	}
}

// repositoryName is that of the BackupRepository of a volume.
func repositoryName(b *velerov1.PodVolumeBackup) string {
	return b.Spec.Pod.Namespace + "-" + b.Spec.BackupStorageLocation + "-" + b.Spec.UploaderType
}

// connect makes the repository of a volume's namespace known, if nobody has, and waits until it can be used.
func (r *saving) connect(ctx context.Context, b *velerov1.PodVolumeBackup) error {
	name := repositoryName(b)
	limit := or(r.Connect, defaultConnect)
	late := fmt.Errorf("no server has looked after BackupRepository %s/%s for %s", r.Server.Namespace, name, limit)
	ctx, cancel := context.WithTimeoutCause(ctx, limit, late)
	defer cancel()
	_, err := velero.Repositories.Create(ctx, r.Server, &velerov1.BackupRepository{
		TypeMeta: velero.Repositories.TypeMeta(),
		ObjectMeta: metav1.ObjectMeta{
			Namespace: r.Server.Namespace, Name: name,
			Labels: map[string]string{
				velerov1.LabelVolumeNamespace: velerov1.LabelValue(b.Spec.Pod.Namespace),
				velerov1.LabelStorageLocation: velerov1.LabelValue(b.Spec.BackupStorageLocation),
				velerov1.LabelRepositoryType:  velerov1.LabelValue(b.Spec.UploaderType),
			},
		},
		Spec: velerov1.BackupRepositorySpec{ // how often it is maintained is up to the server that looks after it
			VolumeNamespace: b.Spec.Pod.Namespace, BackupStorageLocation: b.Spec.BackupStorageLocation, RepositoryType: b.Spec.UploaderType,
		},
	})
	if err != nil && !fail.Is(err, fail.Exists) {
		return fmt.Errorf("make the repository of namespace %s known: %w", b.Spec.Pod.Namespace, err)
	}
	repository, err := velero.Repositories.Until(ctx, r.Server, name, func(o *velerov1.BackupRepository) bool {
		return o.Status.Phase == velerov1.BackupRepositoryPhaseReady || o.Status.Phase == velerov1.BackupRepositoryPhaseNotReady
	})
	switch {
	case context.Cause(ctx) == late:
		return fmt.Errorf("the repository of namespace %s: %w", b.Spec.Pod.Namespace, late)
	case err != nil:
		return fmt.Errorf("the repository of namespace %s: %w", b.Spec.Pod.Namespace, err)
	case repository.Status.Phase == velerov1.BackupRepositoryPhaseNotReady:
		return fail.Errorf(fail.Unknown, "the repository of namespace %s cannot be used (BackupRepository %s/%s): %s", b.Spec.Pod.Namespace, r.Server.Namespace, name, repository.Status.Message)
	}
	return nil
}

// createAll makes the PodVolumeBackups. From here on the agents work.
func (r *saving) createAll(ctx context.Context) {
	r.each(r.open(), func(t *task) error {
		b := t.backup.DeepCopy()
		b.TypeMeta = velero.VolumeBackups.TypeMeta()
		b.Namespace = r.Server.Namespace
		b.Name = order.Name(b.GenerateName)
		made, err := r.Create(ctx, b)
		if err != nil {
			return err
		}
		t.backup = made
		return nil
	})
}
