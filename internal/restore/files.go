// SPDX-License-Identifier: Apache-2.0

package restore

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"sync"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	velerov1 "hozon.dev/hozon/api/velero/v1"
	"hozon.dev/hozon/internal/fail"
	"hozon.dev/hozon/internal/object"
	"hozon.dev/hozon/internal/report"
	"hozon.dev/hozon/internal/store"
)

// Filler has volumes filled with saved files.
type Filler interface {
	// Claims has claims of one namespace filled before anything uses them, on a node where pods like this one may run. Of each, the annotation velero.io/pvc-name has
	// the claim. done is told of each volume, one at a time, with its record as it ended, or nil, and why it is not filled.
	Claims(ctx context.Context, like corev1.PodSpec, wanted []*velerov1.PodVolumeRestore, done func(i int, made *velerov1.PodVolumeRestore, err error))
	// Pod has volumes filled of a pod that was made with the container of Wait.
	Pod(ctx context.Context, namespace, name string, wanted []*velerov1.PodVolumeRestore, done func(i int, made *velerov1.PodVolumeRestore, err error))
	// Wait makes the init containers that hold pods until their volumes are filled. An error says that nobody can fill any volume.
	Wait(ctx context.Context) (func(restoreUID string, spec *corev1.PodSpec, volumes []string) corev1.Container, error)
}

// sideMovers is how many pods have their volumes filled at the same time.
const sideMovers = 16

// saved is a volume whose files the backup has.
type saved struct {
	*velerov1.PodVolumeBackup
	claim string // in the backup; "": it is none
	group *saver
}

// saver is a pod of the backup by which volumes were saved.
type saver struct {
	ref     object.Ref // in the backup
	spec    corev1.PodSpec
	seen    bool // it is in the backup
	told    bool // that its own volumes stay empty
	volumes []*saved
}

// files are the volumes that are filled, in the order in which it is filled.
type files struct {
	savers  map[object.Ref]*saver
	claims  map[object.Ref]*saved // by the claim, in the backup
	begun   bool
	wait    func(restoreUID string, spec *corev1.PodSpec, volumes []string) corev1.Container // nil: nobody can fill any volume
	none    error                                                                            // why
	pods    chan waitingPod                                                                  // that were made; closed when no more will be
	under   sync.WaitGroup                                                                   // all that is being filled
	filling sync.WaitGroup                                                                   // claims only
	places  chan struct{}
	end     context.CancelCauseFunc

	mu      sync.Mutex
	ready   []*saved              // claims that are there and empty
	waiting map[object.Ref]*saver // pods that are made with the container that waits, by their names in the target
	info    []store.RestoredVolume
	notes   []report.Note // errors
	doubts  []report.Note // warnings
}

// waitingPod is a pod that was made, and waits for its volumes.
type waitingPod struct {
	*saver
	ref object.Ref // in the target
}

var claims = object.Type{Version: "v1", Resource: "persistentvolumeclaims", Kind: "PersistentVolumeClaim", Namespaced: true}

// findFiles reads which volumes of the backup have files in a repository, if they are to be restored. It has to be done before the archive is read.
func (r *run) findFiles(ctx context.Context) error {
	f := &r.files
	if wanted := r.restore.Spec.RestorePVs; wanted != nil && !*wanted {
		return nil
	}
	var all []velerov1.PodVolumeBackup
	err := r.Store.ReadJSON(ctx, store.Backup, r.backup.Name, store.PodVolumeBackups, &all)
	if fail.Is(err, fail.NotFound) { // servers do not hand it out
		all, err = r.listedFiles(ctx)
	}
	switch {
	case fail.Is(err, fail.NotFound):
		return nil
	case fail.Is(err, fail.Corrupt):
		r.report.Errors = append(r.report.Errors, report.Note{Cluster: true, Text: fmt.Sprintf("%v; no volume gets its files back", err)})
		return nil
	case err != nil:
		return err
	}
	all = slices.DeleteFunc(all, func(b velerov1.PodVolumeBackup) bool { return b.Status.SnapshotID == "" })
	if len(all) > 0 && r.Files == nil {
		r.report.Warn("", "%d volumes have file backups, which only the server in the cluster can restore; `hozon volume get` reads them", len(all))
		return nil
	}
	f.savers, f.claims = map[object.Ref]*saver{}, map[object.Ref]*saved{}
	for i := range all {
		f.add(&all[i])
	}
	return nil
}

