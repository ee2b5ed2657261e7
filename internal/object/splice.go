// SPDX-License-Identifier: Apache-2.0

package object

import (
	"strconv"

	"hozon.dev/hozon/internal/fail"
)

// SpliceMetadata returns body with the value of metadata's key exchanged for value, or with the key put first into metadata where that lacks
// it, and the value that was there (nil: none; a part of body). Nothing else changes, and nothing is decoded. value is JSON; the key needs no escapes.
// fail.Corrupt for what Scan refuses, a key given twice, and a body without metadata.
func SpliceMetadata(body []byte, key string, value []byte) (spliced, old []byte, err error) {
	if _, err := Scan(body); err != nil {
		return nil, nil, err
	}
	metadata, _, _ := find(body, spaces(body, 0), "metadata")
	if metadata < 0 || body[metadata] != '{' {
		return nil, nil, fail.Errorf(fail.Corrupt, "read object: no metadata")
	}
	at, end, count := find(body, metadata, key)
	if count > 1 {
		return nil, nil, fail.Errorf(fail.Corrupt, "read object: metadata.%s given twice", key)
	}
	spliced = make([]byte, 0, len(body)+len(value)+len(key)+4)
	if at >= 0 {
		spliced = append(append(spliced, body[:at]...), value...)
		return append(spliced, body[end:]...), body[at:end], nil
	}
	rest := body[metadata+1:]
	spliced = append(spliced, body[:metadata+1]...)
	spliced = append(append(strconv.AppendQuote(spliced, key), ':'), value...)
	if rest[spaces(rest, 0)] != '}' {
		spliced = append(spliced, ',')
	}
	return append(spliced, rest...), nil, nil
}

// find returns where the value of a key begins and ends in the object at i of a body that Scan has accepted, the last one if there are several,
// and how many there are; -1: there is none.
func find(body []byte, i int, key string) (at, end, count int) {
	at = -1
	m := members{b: body, i: i + 1}
	for {
		k, what := m.next()
		if what != "" || k == nil {
			return at, end, count
		}
		start := m.i
		if m.i, what = skip(body, start); what != "" {
			return at, end, count
		}
		if equalText(k, key) {
			at, end, count = start, m.i, count+1
		}
	}
}
