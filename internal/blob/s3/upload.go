// SPDX-License-Identifier: Apache-2.0

package s3

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/minio/minio-go/v7"

	"hozon.dev/hozon/internal/blob"
	"hozon.dev/hozon/internal/fail"
)

// Uploads is where a store of Hozon keeps the records of multipart uploads; see Config.Uploads and doc/format.md.
const Uploads = "metadata/hozon/uploads/"

const (
	// stale uploads have begun so long ago that nobody can be at them any more.
	stale     = 7 * 24 * time.Hour
	maxRecord = 8 << 10
)

// record says that an upload has begun. It is stored before the first part, and removed when the upload has ended either way. What a dead process
// leaves behind can so be found with the rights that Velero's policy gives, in which s3:ListBucketMultipartUploads is missing.
type record struct {
	Key    string `json:"key"` // the object's full name in the bucket
	Upload string `json:"upload"`
}

// begin starts an upload and records it. forget removes the record.
func (p put) begin(ctx context.Context) (upload string, forget func(context.Context), err error) {
	p.b.sweepOnce(ctx)
	upload, err = p.b.core.NewMultipartUpload(ctx, p.b.bucket, p.name, p.b.traits.begin(p.id))
	if err != nil || p.b.uploads == "" {
		return upload, func(context.Context) {}, err
	}
	data, err := json.Marshal(record{Key: p.name, Upload: upload})
	if err != nil {
		return "", nil, err
	}
	key := p.b.uploads + rand.Text() + ".json"
	if _, err := p.b.Put(ctx, key, bytes.NewReader(data), blob.PutOptions{}); err != nil {
		_ = p.b.core.AbortMultipartUpload(context.WithoutCancel(ctx), p.b.bucket, p.name, upload)
		return "", nil, fmt.Errorf("record the upload: %w", err)
	}
	return upload, func(ctx context.Context) { _ = p.b.Delete(ctx, key) }, nil // Sweep is the second net
}

// sweepOnce looks for what dead processes have left, before the first large object of this process.
func (b *Bucket) sweepOnce(ctx context.Context) {
	if b.uploads == "" || !b.swept.CompareAndSwap(false, true) {
		return
	}
	_, _ = b.Sweep(ctx, time.Now().Add(-stale)) // an object is more important than what lies about
}

// Sweep aborts the recorded uploads that began before then, by the server's clock, and returns how many it found.
func (b *Bucket) Sweep(ctx context.Context, then time.Time) (n int, err error) {
	var old []string
	err = b.List(ctx, b.uploads, true, func(info blob.Info) error {
		if !info.Dir && info.Modified.Before(then) {
			old = append(old, info.Key)
		}
		return nil
	})
	for _, key := range old {
		err = errors.Join(err, b.abandon(ctx, key))
	}
	return len(old), err
}

// abandon ends the upload of one record, and removes the record.
func (b *Bucket) abandon(ctx context.Context, key string) error {
	rc, err := b.Get(ctx, key, 0, maxRecord)
	if fail.Is(err, fail.NotFound) {
		return nil // its own process was faster
	}
	if err != nil {
		return err
	}
	data, err := io.ReadAll(rc)
	rc.Close()
	if err != nil {
		return err
	}
	var r record
	if json.Unmarshal(data, &r) == nil && r.Key != "" && r.Upload != "" {
		err := b.core.AbortMultipartUpload(ctx, b.bucket, r.Key, r.Upload)
		if err != nil && minio.ToErrorResponse(err).Code != minio.NoSuchUpload {
			return b.explain("abort a stale upload of", r.Key, err)
		}
	}
	return b.Delete(ctx, key)
}