// listedFiles are the volumes as the backup's list of volumes has them.
func (r *run) listedFiles(ctx context.Context) ([]velerov1.PodVolumeBackup, error) {
	var infos []store.BackedUpVolume
	if err := r.Store.ReadJSON(ctx, store.Backup, r.backup.Name, store.VolumeInfo, &infos); err != nil {
		return nil, err
	}
	var all []velerov1.PodVolumeBackup
	for _, i := range infos {
		p := i.PodVolume
		if p == nil {
			continue
		}
		b := velerov1.PodVolumeBackup{
			Spec: velerov1.PodVolumeBackupSpec{
				Node: p.Node, Pod: corev1.ObjectReference{Kind: "Pod", Namespace: p.Namespace, Name: p.Pod}, Volume: p.Volume,
				BackupStorageLocation: r.backup.Spec.StorageLocation, UploaderType: p.Uploader,
			},
			Status: velerov1.PodVolumeBackupStatus{
				Phase: velerov1.PodVolumeBackupPhase(p.Phase), SnapshotID: p.Handle, Progress: velerov1.DataMoveOperationProgress{TotalBytes: p.Size},
			},
		}
		if i.PVCName != "" {
			b.Annotations = map[string]string{velerov1.AnnotationPVCName: i.PVCName}
		}
		all = append(all, b)
	}
	return all, nil
}

func (f *files) add(b *velerov1.PodVolumeBackup) {
	ref := object.Ref{Resource: "pods", Namespace: b.Spec.Pod.Namespace, Name: b.Spec.Pod.Name}
	if f.savers[ref] == nil {
		f.savers[ref] = &saver{ref: ref}
	}
	s := f.savers[ref]
	s.volumes = append(s.volumes, &saved{PodVolumeBackup: b, claim: b.Annotations[velerov1.AnnotationPVCName], group: s})
}

// see takes what is needed of a saved pod by which volumes were saved.
func (f *files) see(ref object.Ref, body []byte) {
	s := f.savers[ref]
	if s == nil {
		return
	}
	var pod corev1.Pod
	if json.Unmarshal(body, &pod) != nil {
		return // it is reported when it is to be made
	}
	s.spec, s.seen = pod.Spec, true
	for _, v := range s.volumes {
		for _, own := range pod.Spec.Volumes {
			switch {
			case own.Name != v.Spec.Volume || v.claim != "":
			case own.PersistentVolumeClaim != nil: // Velero before 1.6 does not say so
				v.claim = own.PersistentVolumeClaim.ClaimName
			case own.Ephemeral != nil:
				v.claim = pod.Name + "-" + own.Name
			}
		}
	}
}

// index is done when all pods were seen. It returns the names of the volumes whose claims are filled instead.
func (f *files) index(r *run) map[string]bool {
	for _, s := range f.savers {
		for _, v := range s.volumes {
			if v.claim != "" {
				f.claims[object.Ref{Resource: claims.Resource, Namespace: s.ref.Namespace, Name: v.claim}] = v
			}
		}
	}
	anew := map[string]bool{}
	if len(f.claims) == 0 {
		return anew
	}
	for i := range r.entries.Len() {
		if f.claims[r.entries.Ref(i)] == nil {
			continue
		}
		if more := r.entries.More(i); more != nil {
			for _, need := range more.Needs {
				anew[need.Name] = true
			}
		}
	}
	return anew
}

// beginFiles makes ready for volumes to be filled beside the restore.
func (r *run) beginFiles(ctx context.Context) {
	f := &r.files
	f.begun = true
	if len(f.savers) == 0 {
		return
	}
	ctx, f.end = context.WithCancelCause(ctx)
	f.places, f.waiting, f.pods = make(chan struct{}, sideMovers), map[object.Ref]*saver{}, make(chan waitingPod)
	if f.wait, f.none = r.Files.Wait(ctx); f.none != nil && r.o.DryRun {
		f.doubts = append(f.doubts, report.Note{Text: fmt.Sprintf("volumes would stay empty: %v", f.none)})
	}
	f.under.Go(func() {
		for p := range f.pods {
			f.under.Go(func() { r.fillPod(ctx, p) })
		}
	})
}

// source is the name in the backup of an object of the target.
func (r *run) source(ref object.Ref) object.Ref {
	for from, to := range r.restore.Spec.NamespaceMapping {
		if to == ref.Namespace {
			ref.Namespace = from
			break
		}
	}
	return ref
}

