// SPDX-License-Identifier: Apache-2.0

package backup_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"

	velerov1 "hozon.dev/hozon/api/velero/v1"
	"hozon.dev/hozon/internal/backup"
	"hozon.dev/hozon/internal/report"
	"hozon.dev/hozon/internal/store"
)

// orders takes what the engine asks for, and answers by the names of the volumes. Who really saves is package save, and the agents behind it.
type orders struct {
	mu  sync.Mutex
	all []*velerov1.PodVolumeBackup
}

func (o *orders) Save(_ context.Context, wanted []*velerov1.PodVolumeBackup, done func(int, *velerov1.PodVolumeBackup, error)) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.all = wanted
	for i, w := range wanted {
		made := w.DeepCopy()
		made.Name = "made-" + w.Spec.Volume
		switch w.Spec.Volume {
		case "none":
			done(i, nil, errors.New("there is no agent"))
		case "part":
			made.Status.Phase, made.Status.SnapshotID, made.Status.Message = velerov1.PodVolumeBackupPhaseFailed, "half", "one file is lost"
			done(i, made, errors.New("one file is lost"))
		default:
			made.Status.Phase, made.Status.SnapshotID = velerov1.PodVolumeBackupPhaseCompleted, "whole"
			done(i, made, nil)
		}
	}
}

const podsWithVolumes = `
apiVersion: v1
kind: ServiceAccount
metadata: {name: default, namespace: NS}
---
apiVersion: v1
kind: PersistentVolume
metadata: {name: NS-pv, labels: {kept: "yes"}}
spec:
  capacity: {storage: 1Gi}
  accessModes: [ReadWriteMany]
  nfs: {server: 192.0.2.1, path: /x}
  claimRef: {namespace: NS, name: data}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: data, namespace: NS}
spec: {accessModes: [ReadWriteMany], volumeName: NS-pv, resources: {requests: {storage: 1Gi}}}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: waits, namespace: NS}
spec: {accessModes: [ReadWriteMany], resources: {requests: {storage: 1Gi}}}
---
apiVersion: v1
kind: Pod
metadata: {name: one, namespace: NS, annotations: {backup.velero.io/backup-volumes: "data,none,part,waits,typo"}}
spec:
  nodeName: a
  containers: [{name: c, image: i, volumeMounts: [{name: data, mountPath: /1}, {name: none, mountPath: /2}, {name: part, mountPath: /3}, {name: waits, mountPath: /4}]}]
  volumes: [{name: data, persistentVolumeClaim: {claimName: data}}, {name: none, emptyDir: {}}, {name: part, emptyDir: {}}, {name: waits, persistentVolumeClaim: {claimName: waits}}]
---
apiVersion: v1
kind: Pod
metadata: {name: two, namespace: NS, annotations: {backup.velero.io/backup-volumes: "shared"}}
spec:
  nodeName: b
  containers: [{name: c, image: i, volumeMounts: [{name: shared, mountPath: /1}]}]
  volumes: [{name: shared, persistentVolumeClaim: {claimName: data}}]
`

func (w *world) volumes() {
	w.t.Helper()
	w.create(podsWithVolumes)
	for _, args := range [][]string{
		{"pvc/data", `{"status":{"phase":"Bound"}}`}, {"pod/one", `{"status":{"phase":"Running"}}`}, {"pod/two", `{"status":{"phase":"Running"}}`},
	} {
		if out, err := w.c.Kubectl(w.t.Context(), "-n", w.ns, "patch", args[0], "--subresource=status", "--type=merge", "-p", args[1]).CombinedOutput(); err != nil {
			w.t.Fatalf("%v: %s", err, out)
		}
	}
}

func errorTexts(r *report.Report) (errs, warnings string) {
	for _, n := range r.Errors {
		errs += n.Text + "\n"
	}
	for _, n := range r.Warnings {
		warnings += n.Text + "\n"
	}
	return errs, warnings
}

