// SPDX-License-Identifier: Apache-2.0

package restic

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"sync"

	"hozon.dev/hozon/internal/fail"
	"hozon.dev/hozon/internal/vault"
)

// A place is where a blob lies. There may be millions: half of the ID is enough to find it, and its content is compared with all of it.
type place struct {
	id     [16]byte
	pack   uint32 // index of index.packs
	offset uint32
	length uint32
	plain  uint32 // bytes after unpacking; 0: it is not packed
}

// size is that of the content.
func (p *place) size() int64 {
	if p.plain != 0 {
		return int64(p.plain)
	}
	return int64(p.length) - overhead
}

// index knows where all blobs are.
type index struct {
	packs   []id
	places  []place // sorted by id
	damages []error // index files and packs that could not be read
}

// lazyIndex reads the index when it is first needed.
type lazyIndex struct {
	mu   sync.Mutex
	done *index
}

func (r *Repository) loaded(ctx context.Context) (*index, error) {
	r.index.mu.Lock()
	defer r.index.mu.Unlock()
	if r.index.done == nil {
		x, err := r.readIndex(ctx)
		if err != nil {
			return nil, fmt.Errorf("read the index of %s: %w", r.at, err)
		}
		r.index.done = x
	}
	return r.index.done, nil
}

type indexFile struct {
	Supersedes []id `json:"supersedes"`
	Packs      []struct {
		ID    id          `json:"id"`
		Blobs []indexBlob `json:"blobs"`
	} `json:"packs"`
}

type indexBlob struct {
	ID     id     `json:"id"`
	Type   string `json:"type"`
	Offset uint64 `json:"offset"`
	Length uint64 `json:"length"`
	Plain  uint64 `json:"uncompressed_length"`
}

func (r *Repository) readIndex(ctx context.Context) (*index, error) {
	names, err := r.names(ctx, "index/")
	if err != nil {
		return nil, err
	}
	x := &index{}
	known := map[id]bool{}
	for _, name := range names {
		var f indexFile
		if err := r.document(ctx, "index/", name, &f); err != nil {
			if !fail.Is(err, fail.Corrupt) {
				return nil, err
			}
			x.damages = append(x.damages, err)
			continue
		}
		for _, p := range f.Packs {
			if !known[p.ID] {
				known[p.ID] = true
				x.add(p.ID, p.Blobs)
			}
		}
	}
	if len(x.damages) > 0 {
		if err := r.readHeaders(ctx, x, known); err != nil {
			return nil, err
		}
	}
	slices.SortFunc(x.places, func(a, b place) int { return bytes.Compare(a.id[:], b.id[:]) })
	return x, nil
}

// add passes over places that cannot be: nobody will find what lies there.
func (x *index) add(pack id, blobs []indexBlob) {
	number := uint32(len(x.packs))
	x.packs = append(x.packs, pack)
	for _, b := range blobs {
		if b.Length < overhead || b.Length > maxFolder || b.Plain > maxFolder || b.Offset > 1<<32-1 {
			x.damages = append(x.damages, fail.Errorf(fail.Corrupt, "blob %s cannot be %d bytes at %d of %s", b.ID, b.Length, b.Offset, packName(pack)))
			continue
		}
		p := place{pack: number, offset: uint32(b.Offset), length: uint32(b.Length), plain: uint32(b.Plain)}
		copy(p.id[:], b.ID[:])
		x.places = append(x.places, p)
	}
}

// find returns all places of a blob: an interrupted restic leaves some that have two.
func (x *index) find(want id) []place {
	i, _ := slices.BinarySearchFunc(x.places, want, func(p place, want id) int { return bytes.Compare(p.id[:], want[:len(p.id)]) })
	end := i
	for end < len(x.places) && bytes.Equal(x.places[end].id[:], want[:16]) {
		end++
	}
	return x.places[i:end]
}

func packName(p id) string { s := p.String(); return "data/" + s[:2] + "/" + s }

// readHeaders finds what is in the packs that no index describes, by their own headers.
func (r *Repository) readHeaders(ctx context.Context, x *index, known map[id]bool) error {
	names, err := r.names(ctx, "data/")
	if err != nil {
		return err
	}
	for _, name := range names {
		pack, err := parseID(name)
		if err != nil || known[pack] {
			continue
		}
		blobs, err := r.header(ctx, pack)
		switch {
		case err == nil:
			x.add(pack, blobs)
		case fail.Is(err, fail.Corrupt):
			x.damages = append(x.damages, err)
		default:
			return err
		}
	}
	return nil
}

