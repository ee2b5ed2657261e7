// SPDX-License-Identifier: Apache-2.0

package object

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"hozon.dev/hozon/internal/fail"
)

// ListHead is what a Kubernetes List says about itself.
type ListHead struct {
	APIVersion      string
	Kind            string // ends in "List"
	ResourceVersion string
	Continue        string // not empty: there are more pages
	Remaining       *int64 // metadata.remainingItemCount, if given
	Count           int    // items handed to fn
}

// Buffer is the memory of Split, kept from call to call. The zero value is ready. One call at a time.
type Buffer struct {
	// Limit is the size in bytes of the largest item that is taken; 0: 64 MiB.
	Limit int
	b     []byte
}

const (
	defaultLimit = 64 << 20
	firstBuffer  = 256 << 10
)

// Split reads the JSON of one Kubernetes List from r and calls fn with each item, in order. The
// item is valid only during the call. Memory is one buffer, which grows to the largest item; a nil buf is a new one.
//
// Split finds where items end; that an item is well-formed is for Scan to say. Since metadata may
// come after the items (lists of custom resources), what is wrong with the list may show only
// after fn has seen items: the caller keeps them only if Split returns no error.
//
// Errors: of fn as they are; of r wrapped; a body that ends early is fail.Transient; an item over the limit
// and a body that is no List are fail.Invalid; a Status is its *errors.StatusError with the kind
// of its code; all other faults are fail.Corrupt and name the byte.
func Split(r io.Reader, buf *Buffer, fn func(item []byte) error) (ListHead, error) {
	if buf == nil {
		buf = &Buffer{}
	}
	s := splitter{stream: stream{r: r, b: buf.b, limit: buf.Limit}, fn: fn}
	if s.limit == 0 {
		s.limit = defaultLimit
	}
	err := s.list()
	buf.b = s.b
	if err == nil {
		err = s.check()
	}
	var own *callError
	if errors.As(err, &own) {
		return s.head, own.err
	}
	if err != nil {
		return s.head, fmt.Errorf("read list: %w", err)
	}
	return s.head, nil
}

// callError carries an error of fn to Split's end untouched.
type callError struct{ err error }

func (e *callError) Error() string { return e.err.Error() }

// splitter is the state of one Split.
type splitter struct {
	stream
	fn       func([]byte) error
	head     ListHead
	seen     map[string]bool
	hasItems bool
	status   []byte // a JSON object of the fields that a Status would have, without its end
}

func (s *splitter) list() error {
	if err := s.expect('{'); err != nil {
		if c, more := s.peek(); more == nil && s.offset() == 0 && c != '{' {
			return fail.Errorf(fail.Invalid, "the body is not a JSON object")
		}
		return err
	}
	s.seen = make(map[string]bool, 4)
	for first := true; ; first = false {
		c, err := s.peek()
		if err != nil {
			return err
		}
		if c == '}' {
			s.i++
			return s.rest()
		}
		if !first {
			if err := s.expect(','); err != nil {
				return err
			}
		}
		if err := s.member(); err != nil {
			return err
		}
	}
}

// member reads one key of the list with its value.
func (s *splitter) member() error {
	if c, err := s.peek(); err != nil {
		return err
	} else if c != '"' {
		return s.fault("key expected")
	}
	raw, err := s.value()
	if err != nil {
		return err
	}
	key := text(raw[1 : len(raw)-1])
	if err := s.expect(':'); err != nil {
		return err
	}
	c, err := s.peek()
	if err != nil {
		return err
	}
	switch key {
	case "apiVersion", "kind", "metadata", "items":
		if s.seen[key] {
			return s.fault(key + " given twice")
		}
		s.seen[key] = true
	}
	if key == "items" && c == '[' {
		s.hasItems = true
		return s.items()
	}
	if raw, err = s.value(); err != nil {
		return err
	}
	return s.field(key, raw)
}

// field takes up a value that is not the array of items.
func (s *splitter) field(key string, raw []byte) error {
	var to any
	switch key {
	case "items":
		if s.hasItems = string(raw) == "null"; !s.hasItems {
			return s.fault("items is not an array")
		}
		return nil
	case "apiVersion":
		to = &s.head.APIVersion
	case "kind":
		to = &s.head.Kind
	case "metadata":
		var m metav1.ListMeta
		if err := json.Unmarshal(raw, &m); err != nil {
			return s.fault("decode metadata: " + err.Error())
		}
		s.head.ResourceVersion, s.head.Continue, s.head.Remaining = m.ResourceVersion, m.Continue, m.RemainingItemCount
		return nil
	case "status", "message", "reason", "code", "details":
		const room = 64 << 10 // of a Status, whose message is for people
		if len(s.status)+len(raw) > room {
			return nil
		}
		s.status = append(append(append(append(s.status, ',', '"'), key...), '"', ':'), raw...)
		return nil
	default:
		return nil
	}
	if err := json.Unmarshal(raw, to); err != nil {
		return s.fault(key + " is not a string")
	}
	return nil
}

func (s *splitter) items() error {
	s.i++
	for first := true; ; first = false {
		c, err := s.peek()
		if err != nil {
			return err
		}
		switch {
		case c == ']':
			s.i++
			return nil
		case first:
		case c == ',':
			s.i++
			if c, err = s.peek(); err != nil {
				return err
			}
		default:
			return s.fault("comma or end of items expected")
		}
		if c != '{' {
			return s.fault(fmt.Sprintf("item %d is not an object", s.head.Count))
		}
		item, err := s.value()
		if errors.Is(err, errLimit) {
			return fail.Errorf(fail.Invalid, "item %d is larger than the limit of %d bytes", s.head.Count, s.limit)
		}
		if err != nil {
			return err
		}
		if err := s.fn(item); err != nil {
			return &callError{err}
		}
		s.head.Count++
	}
}

// rest refuses anything but white space after the list.
func (s *splitter) rest() error {
	_, err := s.peek()
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return nil
	}
	if err != nil {
		return err
	}
	return s.fault("text after the list")
}

// check says whether what was read is a List.
func (s *splitter) check() error {
	h := &s.head
	switch {
	case h.Kind == "Status" && !s.hasItems:
		return s.statusError()
	case h.Kind == "":
		return fail.Errorf(fail.Invalid, "the body has no kind, so it is no List")
	case !strings.HasSuffix(h.Kind, "List") || !s.hasItems:
		return fail.Errorf(fail.Invalid, "the body is a %s %s without items, not a List", h.APIVersion, h.Kind)
	}
	return nil
}

func (s *splitter) statusError() error {
	var st metav1.Status
	if len(s.status) > 0 {
		s.status[0] = '{'
		if err := json.Unmarshal(append(s.status, '}'), &st); err != nil {
			return s.fault("decode Status: " + err.Error())
		}
	}
	if st.Message == "" {
		st.Message = fmt.Sprintf("the server answered with a Status of code %d and no message", st.Code)
	}
	return fail.As(statusKind(int(st.Code)), &apierrors.StatusError{ErrStatus: st})
}

func statusKind(code int) fail.Kind {
	switch code {
	case 404:
		return fail.NotFound
	case 401, 403:
		return fail.Denied
	case 400, 422:
		return fail.Invalid
	case 405, 406:
		return fail.Unsupported
	case 409, 429:
		return fail.Busy
	case 500, 502, 503, 504:
		return fail.Transient
	}
	return fail.Unknown
}
