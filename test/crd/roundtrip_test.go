// SPDX-License-Identifier: Apache-2.0

package crd

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// through decodes an object into our type, copies it deeply, and encodes the copy.
func through(t *testing.T, s *runtime.Scheme, o tree) tree {
	t.Helper()
	group, version, _ := strings.Cut(o["apiVersion"].(string), "/")
	typed, err := s.New(schema.GroupVersionKind{Group: group, Version: version, Kind: o["kind"].(string)})
	if err != nil {
		t.Fatal(err)
	}
	dec := json.NewDecoder(strings.NewReader(string(encode(t, o))))
	dec.DisallowUnknownFields()
	if err := dec.Decode(typed); err != nil {
		t.Fatal(err)
	}
	twin := typed.DeepCopyObject()
	if diff := cmp.Diff(typed, twin); diff != "" {
		t.Errorf("the deep copy differs:\n%s", diff)
	}
	return parse(t, encode(t, twin))
}

// TestRoundTrip sends what the real program wrote through our types: nothing is lost, nothing added.
func TestRoundTrip(t *testing.T) {
	s := scheme(t)
	seen := map[any]int{}
	for file, o := range written(t) {
		seen[o["kind"]]++
		if diff := cmp.Diff(parse(t, encode(t, o)), through(t, s, o)); diff != "" {
			t.Errorf("%s (- Velero, + ours):\n%s", file, diff)
		}
	}
	for kind, least := range map[string]int{
		"Backup": 30, "PodVolumeBackup": 6, "Restore": 8, "Schedule": 4, "BackupStorageLocation": 6, "VolumeSnapshotLocation": 1,
		"DeleteBackupRequest": 6, "DownloadRequest": 4, "ServerStatusRequest": 4,
	} {
		if seen[kind] < least {
			t.Errorf("%d objects of kind %s were found, not %d", seen[kind], kind, least)
		}
	}
}

// TestEveryField does the same with objects in which each field that the CRDs know has a value.
func TestEveryField(t *testing.T) {
	s := scheme(t)
	for kind, crd := range kinds(t) {
		o := full(crd)
		if diff := cmp.Diff(o, through(t, s, o)); diff != "" {
			t.Errorf("%s (- schema, + ours):\n%s", kind, diff)
		}
	}
}

// TestLists wants a list kind for each kind, with the items in it.
func TestLists(t *testing.T) {
	s := scheme(t)
	for kind, crd := range kinds(t) {
		o := full(crd)
		list := tree{"apiVersion": o["apiVersion"], "kind": crd.Spec.Names.ListKind, "metadata": tree{"resourceVersion": "7"}, "items": []any{o}}
		if diff := cmp.Diff(list, through(t, s, list)); diff != "" {
			t.Errorf("%s (- schema, + ours):\n%s", kind, diff)
		}
	}
	if known := len(s.KnownTypes(schema.GroupVersion{Group: "velero.io", Version: "v1"})); known < 22 {
		t.Errorf("the scheme knows %d types of v1", known)
	}
}

// TestEmpty pins what an object that nobody filled in looks like: Velero writes the same.
func TestEmpty(t *testing.T) {
	s := scheme(t)
	for kind, want := range map[string]string{
		"Backup":           `{"spec":{"metadata":{},"ttl":"0s","hooks":{},"csiSnapshotTimeout":"0s","itemOperationTimeout":"0s"},"status":{}}`,
		"Restore":          `{"spec":{"hooks":{},"itemOperationTimeout":"0s"},"status":{}}`,
		"Schedule":         `{"spec":{"template":{"metadata":{},"ttl":"0s","hooks":{},"csiSnapshotTimeout":"0s","itemOperationTimeout":"0s"},"schedule":""},"status":{}}`,
		"BackupRepository": `{"spec":{"volumeNamespace":"","backupStorageLocation":"","repositoryType":"","maintenanceFrequency":"0s"},"status":{}}`,
		"PodVolumeBackup":  `{"spec":{"node":"","pod":{},"volume":"","backupStorageLocation":"","repoIdentifier":"","uploaderType":""},"status":{"progress":{}}}`,
	} {
		typed, err := s.New(schema.GroupVersionKind{Group: "velero.io", Version: "v1", Kind: kind})
		if err != nil {
			t.Fatal(err)
		}
		got := parse(t, encode(t, typed))
		delete(got, "metadata")
		if diff := cmp.Diff(parse(t, []byte(want)), got); diff != "" {
			t.Errorf("%s (- Velero, + ours):\n%s", kind, diff)
		}
	}
}
