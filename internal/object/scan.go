// SPDX-License-Identifier: Apache-2.0

package object

import (
	"bytes"
	"encoding/json"
	"fmt"

	"hozon.dev/hozon/internal/fail"
)

// Head is what an object's JSON says about itself, found without decoding the rest.
//
// The strings of one Head share one piece of memory: who keeps one of them for long clones it.
// The raw ranges are parts of the scanned body and live as long as it does.
type Head struct {
	APIVersion      string // empty: absent
	Kind            string // empty: absent
	Name            string
	Namespace       string
	UID             string
	ResourceVersion string
	GenerateName    string
	Terminating     bool // metadata.deletionTimestamp is there

	Metadata       []byte // JSON of the whole metadata object; nil if absent or null
	RawLabels      []byte // JSON object; nil if absent or null
	RawAnnotations []byte // JSON object; nil if absent or null
	RawOwners      []byte // JSON array of metadata.ownerReferences; nil if absent or null
}

// Owner is one of an object's ownerReferences.
type Owner struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Name       string `json:"name"`
	UID        string `json:"uid"`
	Controller bool   `json:"controller"`
}

// Ref is the object's name as an object of type t.
func (h Head) Ref(t Type) Ref { return t.Ref(h.Namespace, h.Name) }

// Labels decodes the labels; nil if there are none. Of a key given twice the last counts.
func (h Head) Labels() (map[string]string, error) { return decodeMap(h.RawLabels, "labels") }

// Annotations decodes the annotations; nil if there are none. Of a key given twice the last counts.
func (h Head) Annotations() (map[string]string, error) {
	return decodeMap(h.RawAnnotations, "annotations")
}

// Label is the value of one label, found without decoding the others.
func (h Head) Label(key string) (string, bool) { return member(h.RawLabels, key) }

// Annotation is the value of one annotation, found without decoding the others.
func (h Head) Annotation(key string) (string, bool) { return member(h.RawAnnotations, key) }

// Owners decodes the ownerReferences; nil if there are none.
func (h Head) Owners() ([]Owner, error) {
	if h.RawOwners == nil {
		return nil, nil
	}
	var owners []Owner
	if err := json.Unmarshal(h.RawOwners, &owners); err != nil {
		return nil, fail.Errorf(fail.Corrupt, "decode metadata.ownerReferences: %w", err)
	}
	return owners, nil
}

func decodeMap(raw []byte, what string) (map[string]string, error) {
	if raw == nil {
		return nil, nil
	}
	var m map[string]string
	if err := json.Unmarshal(raw, &m); err != nil {
		return nil, fail.Errorf(fail.Corrupt, "decode metadata.%s: %w", what, err)
	}
	return m, nil
}

// member is the string value of a key of an object that Scan has accepted.
func member(raw []byte, key string) (value string, ok bool) {
	if raw == nil {
		return "", false
	}
	m := members{b: raw, i: 1}
	for {
		k, what := m.next()
		if what != "" || k == nil {
			return value, ok
		}
		at := m.i
		if m.i, what = skip(raw, at); what != "" {
			return value, ok
		}
		if !equalText(k, key) {
			continue
		}
		value, ok = "", true
		if raw[at] == '"' {
			value = text(raw[at+1 : m.i-1])
		}
	}
}

// The texts that Scan extracts.
const (
	fAPIVersion = iota
	fKind
	fMetadata
	fName
	fNamespace
	fUID
	fResourceVersion
	fGenerateName
	fDeletionTimestamp
	fLabels
	fAnnotations
	fOwners
	fieldCount
)

var fieldNames = [fieldCount]string{"apiVersion", "kind", "metadata", "metadata.name", "metadata.namespace", "metadata.uid",
	"metadata.resourceVersion", "metadata.generateName", "metadata.deletionTimestamp", "metadata.labels",
	"metadata.annotations", "metadata.ownerReferences"}

// Scan checks that body is one complete JSON object, with nothing but white space around it, and
// returns its head. It reads every byte once and decodes nothing else.
//
// It accepts exactly what encoding/json accepts (numbers, literals and escapes included, nesting to
// a little under 10,000 levels), but refuses what two readers might understand differently: a key of Head given
// twice, or of another type than it has in Kubernetes. Keys are compared after unescaping and
// with their case, as Kubernetes does. metadata and its fields may be null, which is absent; an
// apiVersion or kind that is there must not be empty. Errors are fail.Corrupt and name the offset.
func Scan(body []byte) (Head, error) {
	var s scan
	i, what := s.run(body)
	if what != "" {
		return Head{}, fail.Errorf(fail.Corrupt, "read object: byte %d: %s", i, what)
	}
	return s.head(), nil
}

// scan is the state of one Scan.
type scan struct {
	b     []byte
	seen  [fieldCount]bool
	value [fieldCount][]byte // texts without their quotes, others whole; nil: absent or null
}

func (s *scan) run(body []byte) (int, string) {
	s.b = body
	i := spaces(body, 0)
	if i == len(body) || body[i] != '{' {
		return i, "not a JSON object"
	}
	m := members{b: body, i: i + 1}
	for {
		key, what := m.next()
		if what != "" {
			return m.i, what
		}
		if key == nil {
			break
		}
		if m.i, what = s.top(key, m.i); what != "" {
			return m.i, what
		}
	}
	if i = spaces(body, m.i); i != len(body) {
		return i, "text after the object"
	}
	return i, ""
}