// TestFiles: what is asked for is what Velero asks for; what goes wrong with one volume is an error of that volume, and every record is kept.
func TestFiles(t *testing.T) {
	w := newWorld(t)
	w.volumes()
	o := &orders{}
	b := &velerov1.Backup{Spec: velerov1.BackupSpec{IncludedNamespaces: []string{w.ns}, StorageLocation: "far", UploaderConfig: &velerov1.UploaderConfigForBackup{ParallelFilesUpload: 3}}}
	b.Name, b.Namespace, b.UID = "b-"+w.ns, "velero", "u-1"
	got, err := w.engine.Run(t.Context(), b, backup.Options{Run: "run-1", Files: o})
	if err != nil {
		t.Fatal(err)
	}
	if len(o.all) != 3 {
		t.Fatalf("asked for %d volumes", len(o.all))
	}
	data := o.all[0]
	if data.Spec.Volume != "data" || data.Spec.Node != "a" || data.Spec.Pod.Name != "one" || data.Spec.Pod.UID == "" || data.Spec.BackupStorageLocation != "far" ||
		data.Spec.UploaderType != "kopia" || data.Annotations["velero.io/pvc-name"] != "data" || data.Labels["velero.io/backup-name"] != b.Name ||
		data.Labels["velero.io/backup-uid"] != "u-1" || data.Labels["velero.io/pvc-uid"] == "" || data.GenerateName != b.Name+"-" || data.Spec.UploaderSettings["ParallelFilesUpload"] != "3" ||
		len(data.OwnerReferences) != 1 || data.OwnerReferences[0].UID != "u-1" || !*data.OwnerReferences[0].Controller {
		t.Errorf("%+v", data)
	}
	for key, want := range map[string]string{
		"backup": b.Name, "backup-uid": "u-1", "ns": w.ns, "pod": "one", "pod-uid": string(data.Spec.Pod.UID), "volume": "data", "pvc-uid": data.Labels["velero.io/pvc-uid"],
	} {
		if data.Spec.Tags[key] != want {
			t.Errorf("tag %s is %q, want %q", key, data.Spec.Tags[key], want)
		}
	}
	errs, warnings := errorTexts(&got.Report)
	for _, want := range []string{
		"volume none of pod " + w.ns + "/one: its files are not saved: there is no agent", "volume part of pod " + w.ns + "/one: its files are not saved: one file is lost",
		"its claim waits is not bound (Pending)", "volume typo of pod " + w.ns + "/one (annotation backup.velero.io/backup-volumes): its files are not saved: the pod has no volume of that name",
	} {
		if !strings.Contains(errs, want) {
			t.Errorf("errors lack %q:\n%s", want, errs)
		}
	}
	if strings.Contains(warnings, "PersistentVolumeClaim data") || got.Backup.Status.Phase != velerov1.BackupPhasePartiallyFailed {
		t.Errorf("%s: %s", got.Backup.Status.Phase, warnings)
	}
	w.records(b.Name)
}

// records checks the files of the bucket.
func (w *world) records(name string) {
	w.t.Helper()
	var saved []velerov1.PodVolumeBackup
	if err := w.engine.Store.ReadJSON(w.t.Context(), store.Backup, name, store.PodVolumeBackups, &saved); err != nil {
		w.t.Fatal(err)
	}
	if len(saved) != 2 || saved[0].Name != "made-data" || saved[1].Status.SnapshotID != "half" {
		w.t.Errorf("recorded: %+v", saved)
	}
	var infos []store.BackedUpVolume
	if err := w.engine.Store.ReadJSON(w.t.Context(), store.Backup, name, store.VolumeInfo, &infos); err != nil {
		w.t.Fatal(err)
	}
	if len(infos) != 3 {
		w.t.Fatalf("volume infos: %+v", infos)
	}
	results := map[string]string{}
	for _, i := range infos {
		if i.PodVolume == nil || i.BackupMethod != store.MethodPodVolume || i.Skipped {
			w.t.Fatalf("%+v", i)
		}
		results[i.PodVolume.Volume] = i.Result + " " + i.PodVolume.Handle + " " + i.PVName
	}
	if results["data"] != "succeeded whole "+w.ns+"-pv" || results["part"] != "failed half " || results["none"] != "failed  " {
		w.t.Errorf("%q", results)
	}
}

// TestFilesByDefault: without an annotation, and without anybody who could read files.
func TestFilesByDefault(t *testing.T) {
	w := newWorld(t)
	w.volumes()
	yes := true
	b := &velerov1.Backup{Spec: velerov1.BackupSpec{IncludedNamespaces: []string{w.ns}, DefaultVolumesToFsBackup: &yes}}
	b.Name, b.UID = "d-"+w.ns, "u-2"
	o := &orders{}
	if _, err := w.engine.Run(t.Context(), b, backup.Options{Run: "run-2", Files: o}); err != nil {
		t.Fatal(err)
	}
	if len(o.all) != 3 {
		t.Errorf("asked for %d volumes", len(o.all))
	}
	b.Name = "n-" + w.ns
	got, err := w.engine.Run(t.Context(), b, backup.Options{Run: "run-3"})
	if err != nil {
		t.Fatal(err)
	}
	if _, warnings := errorTexts(&got.Report); !strings.Contains(warnings, "volume data of pod "+w.ns+"/one (the default for volumes of pods): its files are not saved: only the server") {
		t.Errorf("warnings: %s", warnings)
	}
}
