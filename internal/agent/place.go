// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"hozon.dev/hozon/internal/fail"
)

// Place is where the volumes of a node's pods are, as this process sees them.
type Place struct {
	Pods string // the kubelet's folder of pods
	Root string // the node's own root, for hostPath volumes; empty: not seen
}

// csiPlugin is the kubelet's name for volumes of CSI drivers, which are mounted one folder deeper.
const csiPlugin = "kubernetes.io~csi"

// spot says which volume of a pod is meant, as far as the kubelet's folders go.
type spot struct {
	pod     types.UID
	name    string // of the folder: the volume's, or the PersistentVolume's
	mounted bool   // something must be mounted there
	host    string // path on the node instead of all this
}

// folder is an open volume. Close it: while it is open the volume stays mounted.
type folder struct {
	*os.File
	shown string // for people
}

// path is for opening what is inside. It stays good whatever happens to the names that led here.
func (f *folder) path() string { return fdPath(f.File) + "/." }

// explain is err with the folder by its name, where it says how it was reached.
func (f *folder) explain(err error) error {
	if err == nil || !strings.Contains(err.Error(), fdPath(f.File)) {
		return err
	}
	text := strings.NewReplacer(f.path(), f.shown, fdPath(f.File), f.shown).Replace(err.Error())
	return explained{err, text}
}

type explained struct {
	error
	text string
}

func (e explained) Error() string { return e.text }
func (e explained) Unwrap() error { return e.error }

func (p Place) open(s spot) (*folder, error) {
	if s.host != "" {
		return p.openHost(s.host)
	}
	if uid := string(s.pod); uid == "" || strings.ContainsAny(uid, "/.") {
		return nil, fail.Errorf(fail.Invalid, "%q is not the UID of a pod", uid)
	}
	volumes := filepath.Join(p.Pods, string(s.pod), "volumes")
	plugins, err := os.ReadDir(volumes)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fail.Errorf(fail.NotFound, "the node has no volumes of this pod at %s: if the kubelet's folder is elsewhere, say so with `hozon install --kubelet-root-dir`", volumes)
	} else if err != nil {
		return nil, err
	}
	var found []string
	for _, plugin := range plugins {
		path := filepath.Join(volumes, plugin.Name(), s.name)
		if _, err := os.Lstat(path); err != nil {
			continue
		}
		if plugin.Name() == csiPlugin {
			path = filepath.Join(path, "mount")
		}
		found = append(found, path)
	}
	switch len(found) {
	case 0:
		return nil, fail.Errorf(fail.NotFound, "the node has no folder %s/*/%s: no container of the pod has mounted the volume", volumes, s.name)
	case 1:
		return openFolder(found[0], s.mounted)
	}
	return nil, fail.Errorf(fail.Invalid, "the node has several folders for the volume: %s", strings.Join(found, ", "))
}

// excluded are sources whose content is made of other objects, which the backup has by themselves.
func excluded(v *corev1.Volume) string {
	switch {
	case v.Secret != nil:
		return "a Secret"
	case v.ConfigMap != nil:
		return "a ConfigMap"
	case v.Projected != nil:
		return "projected"
	case v.DownwardAPI != nil:
		return "of the downward API"
	case v.Image != nil:
		return "an image"
	}
	return ""
}

// inline is the spot of a volume that is defined in the pod itself.
func inline(pod *corev1.Pod, v *corev1.Volume) spot {
	if v.HostPath != nil {
		return spot{host: v.HostPath.Path}
	}
	onDisk := v.EmptyDir != nil && v.EmptyDir.Medium == corev1.StorageMediumDefault
	return spot{pod: pod.UID, name: v.Name, mounted: !onDisk}
}

// bound is the spot of a claim's volume.
func bound(pod *corev1.Pod, volume *corev1.PersistentVolume) spot {
	if volume.Spec.HostPath != nil {
		return spot{host: volume.Spec.HostPath.Path}
	}
	return spot{pod: pod.UID, name: volume.Name, mounted: true}
}
