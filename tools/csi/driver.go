// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"golang.org/x/sys/unix"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// driver has one folder for each volume.
type driver struct {
	csi.UnimplementedIdentityServer
	csi.UnimplementedNodeServer
	node    string
	folders string
}

func (d *driver) GetPluginInfo(context.Context, *csi.GetPluginInfoRequest) (*csi.GetPluginInfoResponse, error) {
	return &csi.GetPluginInfoResponse{Name: name, VendorVersion: "1"}, nil
}

func (d *driver) GetPluginCapabilities(context.Context, *csi.GetPluginCapabilitiesRequest) (*csi.GetPluginCapabilitiesResponse, error) {
	return &csi.GetPluginCapabilitiesResponse{}, nil
}

func (d *driver) Probe(context.Context, *csi.ProbeRequest) (*csi.ProbeResponse, error) {
	return &csi.ProbeResponse{}, nil
}

func (d *driver) NodeGetInfo(context.Context, *csi.NodeGetInfoRequest) (*csi.NodeGetInfoResponse, error) {
	return &csi.NodeGetInfoResponse{NodeId: d.node}, nil
}

func (d *driver) NodeGetCapabilities(context.Context, *csi.NodeGetCapabilitiesRequest) (*csi.NodeGetCapabilitiesResponse, error) {
	return &csi.NodeGetCapabilitiesResponse{}, nil
}

// attributeFiles says of which sort a volume's file system is; ephemeral is the kubelet's mark of volumes that go with their pod.
const (
	attributeFiles = "files"
	ephemeral      = "csi.storage.k8s.io/ephemeral"
)

// folder is that of a volume; the kubelet's names for volumes have no slashes, and it begins those that go with their pod with "csi-".
func (d *driver) folder(id string) (string, error) {
	if id == "" || strings.ContainsAny(id, "/\x00") || strings.HasPrefix(id, ".") {
		return "", status.Errorf(codes.InvalidArgument, "%q is no name of a volume", id)
	}
	return filepath.Join(d.folders, id), nil
}

// NodePublishVolume mounts a volume, which is made if it is not there.
func (d *driver) NodePublishVolume(_ context.Context, r *csi.NodePublishVolumeRequest) (*csi.NodePublishVolumeResponse, error) {
	folder, err := d.folder(r.VolumeId)
	if err != nil {
		return nil, err
	}
	if r.VolumeCapability.GetBlock() != nil {
		return nil, status.Error(codes.InvalidArgument, "there are no block devices")
	}
	if mounted(r.TargetPath) {
		return &csi.NodePublishVolumeResponse{}, nil
	}
	for _, dir := range []string{folder, r.TargetPath} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return nil, err
		}
	}
	switch files := r.VolumeContext[attributeFiles]; files {
	case "":
		err = unix.Mount(folder, r.TargetPath, "", unix.MS_BIND, "")
	case "ownerless", "plain":
		err = mountLossy(folder, r.TargetPath, files == "ownerless")
	default:
		err = status.Errorf(codes.InvalidArgument, "%s: %q is no sort of files", attributeFiles, files)
	}
	if err != nil {
		return nil, fmt.Errorf("mount %s at %s: %w", r.VolumeId, r.TargetPath, err)
	}
	if r.VolumeContext[ephemeral] == "true" {
		err = os.WriteFile(folder+".ephemeral", nil, 0o600)
	}
	return &csi.NodePublishVolumeResponse{}, err
}

// NodeUnpublishVolume takes the mount away, and what was to go with it.
func (d *driver) NodeUnpublishVolume(_ context.Context, r *csi.NodeUnpublishVolumeRequest) (*csi.NodeUnpublishVolumeResponse, error) {
	folder, err := d.folder(r.VolumeId)
	if err != nil {
		return nil, err
	}
	if err := unix.Unmount(r.TargetPath, unix.MNT_DETACH); err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOENT) {
		return nil, fmt.Errorf("unmount %s: %w", r.TargetPath, err)
	}
	if err := os.Remove(r.TargetPath); err != nil && !os.IsNotExist(err) {
		return nil, err
	}
	if _, err := os.Stat(folder + ".ephemeral"); err == nil {
		return &csi.NodeUnpublishVolumeResponse{}, errors.Join(os.RemoveAll(folder), os.Remove(folder+".ephemeral"))
	}
	return &csi.NodeUnpublishVolumeResponse{}, nil
}

// mounted reports whether a path is the root of a mount.
func mounted(path string) bool {
	var s unix.Statx_t
	err := unix.Statx(unix.AT_FDCWD, path, unix.AT_SYMLINK_NOFOLLOW, unix.STATX_TYPE, &s)
	return err == nil && s.Attributes&unix.STATX_ATTR_MOUNT_ROOT != 0
}
