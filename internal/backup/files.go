// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"sync"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	velerov1 "hozon.dev/hozon/api/velero/v1"
	"hozon.dev/hozon/internal/collect"
	"hozon.dev/hozon/internal/object"
	"hozon.dev/hozon/internal/policy"
	"hozon.dev/hozon/internal/store"
)

// FileSaver has the files of volumes saved where they are mounted.
type FileSaver interface {
	// Save has volumes saved, side by side, and tells done of each, one at a time: its record as it ended, nil if nothing was begun, and why it is not saved. It
	// returns when done was told of all; when ctx ends, that is soon.
	Save(ctx context.Context, wanted []*velerov1.PodVolumeBackup, done func(i int, made *velerov1.PodVolumeBackup, err error))
}

// uploader is what saves files.
const uploader = velerov1.RepositoryTypeKopia

// podFiles is a pod whose volumes may be chosen.
type podFiles struct {
	policy.Pod
	uid, node string
}

// files are the volumes that are saved file by file, in the order in which it is filled.
type files struct {
	wanted []*velerov1.PodVolumeBackup
	last   map[string]int // "namespace/pod" → how many of its volumes are not over
	over   map[string]chan struct{}
	end    context.CancelCauseFunc
	ended  chan struct{} // closed when all are over; nil: nothing was begun

	mu       sync.Mutex
	made     []*velerov1.PodVolumeBackup // of each of wanted; nil: nothing was begun
	problems []error                     // of each of wanted
}

// byFiles says whether volumes that no pod names are saved file by file.
func (r *run) byFiles() bool {
	s := r.backup.Spec
	yes := func(b *bool) bool { return b != nil && *b }
	return yes(s.DefaultVolumesToFsBackup) || yes(s.DefaultVolumesToRestic)
}

