// SPDX-License-Identifier: Apache-2.0

package location

import (
	"os"
	"path/filepath"

	"hozon.dev/hozon/internal/blob"
	"hozon.dev/hozon/internal/blob/dir"
	"hozon.dev/hozon/internal/fail"
)

// file opens the folder fspath/bucket/prefix. The bucket's folder has to exist, as buckets have to: when the volume is not mounted, nothing
// may be written to the folder below it. The prefix is made.
func (p *place) file() (blob.Bucket, error) {
	if err := p.know("fspath"); err != nil {
		return nil, err
	}
	root := p.of["fspath"]
	if !filepath.IsAbs(root) {
		return nil, fail.Errorf(fail.Invalid, "config.fspath must be the absolute path of the mounted volume, not %q", root)
	}
	if err := blob.CheckKey(p.bucket); err != nil {
		return nil, fail.Errorf(fail.Invalid, "spec.objectStorage.bucket: %w", err)
	}
	folder := filepath.Join(root, p.bucket)
	b, err := dir.Open(folder, false)
	if fail.Is(err, fail.NotFound) {
		return nil, fail.Errorf(fail.NotFound, "there is no folder %s: mount the volume at %s, and create folder %s in it, as a bucket has to be created", folder, root, p.bucket)
	}
	if err != nil {
		return nil, err
	}
	if p.prefix == "" {
		return b, nil
	}
	folder = filepath.Join(folder, filepath.FromSlash(p.prefix))
	if !p.readOnly {
		if err := os.MkdirAll(folder, 0o700); err != nil {
			return nil, fail.Errorf(fail.Invalid, "make the folder of spec.objectStorage.prefix: %w", err)
		}
	}
	if b, err = dir.Open(folder, false); err != nil {
		return nil, err
	}
	return b, nil
}
