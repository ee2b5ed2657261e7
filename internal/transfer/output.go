// SPDX-License-Identifier: Apache-2.0

package transfer

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"io"
	"os"
)

// An output is a file that is being written, beside its place.
type output struct {
	in   folder
	file *os.File // nil: it could not be made, its bytes are thrown away
	part string
	at   int64
	hole bool // what came last was left out
}

// partName is where a file is written until it is whole: the same for the same file, another one when it has changed.
func partName(e *Entry) string {
	_, name := split(e.Path)
	b := appendString(nil, name)
	b = binary.AppendUvarint(b, e.Size)
	b = binary.AppendVarint(b, e.Sec)
	sum := sha256.Sum256(binary.AppendUvarint(b, uint64(e.Nsec)))
	return partPrefix + hex.EncodeToString(sum[:8])
}

// leastPart is below what it takes to ask for the rest of a file only.
const leastPart = 1 << 20

// want says what to ask for: the rest of the file, if a good part of it is there.
func (r *receiver) want(index int, t task) (want, error) {
	w := want{index: index}
	dir, _ := split(t.entry.Path)
	l := r.top()
	if l.entry.Path != dir || l.fresh {
		return w, nil
	}
	have, err := l.at.stat(partName(&t.entry), false)
	if err != nil || have.Type != File || have.Size < leastPart || have.Size > t.entry.Size {
		return w, nil
	}
	file, err := l.at.openFile(partName(&t.entry))
	if err != nil {
		return w, nil
	}
	defer file.Close()
	h := sha256.New()
	n, err := io.Copy(h, io.LimitReader(file, int64(have.Size)))
	if err != nil || n != int64(have.Size) {
		return w, nil
	}
	w.offset = have.Size
	copy(w.hash[:], h.Sum(nil))
	r.tasks[len(r.tasks)-1].offset = n
	return w, nil
}

// takeFile takes what comes of the file whose turn it is.
func (r *receiver) takeFile(kind byte, payload []byte) error {
	if len(r.tasks) == 0 {
		return corrupt("bytes that were not asked for")
	}
	t := &r.tasks[0]
	if r.current == nil {
		out, err := r.create(t)
		if err := r.concern(t.entry.Path, err); err != nil {
			return err
		}
		r.current = out
	}
	switch kind {
	case frameData:
		at, data, err := decodeOffset(payload)
		if err != nil {
			return err
		}
		return r.write(t, at, data)
	case frameRestart:
		r.current.at = 0
		if r.current.file != nil {
			return r.concern(t.entry.Path, r.current.file.Truncate(0))
		}
		return nil
	case frameMissing:
		r.stats.add(Problem{Path: t.entry.Path, Text: string(payload)})
		r.drop()
	case frameEnd:
		size, _, err := decodeOffset(payload)
		if err != nil {
			return err
		}
		if size > int64(t.entry.Size) || size < r.current.at {
			return corrupt("%q ends at %d of %d", t.entry.Path, size, t.entry.Size)
		}
		if err := r.concern(t.entry.Path, r.complete(t, size)); err != nil {
			return err
		}
	}
	r.current = nil
	r.tasks = r.tasks[1:]
	return r.advance()
}

func (r *receiver) create(t *task) (*output, error) {
	out := &output{part: partName(&t.entry)}
	dir, _ := split(t.entry.Path)
	var err error
	if out.in, err = r.files.at(dir); err != nil {
		return out, err
	}
	if err = out.begin(t.offset > 0); err == nil && t.offset > 0 {
		out.at = t.offset
		r.progress.pass(t.offset)
	}
	return out, err
}

func (r *receiver) write(t *task, at int64, data []byte) error {
	out := r.current
	if at < out.at || at+int64(len(data)) > int64(t.entry.Size) {
		return corrupt("%q has bytes at %d, which is not after %d and before %d", t.entry.Path, at, out.at, t.entry.Size)
	}
	out.at = at + int64(len(data))
	r.stats.Bytes += int64(len(data))
	r.progress.move(int64(len(data)))
	if out.file == nil || len(data) == 0 {
		return nil
	}
	if _, err := out.file.WriteAt(data, at); err != nil {
		r.drop()
		return r.concern(t.entry.Path, err)
	}
	return nil
}

// complete moves a file that is whole to its place.
func (r *receiver) complete(t *task, size int64) error {
	out := r.current
	if out.file == nil {
		return nil
	}
	k, err := out.finish(&t.entry, size, r.owner, r.xattrs)
	if r.keptOf(t.entry.Path, k); k.unowned {
		r.owner = false
	}
	if err == nil {
		_, name := split(t.entry.Path)
		err = out.in.rename(out.part, name)
	}
	if err != nil {
		r.drop()
		return err
	}
	r.stats.Sent++
	return nil
}

// drop gives the current file up.
func (r *receiver) drop() { r.current.drop() }

// closeCurrent leaves the part of a file for the next run.
func (r *receiver) closeCurrent() {
	if r.current != nil && r.current.file != nil {
		r.current.file.Close()
	}
}
