// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/sirupsen/logrus"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
)

// driver is that of the volumes that are ours; their handles are folders of root/volumes.
const driver = "disk.example.test"

// snapshotter keeps volumes in root/volumes and snapshots, with their tags, in root/snapshots. Files hold-PLACE-VOLUME in root make it wait.
type snapshotter struct {
	log  logrus.FieldLogger
	root string
}

func (s *snapshotter) Init(config map[string]string) error {
	s.root = config["root"]
	mayDie(s.root)
	if s.root == "" {
		return errors.New("config has no root")
	}
	return os.MkdirAll(filepath.Join(s.root, "snapshots"), 0o700)
}

func (s *snapshotter) volume(id string) string   { return filepath.Join(s.root, "volumes", id) }
func (s *snapshotter) snapshot(id string) string { return filepath.Join(s.root, "snapshots", id) }

func (s *snapshotter) GetVolumeID(pv runtime.Unstructured) (string, error) {
	mayDie(s.root)
	csi, _, err := unstructured.NestedMap(pv.UnstructuredContent(), "spec", "csi")
	if err != nil || csi["driver"] != driver {
		return "", err
	}
	id, _ := csi["volumeHandle"].(string)
	s.hold("look", id)
	return id, nil
}

func (s *snapshotter) SetVolumeID(pv runtime.Unstructured, id string) (runtime.Unstructured, error) {
	mayDie(s.root)
	return pv, unstructured.SetNestedField(pv.UnstructuredContent(), id, "spec", "csi", "volumeHandle")
}

func (s *snapshotter) GetVolumeInfo(id, zone string) (string, *int64, error) {
	mayDie(s.root)
	if _, err := os.Stat(s.volume(id)); err != nil {
		return "", nil, fmt.Errorf("volume %s in zone %q: %w", id, zone, err)
	}
	iops := int64(300)
	return "fast", &iops, nil
}

func (s *snapshotter) CreateSnapshot(id, zone string, tags map[string]string) (string, error) {
	mayDie(s.root)
	if strings.HasPrefix(id, "broken") {
		return "", fmt.Errorf("the disk %s is on fire", id)
	}
	name := free(s.snapshot, "snap-"+id+"-"+tags["velero.io/backup"])
	if err := os.CopyFS(s.snapshot(name), os.DirFS(s.volume(id))); err != nil {
		return "", err
	}
	text, err := json.Marshal(tags)
	if err != nil {
		return "", err
	}
	err = os.WriteFile(s.snapshot(name)+".tags", text, 0o600)
	s.hold("made", id)
	return name, err
}

// free is a name that nothing at its path has yet.
func free(path func(string) string, name string) string {
	out := name
	for n := 2; ; n++ {
		if _, err := os.Stat(path(out)); err != nil {
			return out
		}
		out = fmt.Sprintf("%s-%d", name, n)
	}
}

// hold waits at a place for as long as there is a file hold-PLACE-VOLUME. It says that it waits by a file held-PLACE-VOLUME.
func (s *snapshotter) hold(place, id string) {
	name := filepath.Join(s.root, "hold-"+place+"-"+id)
	for {
		if _, err := os.Stat(name); err != nil {
			return
		}
		_ = os.WriteFile(filepath.Join(s.root, "held-"+place+"-"+id), nil, 0o600)
		time.Sleep(10 * time.Millisecond)
	}
}

func (s *snapshotter) CreateVolumeFromSnapshot(snapshot, kind, zone string, iops *int64) (string, error) {
	mayDie(s.root)
	if kind != "fast" || iops == nil || *iops != 300 {
		return "", fmt.Errorf("a volume of type %q with IOPS %v was asked for", kind, iops)
	}
	id := free(s.volume, "from-"+snapshot)
	return id, os.CopyFS(s.volume(id), os.DirFS(s.snapshot(snapshot)))
}

func (s *snapshotter) DeleteSnapshot(id string) error {
	mayDie(s.root)
	if err := os.Remove(s.snapshot(id) + ".tags"); err != nil && !os.IsNotExist(err) { // one that is gone is no error, as with those of the clouds
		return err
	}
	return os.RemoveAll(s.snapshot(id))
}