// top takes up one field of the object itself, whose value starts at i.
func (s *scan) top(key []byte, i int) (int, string) {
	switch {
	case equalText(key, "metadata"):
		return s.metadata(i)
	case equalText(key, "kind"):
		return s.word(fKind, i)
	case equalText(key, "apiVersion"):
		return s.word(fAPIVersion, i)
	}
	return skip(s.b, i)
}

func (s *scan) metadata(i int) (int, string) {
	if s.seen[fMetadata] {
		return i, "metadata given twice"
	}
	s.seen[fMetadata] = true
	if s.b[i] == 'n' {
		return skip(s.b, i)
	}
	if s.b[i] != '{' {
		return i, "metadata is not an object"
	}
	m := members{b: s.b, i: i + 1}
	for {
		key, what := m.next()
		if what != "" {
			return m.i, what
		}
		if key == nil {
			s.value[fMetadata] = s.b[i:m.i]
			return m.i, ""
		}
		f, first := metadataField(key)
		if f < 0 {
			m.i, what = skip(s.b, m.i)
		} else {
			m.i, what = s.field(f, first, m.i)
		}
		if what != "" {
			return m.i, what
		}
	}
}

// metadataField finds a field of metadata by its key, and the byte that its value must start with.
func metadataField(key []byte) (int, byte) {
	if bytes.IndexByte(key, '\\') >= 0 {
		key = []byte(text(key))
	}
	switch string(key) {
	case "name":
		return fName, '"'
	case "namespace":
		return fNamespace, '"'
	case "uid":
		return fUID, '"'
	case "resourceVersion":
		return fResourceVersion, '"'
	case "generateName":
		return fGenerateName, '"'
	case "deletionTimestamp":
		return fDeletionTimestamp, '"'
	case "labels":
		return fLabels, '{'
	case "annotations":
		return fAnnotations, '{'
	case "ownerReferences":
		return fOwners, '['
	}
	return -1, 0
}

// word is field for what must be a text with something in it.
func (s *scan) word(f, i int) (int, string) {
	end, what := s.field(f, '"', i)
	if what == "" && len(s.value[f]) == 0 {
		return i, fieldNames[f] + " is empty"
	}
	return end, what
}

func (s *scan) field(f int, first byte, i int) (int, string) {
	if s.seen[f] {
		return i, fieldNames[f] + " given twice"
	}
	s.seen[f] = true
	end, what := skip(s.b, i)
	if what != "" {
		return end, what
	}
	switch s.b[i] {
	case first:
	case 'n':
		return end, ""
	default:
		return i, fieldNames[f] + " has the wrong type"
	}
	if first == '"' {
		s.value[f] = s.b[i+1 : end-1]
	} else {
		s.value[f] = s.b[i:end]
	}
	return end, ""
}

// head makes the Head, with one allocation for all plain texts together.
func (s *scan) head() Head {
	h := Head{
		Terminating:    s.value[fDeletionTimestamp] != nil,
		Metadata:       s.value[fMetadata],
		RawLabels:      s.value[fLabels],
		RawAnnotations: s.value[fAnnotations],
		RawOwners:      s.value[fOwners],
	}
	fields := [...]struct {
		f  int
		to *string
	}{{fAPIVersion, &h.APIVersion}, {fKind, &h.Kind}, {fName, &h.Name}, {fNamespace, &h.Namespace}, {fUID, &h.UID},
		{fResourceVersion, &h.ResourceVersion}, {fGenerateName, &h.GenerateName}}
	var room [256]byte
	all := room[:0]
	for _, f := range fields {
		if raw := s.value[f.f]; plain(raw) {
			all = append(all, raw...)
		}
	}
	shared, n := string(all), 0
	for _, f := range fields {
		raw := s.value[f.f]
		if !plain(raw) {
			*f.to = text(raw)
			continue
		}
		*f.to = shared[n : n+len(raw)]
		n += len(raw)
	}
	return h
}

// Inject appends body to dst, with apiVersion and kind put first where the body has none of its
// own; head is what Scan said of the body. Built-in lists leave them out of their items.
func Inject(dst, body []byte, head Head, apiVersion, kind string) []byte {
	start := spaces(body, 0)
	if start == len(body) || body[start] != '{' || head.APIVersion != "" && head.Kind != "" {
		return append(dst, body...)
	}
	dst = append(dst, body[:start+1]...)
	if head.APIVersion == "" {
		dst = appendPair(dst, `"apiVersion":`, apiVersion)
	}
	if head.Kind == "" {
		if head.APIVersion == "" {
			dst = append(dst, ',')
		}
		dst = appendPair(dst, `"kind":`, kind)
	}
	rest := body[start+1:]
	if i := spaces(rest, 0); i < len(rest) && rest[i] != '}' {
		dst = append(dst, ',')
	}
	return append(dst, rest...)
}

func appendPair(dst []byte, key, value string) []byte {
	dst = append(dst, key...)
	quoted, err := json.Marshal(value)
	if err != nil { // a string always marshals
		panic(fmt.Sprintf("quote %q: %v", value, err))
	}
	return append(dst, quoted...)
}