// keepPod remembers a pod whose volumes may be chosen. One that cannot be decoded is saved like any other object.
func (s *sink) keepPod(it collect.Item) {
	if !s.wantPods && !bytes.Contains(it.Body, []byte(velerov1.AnnotationBackupVolumes)) {
		return
	}
	p, err := policy.ReadPod(it.Body)
	if err != nil || len(p.Volumes) == 0 {
		return
	}
	var more struct {
		Metadata struct {
			UID string `json:"uid"`
		} `json:"metadata"`
		Spec struct {
			Node string `json:"nodeName"`
		} `json:"spec"`
		Status struct {
			Phase corev1.PodPhase `json:"phase"`
		} `json:"status"`
	}
	if json.Unmarshal(it.Body, &more) != nil || more.Status.Phase == corev1.PodSucceeded || more.Status.Phase == corev1.PodFailed {
		return // what has ended has its volumes no more
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pods = append(s.pods, podFiles{p, more.Metadata.UID, more.Spec.Node})
}

// chooseFiles decides which volumes of the pods are saved file by file. Those that cannot be are in the report.
func (r *run) chooseFiles() {
	r.files = files{}
	if len(r.sink.pods) == 0 || r.source != nil {
		return
	}
	bound := map[string]*volume{} // "namespace/claim"
	for i := range r.sink.volumes {
		if c := r.sink.volumes[i].Spec.ClaimRef; c != nil {
			bound[c.Namespace+"/"+c.Name] = &r.sink.volumes[i]
		}
	}
	from := policy.Files{All: r.byFiles(), Claimed: func(namespace, name string) (policy.Volume, bool) {
		c, ok := r.sink.claims[namespace+"/"+name]
		if !ok {
			return policy.Volume{}, false
		}
		var facts policy.Volume
		if v := bound[namespace+"/"+name]; v != nil {
			facts = v.facts
		}
		facts.Claim = c.Claim
		return facts, true
	}}
	slices.SortFunc(r.sink.pods, func(a, b podFiles) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
	takers := map[string]string{} // "namespace/claim" → the pod by which it is saved
	for _, p := range r.sink.pods {
		for _, c := range r.policies.Choose(p.Pod, from) {
			if c.Files {
				r.chooseFile(p, c, bound[p.Namespace+"/"+c.Claim], takers)
			}
		}
	}
}

// chooseFile takes one volume in, or says why it cannot be.
func (r *run) chooseFile(p podFiles, c policy.Choice, v *volume, takers map[string]string) {
	id := p.Namespace + "/" + c.Claim
	claim := r.sink.claims[id]
	if c.Claim != "" && c.Problem == "" {
		switch by, taken := takers[id]; {
		case taken:
			r.log.info("a volume of several pods is saved once", "pod", p.Namespace+"/"+p.Name, "volume", c.Volume, "by", by)
			return
		case claim.Phase != string(corev1.ClaimBound):
			c.Problem = fmt.Sprintf("its claim %s is not bound (%s): it has no files yet", c.Claim, cmp.Or(claim.Phase, "no phase"))
		}
	}
	name := fmt.Sprintf("volume %s of pod %s/%s", c.Volume, p.Namespace, p.Name)
	if c.Problem != "" {
		if v != nil {
			v.unread = c.Problem
		}
		text := fmt.Sprintf("%s (%s): its files are not saved: %s", name, c.Why, c.Problem)
		if asked := c.Action == policy.FSBackup || !r.byFiles(); asked && p.Running {
			r.report.Err(p.Namespace, "%s; have it saved in another way, and do not ask for its files", text)
			r.log.err(text)
			return
		}
		r.report.Warn(p.Namespace, "%s", text)
		return
	}
	if c.Claim != "" {
		takers[id] = p.Name
	}
	if v != nil {
		v.files = true
	}
	if r.options.Files == nil {
		r.report.Warn(p.Namespace, "%s (%s): its files are not saved: only the server in the cluster has node agents that read them", name, c.Why)
		if v != nil {
			v.files, v.unread = false, "only the server in the cluster has node agents that read its files"
		}
		return
	}
	r.files.wanted = append(r.files.wanted, r.order(p, c, claim.uid))
}

// order is what is asked of the agent of a pod's node.
func (r *run) order(p podFiles, c policy.Choice, claimUID string) *velerov1.PodVolumeBackup {
	b := r.backup
	out := &velerov1.PodVolumeBackup{
		ObjectMeta: metav1.ObjectMeta{
			GenerateName: b.Name + "-",
			Labels:       map[string]string{velerov1.LabelBackupName: velerov1.LabelValue(b.Name), velerov1.LabelBackupUID: string(b.UID)},
			Annotations:  map[string]string{},
			OwnerReferences: []metav1.OwnerReference{{
				APIVersion: velerov1.APIVersion, Kind: "Backup", Name: b.Name, UID: b.UID, Controller: new(true),
			}},
		},
		Spec: velerov1.PodVolumeBackupSpec{
			Node: p.node, Pod: corev1.ObjectReference{Kind: "Pod", Namespace: p.Namespace, Name: p.Name, UID: types.UID(p.uid)},
			Volume: c.Volume, BackupStorageLocation: b.Spec.StorageLocation, UploaderType: uploader,
			Tags: map[string]string{
				"backup": b.Name, "backup-uid": string(b.UID), "pod": p.Name, "pod-uid": p.uid, "ns": p.Namespace, "volume": c.Volume,
			},
		},
	}
	if c.Claim != "" {
		out.Annotations[velerov1.AnnotationPVCName] = c.Claim
		out.Labels[velerov1.LabelPVCUID], out.Spec.Tags["pvc-uid"] = claimUID, claimUID
	}
	if u := b.Spec.UploaderConfig; u != nil && u.ParallelFilesUpload > 0 {
		out.Spec.UploaderSettings = map[string]string{"ParallelFilesUpload": strconv.Itoa(u.ParallelFilesUpload)}
	}
	return out
}

// beginFiles has the files saved, beside all else. The post hooks of a pod wait for its own volumes only.
func (r *run) beginFiles(ctx context.Context) {
	f := &r.files
	if len(f.wanted) == 0 {
		return
	}
	f.made, f.problems = make([]*velerov1.PodVolumeBackup, len(f.wanted)), make([]error, len(f.wanted))
	f.last, f.over, f.ended = map[string]int{}, map[string]chan struct{}{}, make(chan struct{})
	for _, w := range f.wanted {
		id := w.Spec.Pod.Namespace + "/" + w.Spec.Pod.Name
		f.last[id]++
		if f.over[id] == nil {
			f.over[id] = make(chan struct{})
		}
	}
	ctx, f.end = context.WithCancelCause(ctx)
	go func() {
		defer close(f.ended)
		r.options.Files.Save(ctx, f.wanted, r.fileDone)
	}()
}

func (r *run) fileDone(i int, made *velerov1.PodVolumeBackup, err error) {
	f := &r.files
	f.mu.Lock()
	defer f.mu.Unlock()
	f.made[i], f.problems[i] = made, err
	id := f.wanted[i].Spec.Pod.Namespace + "/" + f.wanted[i].Spec.Pod.Name
	if f.last[id]--; f.last[id] == 0 {
		close(f.over[id])
	}
}

// awaitFiles waits for the volumes of one pod.
func (r *run) awaitFiles(id string) {
	if over := r.files.over[id]; over != nil {
		<-over
	}
}

// dropFiles ends what is under way for a run that came to nothing. What was saved is forgotten by whoever knows the repositories.
func (r *run) dropFiles(cause error) {
	if r.files.ended != nil {
		r.files.end(cause)
		<-r.files.ended
	}
}

// tellFiles waits for the files, and makes the report of them. What is wrong with one volume is that volume's.
func (r *run) tellFiles(ctx context.Context) error {
	f := &r.files
	if f.ended == nil {
		return nil
	}
	r.Observe.Step("Saving the files of volumes")
	<-f.ended
	f.end(nil)
	if err := context.Cause(ctx); err != nil {
		return err
	}
	for i, w := range f.wanted {
		name := fmt.Sprintf("volume %s of pod %s/%s", w.Spec.Volume, w.Spec.Pod.Namespace, w.Spec.Pod.Name)
		made := f.made[i]
		switch err := f.problems[i]; {
		case err != nil:
			r.report.Err(w.Spec.Pod.Namespace, "%s: its files are not saved: %v", name, err)
			r.log.err(fmt.Sprintf("%s: its files are not saved: %v", name, err))
		case made.Status.SnapshotID != "" && made.Status.Message != "":
			r.report.Warn(w.Spec.Pod.Namespace, "%s: %s", name, made.Status.Message)
		default:
			r.log.info("files of a volume saved", "pod", w.Spec.Pod.Namespace+"/"+w.Spec.Pod.Name, "volume", w.Spec.Volume,
				"snapshot", made.Status.SnapshotID, "bytes", made.Status.Progress.TotalBytes, "new", made.Status.IncrementalBytes)
		}
	}
	return nil
}

// records are the PodVolumeBackups, for the backup's list of them.
func (f *files) records() []*velerov1.PodVolumeBackup {
	out := []*velerov1.PodVolumeBackup{}
	for _, made := range f.made {
		if made != nil {
			own := *made
			own.TypeMeta, own.ManagedFields = metav1.TypeMeta{}, nil
			out = append(out, &own)
		}
	}
	return out
}

// fileInfos has a record for each volume that was saved file by file, or should have been. volumes are those of claims, by the claim.
func (r *run) fileInfos(volumes map[string]*volume) []store.BackedUpVolume {
	var infos []store.BackedUpVolume
	for i, w := range r.files.wanted {
		info := store.BackedUpVolume{BackupMethod: store.MethodPodVolume, Result: store.ResultFailed}
		if claim := w.Annotations[velerov1.AnnotationPVCName]; claim != "" {
			info.PVCName, info.PVCNamespace = claim, w.Spec.Pod.Namespace
			if v := volumes[info.PVCNamespace+"/"+claim]; v != nil {
				info.PVName, info.PVInfo = v.Metadata.Name, &store.PVInfo{ReclaimPolicy: v.Spec.ReclaimPolicy, Labels: v.Metadata.Labels}
			}
		}
		info.PodVolume = &store.PodVolume{
			Uploader: w.Spec.UploaderType, Volume: w.Spec.Volume, Pod: w.Spec.Pod.Name, Namespace: w.Spec.Pod.Namespace, Node: w.Spec.Node,
			Phase: string(velerov1.PodVolumeBackupPhaseFailed),
		}
		if made := r.files.made[i]; made != nil {
			st := made.Status
			info.Start, info.Completion = st.StartTimestamp, st.CompletionTimestamp
			info.PodVolume.Handle, info.PodVolume.Size, info.PodVolume.New, info.PodVolume.Phase = st.SnapshotID, st.Progress.TotalBytes, st.IncrementalBytes, string(st.Phase)
			if st.Phase == velerov1.PodVolumeBackupPhaseCompleted {
				info.Result = store.ResultSucceeded
			}
		}
		infos = append(infos, info)
	}
	return infos
}

// claim is what is remembered of a claim.
type claim struct {
	policy.Claim
	uid string
}

// keepClaim remembers what policies ask of a claim. One that cannot be decoded fits no condition about claims.
func (s *sink) keepClaim(it collect.Item) {
	c, err := policy.ReadClaim(it.Body)
	if err != nil {
		return
	}
	head, err := object.Scan(it.Body)
	if err != nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.claims == nil {
		s.claims = map[string]claim{}
	}
	s.claims[it.Ref.ID()] = claim{c, head.UID}
}