// told looks at what came of an object: a claim that was made is to be filled, and so are volumes of a pod that waits for them. It returns what there is to say of it.
func (r *run) told(i report.Item) report.Item {
	f := &r.files
	if !f.begun || len(f.savers) == 0 || i.Ref.Group != "" {
		return i
	}
	switch i.Ref.Resource {
	case "persistentvolumeclaims":
		return r.claimTold(i)
	case "pods":
		f.mu.Lock()
		s := f.waiting[i.Ref]
		delete(f.waiting, i.Ref)
		f.mu.Unlock()
		if s != nil && !r.o.DryRun && (i.Action == report.Created || r.o.Again && i.Action == report.Unchanged) {
			f.pods <- waitingPod{s, i.Ref}
		}
	}
	return i
}

func (r *run) claimTold(i report.Item) report.Item {
	f := &r.files
	v := f.claims[r.source(i.Ref)]
	if v == nil || i.Action == report.Failed {
		return i
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case i.Action == report.Created:
		i.Reason = fmt.Sprintf("its files come from snapshot %s of volume %s of pod %s (%d bytes)", v.Status.SnapshotID, v.Spec.Volume, v.group.ref.ID(), v.Status.Progress.TotalBytes)
	case !r.o.Again:
		text := fmt.Sprintf("PersistentVolumeClaim %s exists: its files are left as they are; to have the saved ones, delete it first, or restore into another namespace", i.Ref.Name)
		f.doubts = append(f.doubts, report.Note{Namespace: i.Ref.Namespace, Text: text})
		return i
	}
	if !r.o.DryRun {
		f.ready = append(f.ready, v)
	}
	return i
}

// fillClaims has the claims filled that are there by now, beside all else.
func (r *run) fillClaims(ctx context.Context) {
	f := &r.files
	f.mu.Lock()
	groups := map[*saver][]*saved{}
	for _, v := range f.ready {
		groups[v.group] = append(groups[v.group], v)
	}
	f.ready = nil
	f.mu.Unlock()
	for _, s := range slices.SortedFunc(maps.Keys(groups), func(a, b *saver) int { return object.Compare(a.ref, b.ref) }) {
		f.filling.Add(1)
		f.under.Go(func() {
			defer f.filling.Done()
			f.places <- struct{}{}
			defer func() { <-f.places }()
			wanted := groups[s]
			var given []*velerov1.PodVolumeRestore
			for _, v := range r.mine(ctx, wanted) {
				given = append(given, r.orderFill(v))
			}
			if len(given) == 0 {
				return
			}
			r.Files.Claims(ctx, s.spec, given, func(i int, made *velerov1.PodVolumeRestore, err error) { r.filled(given[i], made, err) })
		})
	}
}

// awaitClaims waits until the claims are filled that fillClaims has begun with.
func (r *run) awaitClaims(ctx context.Context) {
	filled := make(chan struct{})
	go func() {
		defer close(filled)
		r.files.filling.Wait()
	}()
	select {
	case <-filled:
	case <-ctx.Done():
	}
}

// mine leaves out the claims of a run that was begun again which are not those of its first attempt.
func (r *run) mine(ctx context.Context, wanted []*saved) []*saved {
	if !r.o.Again {
		return wanted
	}
	var out []*saved
	for _, v := range wanted {
		namespace := r.mapped(v.group.ref.Namespace)
		body, err := r.Target.Get(ctx, claims, namespace, v.claim)
		head, scanErr := object.Scan(body)
		if err != nil || scanErr != nil {
			continue
		}
		if name, _ := head.Label(velerov1.LabelRestoreName); name == velerov1.LabelValue(r.restore.Name) {
			out = append(out, v)
		}
	}
	return out
}

func (r *run) mapped(namespace string) string {
	return cmp.Or(r.restore.Spec.NamespaceMapping[namespace], namespace)
}

