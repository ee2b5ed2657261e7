// SPDX-License-Identifier: Apache-2.0

package dir

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"syscall"

	"hozon.dev/hozon/internal/blob"
	"hozon.dev/hozon/internal/fail"
)

// Put implements blob.Bucket.
func (b *Bucket) Put(ctx context.Context, key string, r io.Reader, opts blob.PutOptions) (int64, error) {
	n, err := b.put(ctx, key, r, opts)
	if err != nil {
		return 0, fmt.Errorf("put %s: %w", key, err)
	}
	return n, nil
}

func (b *Bucket) put(ctx context.Context, key string, r io.Reader, opts blob.PutOptions) (n int64, err error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	if err := checkKey(key); err != nil {
		return 0, err
	}
	at, err := b.locate(key)
	switch {
	case err != nil:
		return 0, err
	case at.dir:
		return 0, errIsFolder
	case at.blocked != "":
		return 0, fail.Errorf(fail.Invalid, "%s is an object in %s, so no other can lie below it", at.blocked, b)
	case at.info != nil && opts.IfAbsent:
		return 0, b.exists()
	}
	f, temp, err := b.createTemp(key)
	if err != nil {
		return 0, err
	}
	defer func() {
		f.Close() // a second time if all went well
		if err != nil {
			b.discard(temp)
		}
	}()
	n, source, sink := blob.Copy(ctx, f, r)
	if source != nil {
		return 0, source
	}
	if sink != nil {
		return 0, classify(sink)
	}
	return n, b.commit(f, temp, key, opts)
}

var errIsFolder = fail.Errorf(fail.Invalid, "the path of this key is a folder, so it cannot be an object")

func (b *Bucket) exists() error {
	return fail.Errorf(fail.Exists, "the object exists already in %s", b)
}

// createTemp makes the folders of key and a new file in the last of them. A Delete beside us may remove the
// folders while they are empty: then all is done again.
func (b *Bucket) createTemp(key string) (*os.File, string, error) {
	parent := folder(key)
	for attempt := 0; ; attempt++ {
		temp := tempPrefix + rand.Text()
		if parent != "." {
			temp = parent + "/" + temp
		}
		err := b.makeFolders(parent)
		if err == nil {
			var f *os.File
			if f, err = b.root.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, fileMode); err == nil {
				return f, temp, nil
			}
		}
		if !errors.Is(err, fs.ErrNotExist) {
			b.prune(parent)
			return nil, "", classify(err)
		}
		if attempt == 1000 {
			return nil, "", fail.Errorf(fail.NotFound, "the folder of %s is gone: %w", b, err)
		}
	}
}

func (b *Bucket) makeFolders(path string) error {
	if path == "." {
		return nil
	}
	for i := 0; i <= len(path); i++ {
		if i < len(path) && path[i] != '/' {
			continue
		}
		if err := b.root.Mkdir(path[:i], dirMode); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	return nil
}

// commit makes the temporary file the object, durably.
func (b *Bucket) commit(f *os.File, temp, key string, opts blob.PutOptions) error {
	if err := f.Sync(); err != nil {
		return classify(err)
	}
	if err := f.Close(); err != nil {
		return classify(err)
	}
	if err := b.move(temp, key, opts.IfAbsent); err != nil {
		return err
	}
	return classify(b.syncUp(folder(key)))
}

// move puts temp in the place of key in one step.
func (b *Bucket) move(temp, key string, ifAbsent bool) error {
	if !ifAbsent {
		err := b.root.Rename(temp, key)
		if errors.Is(err, syscall.EISDIR) || errors.Is(err, fs.ErrExist) {
			return errIsFolder
		}
		return classify(err)
	}
	err := b.root.Link(temp, key)
	if err == nil {
		_ = b.root.Remove(temp) // the object is there; a second name that stays is stale later
		return nil
	}
	if isAny(err, syscall.EPERM, syscall.ENOTSUP, syscall.ENOSYS, syscall.EMLINK) {
		err = b.renameNoReplace(temp, key)
	}
	switch {
	case errors.Is(err, fs.ErrExist):
		return b.exists()
	case isAny(err, syscall.EINVAL, syscall.ENOTSUP, syscall.ENOSYS):
		return fail.Errorf(fail.Unsupported, "the file system of %s cannot create a file only if it is absent: %w", b, err)
	}
	return classify(err)
}

func isAny(err error, targets ...syscall.Errno) bool {
	for _, target := range targets {
		if errors.Is(err, target) {
			return true
		}
	}
	return false
}

// syncUp syncs path and every folder above it up to the root. All of them, because any may have been made by this Put or by one beside it that
// has not come to its own sync yet; a folder without changes costs next to nothing.
func (b *Bucket) syncUp(path string) error {
	for {
		f, err := b.root.Open(path)
		if err == nil {
			err = syncFolder(f)
		}
		if err != nil {
			return err
		}
		if path == "." {
			return nil
		}
		path = folder(path)
	}
}

// syncFolder syncs and closes f. Some network file systems cannot sync a folder, and say so.
func syncFolder(f *os.File) error {
	defer f.Close()
	if err := f.Sync(); err != nil && !isAny(err, syscall.EINVAL, syscall.ENOTSUP, syscall.ENOSYS) {
		return err
	}
	return nil
}

// discard removes a temporary file, and its folder if nothing else is in it. What cannot be removed now is stale later.
func (b *Bucket) discard(temp string) {
	_ = b.root.Remove(temp)
	b.prune(folder(temp))
}

// prune removes path and the folders above it as long as they are empty.
func (b *Bucket) prune(path string) {
	for path != "." && b.removeFolder(path) == nil {
		path = folder(path)
	}
}

// Delete implements blob.Bucket.
func (b *Bucket) Delete(ctx context.Context, key string) error {
	if err := b.remove(ctx, key); err != nil {
		return fmt.Errorf("delete %s: %w", key, err)
	}
	return nil
}

func (b *Bucket) remove(ctx context.Context, key string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := checkKey(key); err != nil {
		return err
	}
	at, err := b.locate(key)
	if err != nil || at.dir || at.blocked != "" {
		return err
	}
	if at.info != nil {
		if err := b.root.Remove(key); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return classify(err)
		}
		// The order of deletions must survive a crash: a backup loses its commit record first.
		if err := b.syncUp(folder(key)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return classify(err)
		}
	}
	b.prune(folder(key))
	return nil
}

// leaf returns the last element of path.
func leaf(path string) string { return path[strings.LastIndexByte(path, '/')+1:] }
