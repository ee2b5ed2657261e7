// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// mountLossy mounts a folder by a file system that loses owners, or that has no extended attributes.
func mountLossy(folder, target string, ownerless bool) error {
	var stat syscall.Stat_t
	if err := syscall.Stat(folder, &stat); err != nil {
		return err
	}
	root := &fs.LoopbackRoot{Path: folder, Dev: uint64(stat.Dev)}
	if ownerless {
		root.NewNode = func(r *fs.LoopbackRoot, _ *fs.Inode, _ string, _ *syscall.Stat_t) fs.InodeEmbedder {
			return &ownerlessNode{fs.LoopbackNode{RootData: r}}
		}
	}
	top := fs.InodeEmbedder(&fs.LoopbackNode{RootData: root})
	if root.NewNode != nil {
		top = root.NewNode(root, nil, "", &stat)
	}
	root.RootNode = top
	_, err := fs.Mount(target, top, &fs.Options{MountOptions: fuse.MountOptions{
		Name: "lossy", FsName: name, AllowOther: true, DirectMountStrict: true, DisableXAttrs: !ownerless,
	}})
	return err
}

// ownerlessNode takes owners and forgets them, as shares of other systems do.
type ownerlessNode struct{ fs.LoopbackNode }

func (n *ownerlessNode) Setattr(ctx context.Context, f fs.FileHandle, in *fuse.SetAttrIn, out *fuse.AttrOut) syscall.Errno {
	const owners = fuse.FATTR_UID | fuse.FATTR_GID
	if in.Valid&owners == 0 {
		return n.LoopbackNode.Setattr(ctx, f, in, out)
	}
	less := *in
	if less.Valid &^= owners; less.Valid == 0 {
		return n.Getattr(ctx, f, out)
	}
	return n.LoopbackNode.Setattr(ctx, f, &less, out)
}
