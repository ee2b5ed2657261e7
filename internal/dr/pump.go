// SPDX-License-Identifier: Apache-2.0

package dr

import (
	"context"
	"runtime"

	"golang.org/x/sync/errgroup"

	"hozon.dev/hozon/internal/dr/decode"
	"hozon.dev/hozon/internal/etcd"
)

// A batch goes from the one reader of the file to one of the decoders.
const (
	batchKeys  = 256
	batchBytes = 1 << 20
)

// found is one live key with what it was decoded to.
type found struct {
	key    string
	rest   string // of the key, below the prefix; "" if it is below none
	size   int    // of the value as stored
	object decode.Object
	err    error
}

// taker takes what is found, in one goroutine.
type taker interface {
	take(found) error
	close() error
}

// batch holds copies of keys and values.
type batch struct {
	kvs   []etcd.KV
	bytes int
}

// pump reads every live key that is wanted (nil: all) and decodes them side by side; each goroutine has a taker of its own. Objects come in no order.
func (i *Image) pump(ctx context.Context, want func(key string) bool, begin func() taker) error {
	group, ctx := errgroup.WithContext(ctx)
	batches := make(chan *batch, 2)
	group.Go(func() error {
		defer close(batches)
		return i.fill(ctx, want, batches)
	})
	for range runtime.GOMAXPROCS(0) {
		t := begin()
		group.Go(func() error {
			for b := range batches {
				for _, kv := range b.kvs {
					if err := t.take(i.decode(kv)); err != nil {
						return err
					}
				}
			}
			if ctx.Err() != nil {
				return ctx.Err()
			}
			return t.close()
		})
	}
	return group.Wait()
}

// fill reads the file into batches.
func (i *Image) fill(ctx context.Context, want func(key string) bool, batches chan<- *batch) error {
	b := &batch{}
	send := func() error {
		select {
		case batches <- b:
			b = &batch{}
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	err := i.live.Each(ctx, want, func(kv etcd.KV) error {
		kv.Value = append([]byte{}, kv.Value...)
		b.kvs = append(b.kvs, kv)
		if b.bytes += len(kv.Value); b.bytes >= batchBytes || len(b.kvs) >= batchKeys {
			return send()
		}
		return nil
	})
	if err != nil || len(b.kvs) == 0 {
		return err
	}
	return send()
}

func (i *Image) decode(kv etcd.KV) found {
	f := found{key: kv.Key, size: len(kv.Value)}
	rest, ok := i.below(kv.Key)
	if !ok {
		return f
	}
	f.rest = rest
	f.object, f.err = i.decoder.Decode(kv.Key, rest, kv.Value, kv.ModRevision)
	return f
}
