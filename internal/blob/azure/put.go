// SPDX-License-Identifier: Apache-2.0

package azure

import (
	"context"
	"crypto/md5"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	azblob "github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/bloberror"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blockblob"

	"hozon.dev/hozon/internal/blob"
	"hozon.dev/hozon/internal/blob/part"
	"hozon.dev/hozon/internal/fail"
)

const (
	maxBlocks = 50000 // Azure's limit
	growEvery = 4000
	lastBlock = 4000 << 20 // Azure's limit
	idKey     = "hozonput" // the metadata that names the Put that made an object
)

// size returns the size of block n, which starts at 1.
func (b *Bucket) size(n int) int64 {
	return min(b.blockSize<<min((n-1)/growEvery, 12), lastBlock)
}

// Put implements blob.Bucket.
func (b *Bucket) Put(ctx context.Context, key string, r io.Reader, opts blob.PutOptions) (int64, error) {
	name, err := b.full(ctx, key)
	if err != nil {
		return 0, fmt.Errorf("put %s: %w", key, err)
	}
	p := put{b: b, name: name, client: b.container.NewBlockBlobClient(name), ifAbsent: opts.IfAbsent, id: rand.Text()}
	n, err := p.run(ctx, r)
	if err == nil {
		return n, nil
	}
	var source part.SourceError
	if errors.As(err, &source) {
		return 0, fmt.Errorf("put %s: %w", key, source.Err)
	}
	return 0, b.explain("put", key, err)
}

// put is one run of Put.
type put struct {
	b        *Bucket
	name     string
	client   *blockblob.Client
	ifAbsent bool
	id       string
}

func (p put) run(ctx context.Context, r io.Reader) (int64, error) {
	upload := part.Upload{Pool: p.b.pool, Size: p.b.size}
	head, err := upload.Begin(ctx, r)
	if err != nil {
		return 0, err
	}
	if body := head.Whole(); body != nil {
		defer body.Free()
		return body.Size(), p.last(ctx, func() error { return p.single(ctx, body) })
	}
	return p.blocks(ctx, r, upload, head)
}

func (p put) single(ctx context.Context, body *part.Part) error {
	_, err := p.client.Upload(ctx, body.Reader(), &blockblob.UploadOptions{
		Metadata: p.metadata(), AccessConditions: p.conditions(), TransactionalValidation: azblob.TransferValidationTypeMD5(sum(body)),
	})
	return err
}

func sum(body *part.Part) []byte {
	h := md5.New()
	_, _ = io.Copy(h, body.Reader()) // neither side can fail
	return h.Sum(nil)
}

func (p put) metadata() map[string]*string { return map[string]*string{idKey: &p.id} }

func (p put) conditions() *azblob.AccessConditions {
	if !p.ifAbsent {
		return nil
	}
	anything := azcore.ETagAny
	return &azblob.AccessConditions{ModifiedAccessConditions: &azblob.ModifiedAccessConditions{IfNoneMatch: &anything}}
}

// last sends the request that makes the object, and finds out what became of it if the answer leaves that open.
func (p put) last(ctx context.Context, send func() error) error {
	err := send()
	if err == nil || p.landed(ctx, err) {
		return nil
	}
	if p.ifAbsent && bloberror.HasCode(err, bloberror.InvalidBlockList) { // another Put has ended, which drops our blocks
		if absent := p.mustBeAbsent(ctx); absent != nil {
			return absent
		}
	}
	return err
}

func (p put) mustBeAbsent(ctx context.Context) error {
	_, err := p.b.stat(ctx, p.name)
	if err == nil {
		return fail.Errorf(fail.Exists, "the object exists already in %s", p.b)
	}
	if status(err) == 404 {
		return nil // if it is the container that is missing, the write will say so
	}
	return err
}

// landed reports whether the object is there and of this Put, though err came back. Most refusals leave no doubt and are not asked about.
func (p put) landed(ctx context.Context, err error) bool {
	s := status(err)
	if s != 0 && s < 500 && s != 409 && s != 412 && !bloberror.HasCode(err, bloberror.InvalidBlockList) {
		return false
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), afterwards)
	defer cancel()
	found, err := p.client.GetProperties(ctx, nil)
	if err != nil {
		return false
	}
	for name, id := range found.Metadata {
		if strings.EqualFold(name, idKey) && id != nil && *id == p.id {
			return true
		}
	}
	return false
}

// blocks uploads in blocks.
func (p put) blocks(ctx context.Context, r io.Reader, upload part.Upload, head part.Head) (int64, error) {
	if p.ifAbsent { // do not send gigabytes for nothing
		if err := p.mustBeAbsent(ctx); err != nil {
			return 0, err
		}
	}
	s := sender{put: p}
	upload.Start = s.start
	size, err := upload.Send(ctx, r, head)
	if err != nil {
		return 0, err
	}
	return size, p.last(ctx, func() error {
		_, err := p.client.CommitBlockList(ctx, s.sent, &blockblob.CommitBlockListOptions{Metadata: p.metadata(), AccessConditions: p.conditions()})
		return err
	})
}

// sender sends the blocks of one Put.
type sender struct {
	put
	sent []string // ids, in order
}

// start names the block. The names hold the id of the Put, so that Puts of one key do not mix theirs.
func (s *sender) start(n int, body *part.Part) (func(context.Context) error, error) {
	if n > maxBlocks {
		return nil, fail.Errorf(fail.Invalid, "the object is larger than the %d blocks that Azure allows it: set a larger block size", maxBlocks)
	}
	id := base64.StdEncoding.EncodeToString(fmt.Appendf(nil, "%s-%05d", s.id, n))
	s.sent = append(s.sent, id)
	return func(ctx context.Context) error {
		_, err := s.client.StageBlock(ctx, id, body.Reader(), &blockblob.StageBlockOptions{TransactionalValidation: azblob.TransferValidationTypeMD5(sum(body))})
		return err
	}, nil
}