// orderFill is what is asked of a node agent, but for the pod.
func (r *run) orderFill(v *saved) *velerov1.PodVolumeRestore {
	o := &velerov1.PodVolumeRestore{
		ObjectMeta: metav1.ObjectMeta{
			GenerateName: r.restore.Name + "-",
			Labels:       map[string]string{velerov1.LabelRestoreName: velerov1.LabelValue(r.restore.Name), velerov1.LabelRestoreUID: string(r.restore.UID)},
			Annotations:  map[string]string{},
			OwnerReferences: []metav1.OwnerReference{{
				APIVersion: velerov1.APIVersion, Kind: "Restore", Name: r.restore.Name, UID: r.restore.UID, Controller: new(true),
			}},
		},
		Spec: velerov1.PodVolumeRestoreSpec{
			Pod: corev1.ObjectReference{Kind: "Pod", Namespace: r.mapped(v.group.ref.Namespace)}, Volume: v.Spec.Volume,
			BackupStorageLocation: cmp.Or(r.o.Location, r.backup.Spec.StorageLocation), RepoIdentifier: v.Spec.RepoIdentifier, UploaderType: v.Spec.UploaderType,
			SnapshotID: v.Status.SnapshotID, SourceNamespace: v.group.ref.Namespace, SnapshotSize: v.Status.Progress.TotalBytes,
		},
	}
	if v.claim != "" {
		o.Annotations[velerov1.AnnotationPVCName] = v.claim
	}
	if u := r.restore.Spec.UploaderConfig; u != nil {
		o.Spec.UploaderSettings = map[string]string{}
		if u.WriteSparseFiles != nil {
			o.Spec.UploaderSettings["WriteSparseFiles"] = strconv.FormatBool(*u.WriteSparseFiles)
		}
		if u.ParallelFilesDownload > 0 {
			o.Spec.UploaderSettings["ParallelFilesDownload"] = strconv.Itoa(u.ParallelFilesDownload)
		}
	}
	return o
}

// filled takes note of what came of a volume.
func (r *run) filled(asked, made *velerov1.PodVolumeRestore, err error) {
	f := &r.files
	name := fmt.Sprintf("volume %s", asked.Spec.Volume)
	if claim := asked.Annotations[velerov1.AnnotationPVCName]; claim != "" {
		name = "PersistentVolumeClaim " + claim
	} else if made != nil {
		name += " of pod " + made.Spec.Pod.Namespace + "/" + made.Spec.Pod.Name
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case err != nil:
		text := fmt.Sprintf("%s did not get all of its files: %v; `hozon volume get` copies what the backup has of them", name, err)
		f.notes = append(f.notes, report.Note{Namespace: asked.Spec.Pod.Namespace, Text: text})
	case made == nil:
		r.log.line("info", "%s was filled by a run before", name)
	case made.Status.Message != "":
		f.doubts = append(f.doubts, report.Note{Namespace: asked.Spec.Pod.Namespace, Text: name + ": " + made.Status.Message})
	}
	info := store.RestoredVolume{RestoreMethod: store.MethodPodVolumeRestore, PodVolume: &store.PodVolume{
		Handle: asked.Spec.SnapshotID, Size: asked.Spec.SnapshotSize, Uploader: cmp.Or(asked.Spec.UploaderType, velerov1.RepositoryTypeRestic), Volume: asked.Spec.Volume,
		Namespace: asked.Spec.Pod.Namespace, Phase: string(velerov1.PodVolumeRestorePhaseFailed),
	}}
	if claim := asked.Annotations[velerov1.AnnotationPVCName]; claim != "" {
		info.PVCName, info.PVCNamespace = claim, asked.Spec.Pod.Namespace
	}
	if made == nil && err == nil {
		info.PodVolume.Phase = string(velerov1.PodVolumeRestorePhaseCompleted)
	}
	if made != nil {
		info.PodVolume.Pod, info.PodVolume.Phase = made.Spec.Pod.Name, string(made.Status.Phase)
	}
	f.info = append(f.info, info)
}

// endFiles waits for all volumes, if err, which ends the run, is nil, and makes the report of them.
func (r *run) endFiles(err error) {
	f := &r.files
	if f.end == nil {
		return
	}
	if err != nil {
		f.end(err)
	}
	close(f.pods)
	f.under.Wait()
	f.end(nil)
	for _, n := range f.notes {
		r.report.Errors = append(r.report.Errors, n)
		r.log.line("error", "%s", n.Text)
	}
	for _, n := range f.doubts {
		r.report.Warnings = append(r.report.Warnings, n)
		r.log.line("warning", "%s", n.Text)
	}
	r.volumes.info = append(r.volumes.info, f.info...)
}

// fillPod has volumes filled of a pod that waits for them.
func (r *run) fillPod(ctx context.Context, p waitingPod) {
	f := &r.files
	f.places <- struct{}{}
	defer func() { <-f.places }()
	var given []*velerov1.PodVolumeRestore
	for _, v := range p.own() {
		given = append(given, r.orderFill(v))
	}
	r.Files.Pod(ctx, p.ref.Namespace, p.ref.Name, given, func(i int, made *velerov1.PodVolumeRestore, err error) { r.filled(given[i], made, err) })
}

// own are the volumes of a pod that are no claims: they come and go with it.
func (s *saver) own() []*saved {
	return slices.DeleteFunc(slices.Clone(s.volumes), func(v *saved) bool { return v.claim != "" })
}
