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
	"golang.org/x/sync/errgroup"

	"hozon.dev/hozon/internal/blob"
	"hozon.dev/hozon/internal/blob/part"
	"hozon.dev/hozon/internal/fail"
)

const (
	inFlight  = 2     // blocks of one Put are on their way at a time
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
	var source sourceError
	if errors.As(err, &source) {
		return 0, fmt.Errorf("put %s: %w", key, source.err)
	}
	return 0, b.explain("put", key, err)
}

// sourceError is an error of the caller's reader or context: not ours to explain.
type sourceError struct{ err error }

func (e sourceError) Error() string { return e.err.Error() }
func (e sourceError) Unwrap() error { return e.err }

// put is one run of Put.
type put struct {
	b        *Bucket
	name     string
	client   *blockblob.Client
	ifAbsent bool
	id       string
}

func (p put) run(ctx context.Context, r io.Reader) (int64, error) {
	first := &part.Part{Pool: p.b.pool}
	err := first.Fill(ctx, r, p.b.size(1))
	second := &part.Part{Pool: p.b.pool}
	if err == nil {
		err = second.Fill(ctx, r, min(part.Piece, p.b.size(2))) // the object may end here
	}
	if err != nil && err != io.EOF {
		return 0, sourceError{err}
	}
	if second.Size() == 0 {
		defer first.Free()
		return first.Size(), p.last(ctx, func() error { return p.single(ctx, first) })
	}
	return p.blocks(ctx, r, first, second, err == io.EOF)
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

// blocks uploads in blocks. ended says that second holds all that follows first.
func (p put) blocks(ctx context.Context, r io.Reader, first, second *part.Part, ended bool) (int64, error) {
	if p.ifAbsent { // do not send gigabytes for nothing
		if err := p.mustBeAbsent(ctx); err != nil {
			return 0, err
		}
	}
	s := sender{put: p}
	if err := s.send(ctx, r, first, second, ended); err != nil {
		return 0, err
	}
	return s.size, p.last(ctx, func() error {
		_, err := p.client.CommitBlockList(ctx, s.sent, &blockblob.CommitBlockListOptions{Metadata: p.metadata(), AccessConditions: p.conditions()})
		return err
	})
}

// sender sends the blocks of one Put.
type sender struct {
	put
	sent []string // ids, in order
	size int64    // of all blocks
}

// send sends everything. When it returns, no request is under way.
func (s *sender) send(ctx context.Context, r io.Reader, first, second *part.Part, ended bool) error {
	group, sending := errgroup.WithContext(ctx)
	group.SetLimit(inFlight)
	s.start(sending, group, first)
	readErr := s.feed(sending, group, r, second, ended)
	sendErr := group.Wait()
	// A failed block ends the context under which r is read, and then the block's error is the one to tell.
	if readErr != nil && (sendErr == nil || !errors.Is(readErr, context.Canceled) || ctx.Err() != nil) {
		return readErr
	}
	return sendErr
}

// feed starts body, which may be filled in part, and what follows of r.
func (s *sender) feed(ctx context.Context, group *errgroup.Group, r io.Reader, body *part.Part, ended bool) error {
	for {
		if !ended {
			err := body.Fill(ctx, r, s.b.size(len(s.sent)+1))
			if ended = err == io.EOF; err != nil && !ended {
				return sourceError{err}
			}
		}
		if body.Size() > 0 {
			if len(s.sent) == maxBlocks {
				return fail.Errorf(fail.Invalid, "the object is larger than the %d blocks that Azure allows it: set a larger block size", maxBlocks)
			}
			s.start(ctx, group, body)
		}
		if ended {
			return nil
		}
		body = &part.Part{Pool: s.b.pool}
	}
}

// start sends body as the next block, at once or as soon as fewer than three are under way. The ids of blocks hold that of the Put, so that
// Puts of one key do not mix theirs.
func (s *sender) start(ctx context.Context, group *errgroup.Group, body *part.Part) {
	id := base64.StdEncoding.EncodeToString(fmt.Appendf(nil, "%s-%05d", s.id, len(s.sent)))
	s.sent = append(s.sent, id)
	s.size += body.Size()
	group.Go(func() error {
		defer body.Free()
		_, err := s.client.StageBlock(ctx, id, body.Reader(), &blockblob.StageBlockOptions{TransactionalValidation: azblob.TransferValidationTypeMD5(sum(body))})
		return err
	})
}
