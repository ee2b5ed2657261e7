// SPDX-License-Identifier: Apache-2.0

package etcd

import (
	"context"
	"encoding/binary"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"

	"hozon.dev/hozon/internal/etcd/bolt"
	"hozon.dev/hozon/internal/fail"
)

// KV is one live key.
type KV struct {
	Key                         string
	Value                       []byte // valid during the call only
	CreateRevision, ModRevision int64
}

// revision is when a record was written: the transaction, and the place in it.
type revision struct {
	main, sub int64
}

// Live is the table of the keys that exist at the snapshot's revision.
type Live struct {
	Revision int64 // of the snapshot: the newest in it
	Records  int   // revisions of keys in the file, deletions included

	bucket *bolt.Bucket
	pages  uint64
	keys   map[string]record
}

// record is where the last one of a key lies.
type record struct {
	revision
	page uint64
}

// headOf is how much of a record is read to know its key: those of Kubernetes are shorter by far.
const headOf = 1 << 10

// askEvery is how many records pass between two looks at the context.
const askEvery = 1 << 12

// Live reads the history of all keys.
func (s *Snapshot) Live(ctx context.Context) (*Live, error) {
	l := &Live{bucket: s.buckets["key"], pages: s.db.Pages(), keys: map[string]record{}}
	err := l.bucket.Heads(headOf, func(e bolt.Entry) error {
		if l.Records++; l.Records%askEvery == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		rev, deleted, err := readRevision(e.Key)
		if err != nil {
			return err
		}
		l.Revision = rev.main
		if len(e.Value) == 0 { // left by a restore that moved the revision on
			return nil
		}
		key, err := keyOf(e)
		switch {
		case err != nil:
			return err
		case deleted:
			delete(l.keys, key)
		default:
			l.keys[key] = record{rev, e.Page}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	compacted, err := s.compacted()
	l.Revision = max(l.Revision, compacted)
	return l, err
}

// keyOf is the key of a record of which the beginning was read. etcd writes the key first.
func keyOf(e bolt.Entry) (string, error) {
	if e.Cut() {
		if number, kind, n := protowire.ConsumeTag(e.Value); n > 0 && number == fieldKey && kind == protowire.BytesType {
			if key, n := protowire.ConsumeBytes(e.Value[n:]); n >= 0 {
				return string(key), nil
			}
		}
	}
	all, err := e.Whole()
	if err != nil {
		return "", err
	}
	kv, err := readKV(all)
	return kv.Key, err
}

// Len is the number of live keys.
func (l *Live) Len() int { return len(l.keys) }

// Names calls visit with every live key, in no order, until it returns false.
func (l *Live) Names(visit func(key string) bool) {
	for k := range l.keys {
		if !visit(k) {
			return
		}
	}
}

// HasPrefix says whether a live key begins with prefix.
func (l *Live) HasPrefix(prefix string) bool {
	found := false
	l.Names(func(k string) bool {
		found = strings.HasPrefix(k, prefix)
		return !found
	})
	return found
}

// Each reads the file once more and calls visit with every live key that is wanted, in the order in which they were last written. Pages without any are not
// read. want may be nil: all are.
func (l *Live) Each(ctx context.Context, want func(key string) bool, visit func(KV) error) error {
	pages := make([]uint64, l.pages/64+1)
	for key, r := range l.keys {
		if want == nil || want(key) {
			pages[r.page/64] |= 1 << (r.page % 64)
		}
	}
	n := 0
	on := func(page uint64) bool { return page < l.pages && pages[page/64]&(1<<(page%64)) != 0 }
	return l.bucket.On(on, func(k, v []byte) error {
		if n++; n%askEvery == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		rev, deleted, err := readRevision(k)
		if err != nil || deleted || len(v) == 0 {
			return err
		}
		kv, err := readKV(v)
		if err != nil {
			return err
		}
		if last, ok := l.keys[kv.Key]; !ok || last.revision != rev || want != nil && !want(kv.Key) {
			return nil
		}
		if kv.ModRevision != rev.main {
			return fail.Errorf(fail.Corrupt, "key %.200q says that it was written at revision %d; it lies at %d", kv.Key, kv.ModRevision, rev.main)
		}
		return visit(kv)
	})
}

// readRevision reads the key of a record.
func readRevision(k []byte) (rev revision, deleted bool, err error) {
	if len(k) == 18 && k[17] == 't' {
		k, deleted = k[:17], true
	}
	if len(k) != 17 || k[8] != '_' {
		return rev, false, fail.Errorf(fail.Corrupt, "%.40q is no revision", k)
	}
	rev = revision{int64(binary.BigEndian.Uint64(k)), int64(binary.BigEndian.Uint64(k[9:]))}
	if rev.main < 0 || rev.sub < 0 {
		return rev, false, fail.Errorf(fail.Corrupt, "%.40q is no revision", k)
	}
	return rev, deleted, nil
}

// The fields of etcd's KeyValue that are read.
const (
	fieldKey    protowire.Number = 1
	fieldCreate protowire.Number = 2
	fieldMod    protowire.Number = 3
	fieldValue  protowire.Number = 5
)

// readKV decodes etcd's protobuf message KeyValue. Fields that are not known are passed over.
func readKV(b []byte) (KV, error) {
	var kv KV
	for len(b) > 0 {
		number, kind, n := protowire.ConsumeTag(b)
		if n < 0 {
			return kv, badRecord(protowire.ParseError(n))
		}
		b = b[n:]
		switch {
		case number == fieldKey && kind == protowire.BytesType:
			var key []byte
			if key, n = protowire.ConsumeBytes(b); n >= 0 {
				kv.Key = string(key)
			}
		case number == fieldValue && kind == protowire.BytesType:
			kv.Value, n = protowire.ConsumeBytes(b)
		case (number == fieldCreate || number == fieldMod) && kind == protowire.VarintType:
			var v uint64
			v, n = protowire.ConsumeVarint(b)
			if number == fieldCreate {
				kv.CreateRevision = int64(v)
			} else {
				kv.ModRevision = int64(v)
			}
		default:
			n = protowire.ConsumeFieldValue(number, kind, b)
		}
		if n < 0 {
			return kv, badRecord(protowire.ParseError(n))
		}
		b = b[n:]
	}
	return kv, nil
}

func badRecord(err error) error { return fail.Errorf(fail.Corrupt, "a record of a key: %w", err) }
