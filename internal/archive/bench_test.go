// SPDX-License-Identifier: Apache-2.0

package archive_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"hozon.dev/hozon/internal/archive"
)

// corpus is n items of about 4 kB that resemble what an API server sends: the items of the reference backup
// "everything" below 20 kB, each time with other names, uids, hashes and times.
var corpus = sync.OnceValues(func() ([]archive.Item, error) { return makeCorpus(10000) })

func makeCorpus(n int) ([]archive.Item, error) {
	f, err := openFixture("plain", "everything")
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var base []archive.Item
	_, err = archive.Read(f, archive.ReadOptions{}, func(e archive.Entry) error {
		if e.Unversioned && e.Err == nil && len(e.Body) > 1000 && len(e.Body) < 20000 {
			base = append(base, archive.Item{Ref: e.Ref, Version: e.Version, Kind: e.Head.Kind, Preferred: true, Body: bytes.Clone(e.Body)})
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	rnd := rand.New(rand.NewPCG(7, 7))
	items := make([]archive.Item, n)
	for i := range items {
		it := base[i%len(base)]
		it.Body = vary(rnd, it.Body)
		it.Ref.Name = fmt.Sprintf("%s-%05d", it.Ref.Name, i)
		filler := make([]byte, 40)
		for j := range filler {
			filler[j] = "abcdefghijklmnopqrstuvwxyz0123456789"[rnd.IntN(36)]
		}
		// What the reference items lack in length, another manager's fields have.
		extra, err := json.Marshal(map[string]any{"note": string(filler), "fields": it.Body[:min(len(it.Body), max(0, 4000-len(it.Body)))]})
		if err != nil {
			return nil, err
		}
		it.Body = append(append(it.Body[:len(it.Body)-1:len(it.Body)-1], `,"x":`...), append(extra, '}')...)
		items[i] = it
	}
	slices.SortStableFunc(items, func(a, b archive.Item) int {
		return bytes.Compare([]byte(a.Ref.GroupResource()), []byte(b.Ref.GroupResource()))
	})
	return items, nil
}

// vary gives every run of 4 and more hexadecimal digits another value: uids, hashes, times, addresses.
func vary(rnd *rand.Rand, body []byte) []byte {
	out := bytes.Clone(body)
	hex := func(c byte) bool { return c >= '0' && c <= '9' || c >= 'a' && c <= 'f' }
	for i := 0; i < len(out); {
		j := i
		digits := 0
		for j < len(out) && hex(out[j]) {
			if out[j] <= '9' {
				digits++
			}
			j++
		}
		if j-i >= 4 && digits > 0 {
			for k := i; k < j; k++ {
				if out[k] <= '9' {
					out[k] = byte('0' + rnd.IntN(10))
				} else {
					out[k] = byte('a' + rnd.IntN(6))
				}
			}
		}
		i = max(j, i+1)
	}
	return out
}

// cpu reports the processor time of the whole process, which counts more than the wall when there are few cores.
func cpu(b *testing.B) func() {
	used := func() time.Duration {
		var u syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
			b.Fatal(err)
		}
		return time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	start := used()
	return func() { b.ReportMetric(float64((used()-start).Milliseconds())/float64(b.N), "cpu-ms/op") }
}

func BenchmarkWrite(b *testing.B) {
	items, err := corpus()
	if err != nil {
		b.Fatal(err)
	}
	for level := 1; level <= 6; level++ {
		b.Run(fmt.Sprintf("level=%d", level), func(b *testing.B) {
			b.ReportAllocs()
			defer cpu(b)()
			for range b.N {
				w := archive.NewWriter(io.Discard, archive.Options{Level: level})
				lane := w.Lane()
				for _, it := range items {
					if err := lane.Add(it); err != nil {
						b.Fatal(err)
					}
				}
				if err := lane.Close(); err != nil {
					b.Fatal(err)
				}
				sum, err := w.Close()
				if err != nil {
					b.Fatal(err)
				}
				isum, err := w.WriteIndex(io.Discard)
				if err != nil {
					b.Fatal(err)
				}
				b.SetBytes(sum.Uncompressed)
				b.ReportMetric(float64(sum.Size)/1e6, "MB-file")
				b.ReportMetric(float64(isum.Size)/1e6, "MB-index")
			}
		})
	}
}

func BenchmarkRead(b *testing.B) {
	items, err := corpus()
	if err != nil {
		b.Fatal(err)
	}
	file, w := put(b, items...)
	index, _ := writeIndex(b, w)
	skip := func(archive.Entry) error { return nil }
	b.Run("read", func(b *testing.B) {
		b.ReportAllocs()
		defer cpu(b)()
		for range b.N {
			sum, err := archive.Read(bytes.NewReader(file), archive.ReadOptions{}, skip)
			if err != nil {
				b.Fatal(err)
			}
			b.SetBytes(sum.Uncompressed)
		}
	})
	b.Run("verify", func(b *testing.B) {
		b.ReportAllocs()
		defer cpu(b)()
		for range b.N {
			sum, err := archive.Verify(bytes.NewReader(index), bytes.NewReader(file), archive.ReadOptions{}, skip)
			if err != nil {
				b.Fatal(err)
			}
			b.SetBytes(sum.Uncompressed)
		}
	})
	b.Run("index", func(b *testing.B) {
		b.ReportAllocs()
		defer cpu(b)()
		for range b.N {
			if err := archive.ReadIndex(bytes.NewReader(index), func(archive.IndexEntry) error { return nil }); err != nil {
				b.Fatal(err)
			}
		}
	})
}
