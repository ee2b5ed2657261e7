// SPDX-License-Identifier: Apache-2.0

package restore_test

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"testing"

	velerov1 "hozon.dev/hozon/api/velero/v1"
	"hozon.dev/hozon/internal/archive"
	"hozon.dev/hozon/internal/blob"
	"hozon.dev/hozon/internal/blob/mem"
	"hozon.dev/hozon/internal/cluster/clustertest"
	"hozon.dev/hozon/internal/fail"
	"hozon.dev/hozon/internal/report"
	"hozon.dev/hozon/internal/restore"
)

// noise is text that does not shrink to nothing.
func noise(seed, n int) string {
	r := rand.New(rand.NewPCG(uint64(seed), 1))
	text := make([]byte, n)
	for i := range text {
		text[i] = 'a' + byte(r.IntN(26))
	}
	return string(text)
}

func file(t *testing.T, b blob.Bucket, key string) []byte {
	t.Helper()
	r, err := b.Get(t.Context(), key, 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	data, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// flip changes one byte of a file.
func flip(t *testing.T, b blob.Bucket, key string, at int64) {
	t.Helper()
	data := file(t, b, key)
	data[at] ^= 0x10
	if _, err := b.Put(t.Context(), key, bytes.NewReader(data), blob.PutOptions{}); err != nil {
		t.Fatal(err)
	}
}

// TestPart: a restore of one namespace of many reads its own blocks only, and notices what is wrong with those, or with the index. That it
// does not read the others shows when they are broken.
func TestPart(t *testing.T) {
	c := clustertest.Shared(t)
	k, first := client(t, c), c.Namespace(t)
	const archiveKey, indexKey, perNamespace, others = "backups/b/b.tar.gz", "backups/b/hozon-index.gz", 3, 6
	var objects [][]byte
	for i := range others + 1 {
		for n := range perNamespace {
			ns := first
			if i > 0 {
				ns = fmt.Sprintf("%s-%d", first, i)
			}
			objects = append(objects, configMap(ns, fmt.Sprintf("cm-%d", n), noise(i*100+n, 500<<10)))
		}
	}
	for _, tc := range []struct {
		name        string
		damage      func(t *testing.T, b blob.Bucket, own, other archive.Span)
		part, whole bool // can be restored
	}{
		{name: "intact", damage: func(*testing.T, blob.Bucket, archive.Span, archive.Span) {}, part: true, whole: true},
		{name: "another block", part: true, damage: func(t *testing.T, b blob.Bucket, _, other archive.Span) {
			flip(t, b, archiveKey, other.Offset+other.Length/2)
		}},
		{name: "its own block", damage: func(t *testing.T, b blob.Bucket, own, _ archive.Span) {
			flip(t, b, archiveKey, own.Offset+own.Length/8)
		}},
		{name: "the index", damage: func(t *testing.T, b blob.Bucket, _, _ archive.Span) {
			flip(t, b, indexKey, int64(len(file(t, b, indexKey))-20))
		}},
		{name: "no index", part: true, whole: true, damage: func(t *testing.T, b blob.Bucket, _, _ archive.Span) {
			if err := b.Delete(t.Context(), indexKey); err != nil {
				t.Fatal(err)
			}
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := mem.New()
			s := backup(t, b, "b", true, objects)
			var own, other archive.Span
			err := archive.ReadIndex(bytes.NewReader(file(t, b, indexKey)), func(e archive.IndexEntry) error {
				switch {
				case e.Ref.Namespace == first && e.Ref.Name == "cm-0": // what is added first
					own = e.Block
				case e.Ref.Namespace != first:
					other = e.Block
				}
				return nil
			})
			if err != nil || own == other {
				t.Fatal(err, own, other)
			}
			tc.damage(t, b, own, other)
			check := func(spec velerov1.RestoreSpec, name string, ok bool, want int) {
				r, err := run(t, k, s, name, spec, restore.Options{DryRun: true})
				switch {
				case ok && err != nil:
					t.Errorf("%s: %v", name, err)
				case ok && r.Report.Counts[report.Created] != want:
					t.Errorf("%s: %v, want %d created", name, r.Report.Counts, want)
				case !ok && !fail.Is(err, fail.Corrupt):
					t.Errorf("%s: %v is not called corrupt", name, err)
				}
			}
			check(velerov1.RestoreSpec{BackupName: "b", IncludedNamespaces: []string{first}}, "part", tc.part, perNamespace)
			check(velerov1.RestoreSpec{BackupName: "b"}, "whole", tc.whole, (others+1)*perNamespace+others)
		})
	}
}
