// SPDX-License-Identifier: Apache-2.0

package restore

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync"

	"github.com/google/uuid"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"hozon.dev/hozon/internal/fail"
	"hozon.dev/hozon/internal/object"
	"hozon.dev/hozon/internal/report"
	"hozon.dev/hozon/internal/store"
)

// Volumes makes volumes out of native snapshots.
type Volumes interface {
	// Restore makes a new volume out of a snapshot, and returns the PersistentVolume, JSON as it is given, that stands for it.
	Restore(ctx context.Context, s store.Snapshot, pv []byte) ([]byte, error)
}

// volumes are those that are made out of snapshots.
type volumes struct {
	snapshots map[string]store.Snapshot // by the volume's name in the backup
	clones    map[string]string         // new names of those whose own is taken

	mu   sync.Mutex
	done map[string]*unstructured.Unstructured // what was made: an object that has to be tried again gets no second volume
	info []store.RestoredVolume
}

// findVolumes reads which volumes of the backup have snapshots, if they are to be restored.
func (r *run) findVolumes(ctx context.Context) error {
	if wanted := r.restore.Spec.RestorePVs; wanted != nil && !*wanted {
		return nil
	}
	var all []store.Snapshot
	err := r.Store.ReadJSON(ctx, store.Backup, r.backup.Name, store.VolumeSnapshots, &all)
	switch {
	case fail.Is(err, fail.NotFound):
		return nil
	case fail.Is(err, fail.Corrupt):
		r.report.Errors = append(r.report.Errors, report.Note{Cluster: true, Text: fmt.Sprintf("%v; no volume is restored from its snapshot", err)})
		return nil
	case err != nil:
		return err
	}
	usable := map[string]store.Snapshot{}
	for _, s := range all {
		if s.Usable() {
			usable[s.Spec.Volume] = s
		}
	}
	if len(usable) > 0 && r.Volumes == nil {
		r.report.Warn("", "%d volumes have native snapshots, which only the server in the cluster can restore", len(usable))
		return nil
	}
	r.volumes.snapshots, r.volumes.done = usable, map[string]*unstructured.Unstructured{}
	return r.findClones(ctx)
}

// persistentVolumes is the kind of volumes.
var persistentVolumes = object.Type{Version: "v1", Resource: "persistentvolumes", Kind: "PersistentVolume"}

// findClones gives another name to each volume that exists while its claim goes to another namespace: both are to live.
func (r *run) findClones(ctx context.Context) error {
	moved := map[string]bool{}
	for i := range r.entries.Len() {
		ref, more := r.entries.Ref(i), r.entries.More(i)
		if more == nil || more.Volume == nil {
			continue
		}
		_, mapped := r.restore.Spec.NamespaceMapping[more.Volume.ClaimNamespace]
		if _, ok := r.volumes.snapshots[ref.Name]; ok && mapped {
			moved[ref.Name] = true
		}
	}
	if len(moved) == 0 {
		return nil
	}
	r.volumes.clones = map[string]string{}
	return r.list(ctx, persistentVolumes, func(head object.Head, _ []byte) error {
		if moved[head.Name] {
			r.volumes.clones[head.Name] = "velero-clone-" + uuid.NewString()
		}
		return nil
	})
}

func (v *volumes) names() map[string]bool {
	names := map[string]bool{}
	for name := range v.snapshots {
		names[name] = true
	}
	return names
}

// provision makes the volume that an object stands for, if it has a snapshot.
func (r *run) provision(ctx context.Context, name string, pv *unstructured.Unstructured) (*unstructured.Unstructured, error) {
	s, ok := r.volumes.snapshots[name]
	if !ok {
		return pv, nil
	}
	r.volumes.mu.Lock()
	defer r.volumes.mu.Unlock()
	if made := r.volumes.done[name]; made != nil {
		return made, nil
	}
	body, err := json.Marshal(pv)
	if err != nil {
		return nil, err
	}
	if body, err = r.Volumes.Restore(ctx, s, body); err != nil {
		return nil, fmt.Errorf("make the volume out of snapshot %s: %w", s.Status.ID, err)
	}
	made := &unstructured.Unstructured{}
	if err := made.UnmarshalJSON(body); err != nil {
		return nil, fmt.Errorf("read the volume that was made out of snapshot %s: %w", s.Status.ID, err)
	}
	if made.GetName() != pv.GetName() || made.GetKind() != pv.GetKind() {
		return nil, fail.Errorf(fail.Unsupported, "the volume that was made out of snapshot %s came back as %s %q", s.Status.ID, made.GetKind(), made.GetName())
	}
	r.volumes.done[name] = made
	r.volumes.told(s, made)
	r.log.line("info", "volume %s was made out of snapshot %s", made.GetName(), s.Status.ID)
	return made, nil
}

func (v *volumes) told(s store.Snapshot, made *unstructured.Unstructured) {
	info := store.RestoredVolume{PVName: made.GetName(), RestoreMethod: store.MethodNative, Native: s.Native()}
	info.PVCName, _, _ = unstructured.NestedString(made.Object, "spec", "claimRef", "name")
	info.PVCNamespace, _, _ = unstructured.NestedString(made.Object, "spec", "claimRef", "namespace")
	v.info = append(v.info, info)
}

// made is the list of volumes for the restore's records.
func (v *volumes) made() []store.RestoredVolume {
	out := append([]store.RestoredVolume{}, v.info...)
	slices.SortFunc(out, func(a, b store.RestoredVolume) int { return cmp.Compare(a.PVName, b.PVName) })
	return out
}
