// SPDX-License-Identifier: Apache-2.0

package s3

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"sync"

	"hozon.dev/hozon/internal/blob"
)

const (
	firstPart = 5 << 20 // the least that S3 takes
	maxParts  = 10000   // S3's limit
	growEvery = 800
	lastPart  = 2 << 30
	pieceSize = 256 << 10
)

// partSize returns the size of part n, which starts at 1: 5 MiB, doubled every 800 parts up to 2 GiB. So the first 4 GiB of an object take
// 15 MiB of memory, and 10,000 parts hold more than 5 TiB, the largest object that S3 keeps.
func partSize(n int) int64 {
	return min(int64(firstPart)<<((n-1)/growEvery), lastPart)
}

// pool keeps pieces for reuse. The garbage collector empties it.
type pool struct{ pieces sync.Pool }

func (p *pool) get() *[pieceSize]byte {
	if piece, ok := p.pieces.Get().(*[pieceSize]byte); ok {
		return piece
	}
	return new([pieceSize]byte)
}

// part is one request's body, in pieces, so that it takes no more memory than it has bytes.
type part struct {
	pool   *pool
	pieces []*[pieceSize]byte
	size   int64
}

// fill reads up to limit bytes. io.EOF says that r has ended, also with the last bytes.
func (p *part) fill(ctx context.Context, r io.Reader, limit int64) error {
	for p.size < limit {
		piece := p.pool.get()
		p.pieces = append(p.pieces, piece)
		n, err := blob.Fill(ctx, r, piece[:min(pieceSize, limit-p.size)])
		p.size += int64(n)
		if err != nil {
			return err
		}
	}
	return nil
}

// free gives the pieces back. No reader may be in use any more.
func (p *part) free() {
	for _, piece := range p.pieces {
		p.pool.pieces.Put(piece)
	}
	p.pieces, p.size = nil, 0
}

func (p *part) sha256() string {
	h := sha256.New()
	_, _ = io.Copy(h, p.reader()) // neither side can fail
	return hex.EncodeToString(h.Sum(nil))
}

func (p *part) reader() *partReader { return &partReader{part: p} }

// partReader can go back to the start, as a repeated request must.
type partReader struct {
	part *part
	at   int64
}

func (r *partReader) Read(buf []byte) (int, error) {
	if r.at >= r.part.size {
		return 0, io.EOF
	}
	piece := r.part.pieces[r.at/pieceSize]
	from := r.at % pieceSize
	n := copy(buf, piece[from:min(pieceSize, from+r.part.size-r.at)])
	r.at += int64(n)
	return n, nil
}

func (r *partReader) Seek(offset int64, whence int) (int64, error) {
	if offset != 0 || whence != io.SeekStart {
		return 0, errors.New("a part can be read again from its start only")
	}
	r.at = 0
	return 0, nil
}