// header reads the end of a pack: the encrypted header, and its length in four bytes.
func (r *Repository) header(ctx context.Context, pack id) ([]indexBlob, error) {
	name := packName(pack)
	info, err := r.near.Bucket.Stat(ctx, r.prefix+name)
	if err != nil {
		return nil, damaged(name, err)
	}
	if info.Size < 4 {
		return nil, fail.Errorf(fail.Corrupt, "%s has %d bytes", name, info.Size)
	}
	var out bytes.Buffer
	read := func(from, length int64) error {
		err := vault.Fetch(ctx, r.near.Bucket, r.prefix+name, from, length, &out)
		if err == nil && int64(out.Len()) != length {
			err = vault.Short(name, from, length)
		}
		return err
	}
	if err := read(info.Size-4, 4); err != nil {
		return nil, err
	}
	length := int64(binary.LittleEndian.Uint32(out.Bytes()))
	if length > info.Size-4 || length > maxFile {
		return nil, fail.Errorf(fail.Corrupt, "%s of %d bytes has a header of %d", name, info.Size, length)
	}
	if err := read(info.Size-4-length, length); err != nil {
		return nil, err
	}
	text, err := r.key.open(out.Bytes())
	if err != nil {
		return nil, fail.Errorf(fail.Corrupt, "the header of %s: %w", name, err)
	}
	blobs, err := decodeHeader(text)
	if err != nil {
		return nil, fail.Errorf(fail.Corrupt, "the header of %s: %w", name, err)
	}
	return blobs, nil
}

// decodeHeader reads entries of type, length, with packed ones the length before, and the ID. The blobs lie one after the other.
func decodeHeader(text []byte) ([]indexBlob, error) {
	var blobs []indexBlob
	offset := uint64(0)
	for len(text) > 0 {
		var b indexBlob
		size := 1 + 4 + sha256.Size
		packed := text[0] == 2 || text[0] == 3
		if packed {
			size += 4
		}
		if text[0] > 3 {
			return nil, fmt.Errorf("a blob of unknown type %d", text[0])
		}
		if len(text) < size {
			return nil, errors.New("it ends too early")
		}
		b.Offset, b.Length = offset, uint64(binary.LittleEndian.Uint32(text[1:]))
		if packed {
			b.Plain = uint64(binary.LittleEndian.Uint32(text[5:]))
		}
		copy(b.ID[:], text[size-sha256.Size:])
		offset += b.Length
		blobs, text = append(blobs, b), text[size:]
	}
	return blobs, nil
}

// blob reads the content of a blob, from any of its places that is whole.
func (r *Repository) blob(ctx context.Context, want id, limit int64) ([]byte, error) {
	x, err := r.loaded(ctx)
	if err != nil {
		return nil, err
	}
	places := x.find(want)
	if len(places) == 0 {
		err := fail.Errorf(fail.Corrupt, "no index knows blob %s", want)
		return nil, errors.Join(append([]error{err}, x.damages[:min(len(x.damages), 3)]...)...)
	}
	for _, p := range places {
		var data []byte
		if data, err = r.blobAt(ctx, want, &p, x.packs[p.pack], limit); err == nil {
			return data, nil
		}
	}
	return nil, err
}

func (r *Repository) blobAt(ctx context.Context, want id, p *place, pack id, limit int64) ([]byte, error) {
	name := packName(pack)
	if p.size() > limit || int64(p.length) > limit+limit/64+overhead+1<<10 {
		return nil, fail.Errorf(fail.Corrupt, "%s: blob %s is said to have %d bytes", name, want, p.size())
	}
	data, err := r.packed(ctx, name, p)
	if err != nil {
		return nil, damaged(name, err)
	}
	text, err := r.key.open(data)
	if err == nil && p.plain != 0 {
		text, err = r.unpack(text, int(p.plain))
	}
	if err == nil && sha256.Sum256(text) != want {
		err = errors.New("its bytes are not what was written")
	}
	if err != nil {
		return nil, fail.Errorf(fail.Corrupt, "%s: blob %s at byte %d: %w", name, hex.EncodeToString(want[:8]), p.offset, err)
	}
	return text, nil
}

// packed reads the bytes of a blob as they lie in the pack. The caller may change them.
func (r *Repository) packed(ctx context.Context, name string, p *place) ([]byte, error) {
	if p.length <= vault.NearLimit {
		data, err := r.near.Read(ctx, r.prefix+name, int64(p.offset), int64(p.length))
		return bytes.Clone(data), err
	}
	var out bytes.Buffer
	if err := vault.Fetch(ctx, r.near.Bucket, r.prefix+name, int64(p.offset), int64(p.length), &out); err != nil {
		if fail.Is(err, fail.Invalid) {
			err = vault.Short(name, int64(p.offset), int64(p.length))
		}
		return nil, err
	}
	if out.Len() != int(p.length) {
		return nil, vault.Short(name, int64(p.offset), int64(p.length))
	}
	return out.Bytes(), nil
}
