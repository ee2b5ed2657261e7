// SPDX-License-Identifier: Apache-2.0

package transfer

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
)

// A want asks for the bytes of one file of a batch.
type want struct {
	index  int
	offset uint64            // bytes that the receiver has
	hash   [sha256.Size]byte // of these, if there are any
}

func appendWant(b []byte, w want) []byte {
	b = binary.AppendUvarint(binary.AppendUvarint(b, uint64(w.index)), w.offset)
	if w.offset > 0 {
		b = append(b, w.hash[:]...)
	}
	return b
}

// decodeWants checks the wants against the batch that they are about.
func decodeWants(payload []byte, batch []Entry) ([]want, error) {
	d := &decoder{b: payload}
	var wants []want
	last := -1
	for len(d.b) > 0 {
		w := want{index: int(d.uint(maxBatch)), offset: d.uint(1 << 62)}
		if w.offset > 0 {
			copy(w.hash[:], d.bytes(len(w.hash)))
		}
		if d.err != nil {
			return nil, corrupt("a want: %w", d.err)
		}
		if w.index <= last || w.index >= len(batch) || batch[w.index].Type != File || w.offset > batch[w.index].Size {
			return nil, corrupt("it wants what was not offered")
		}
		wants, last = append(wants, w), w.index
	}
	return wants, nil
}

// Problem is what could not be done with one name of the tree.
type Problem struct {
	Path string `json:"path"`
	Text string `json:"problem"`
}

// maxProblems bounds those that are kept; the rest is counted.
const maxProblems = 1000

// Stats say what a run did.
type Stats struct {
	Files     int64     `json:"files"`   // in the tree, folders not counted
	Folders   int64     `json:"folders"` //
	Sent      int64     `json:"sent"`    // files whose bytes were sent
	Bytes     int64     `json:"bytes"`   // of these
	Changed   int64     `json:"changed"` // other names that were made or set right
	Deleted   int64     `json:"deleted"` // names
	Failed    int64     `json:"failed"`  // problems, also those that are not kept
	Problems  []Problem `json:"problems,omitempty"`
	Would     []string  `json:"would,omitempty"`     // dry run: what would be done, at most maxProblems of them
	Unowned   bool      `json:"unowned,omitempty"`   // owners were not set, for want of the right to
	Dropped   int64     `json:"dropped,omitempty"`   // names whose owner or mode the file system did not keep
	Bare      int64     `json:"bare,omitempty"`      // names with extended attributes that the file system has no place for
	Confirmed bool      `json:"confirmed,omitempty"` // the receiver came to the end

	FirstDropped string `json:"firstDropped,omitempty"` // one of those
	FirstBare    string `json:"firstBare,omitempty"`
}

func (s *Stats) add(p Problem) {
	if s.Failed++; len(s.Problems) < maxProblems {
		s.Problems = append(s.Problems, Problem{printable(p.Path), printable(p.Text)})
	}
}

func (s *Stats) would(what, path string) {
	if len(s.Would) < maxProblems {
		s.Would = append(s.Would, what+" "+printable(path))
	}
}

func sendProblem(l *link, p Problem) error {
	body, err := json.Marshal(Problem{printable(p.Path), p.Text})
	if err != nil {
		return err
	}
	return l.send(frameProblem, body)
}

func decodeStats(payload []byte, s *Stats) error {
	if err := json.Unmarshal(payload, s); err != nil {
		return corrupt("a report that is no JSON: %w", err)
	}
	for i, p := range s.Problems {
		s.Problems[i] = Problem{printable(p.Path), printable(p.Text)}
	}
	for i, w := range s.Would {
		s.Would[i] = printable(w)
	}
	return nil
}
