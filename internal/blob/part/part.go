// SPDX-License-Identifier: Apache-2.0

// Package part holds what an upload has read and not yet sent: bodies of requests that can be sent again, made of small pieces, so that a small object
// takes little memory, and from a pool, so that a large one does not make work for the garbage collector.
package part

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"sync"

	"hozon.dev/hozon/internal/blob"
)

// Piece is the size in which memory is taken.
const Piece = 256 << 10

// Pool keeps pieces for reuse. The garbage collector empties it.
type Pool struct{ pieces sync.Pool }

func (p *Pool) get() *[Piece]byte {
	if piece, ok := p.pieces.Get().(*[Piece]byte); ok {
		return piece
	}
	return new([Piece]byte)
}

// Part is one request's body, in pieces, so that it takes no more memory than it has bytes.
type Part struct {
	Pool   *Pool
	pieces []*[Piece]byte
	size   int64
}

// Fill reads up to limit bytes. io.EOF says that r has ended, also with the last bytes.
func (p *Part) Fill(ctx context.Context, r io.Reader, limit int64) error {
	for p.size < limit {
		piece := p.Pool.get()
		p.pieces = append(p.pieces, piece)
		n, err := blob.Fill(ctx, r, piece[:min(Piece, limit-p.size)])
		p.size += int64(n)
		if err != nil {
			return err
		}
	}
	return nil
}

// Free gives the pieces back. No reader may be in use any more.
func (p *Part) Free() {
	for _, piece := range p.pieces {
		p.Pool.pieces.Put(piece)
	}
	p.pieces, p.size = nil, 0
}

// Size is the number of bytes.
func (p *Part) Size() int64 { return p.size }

// SHA256 is the sum of all bytes, in hex.
func (p *Part) SHA256() string {
	h := sha256.New()
	_, _ = io.Copy(h, p.Reader()) // neither side can fail
	return hex.EncodeToString(h.Sum(nil))
}

// Reader returns a new reader of the bytes from the start.
func (p *Part) Reader() *Reader { return &Reader{part: p} }

// Reader can go back, as a repeated request must.
type Reader struct {
	part *Part
	at   int64
}

func (r *Reader) Read(buf []byte) (int, error) {
	if r.at >= r.part.size {
		return 0, io.EOF
	}
	piece := r.part.pieces[r.at/Piece]
	from := r.at % Piece
	n := copy(buf, piece[from:min(Piece, from+r.part.size-r.at)])
	r.at += int64(n)
	return n, nil
}

// Seek implements io.Seeker.
func (r *Reader) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += r.at
	case io.SeekEnd:
		offset += r.part.size
	}
	if offset < 0 {
		return 0, errors.New("seek before the start of a part")
	}
	r.at = offset
	return offset, nil
}

// Close implements io.Closer. The part keeps its memory until Free.
func (r *Reader) Close() error { return nil }
