// SPDX-License-Identifier: Apache-2.0

package faulty_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"hozon.dev/hozon/internal/blob"
	"hozon.dev/hozon/internal/blob/blobtest"
	"hozon.dev/hozon/internal/blob/faulty"
	"hozon.dev/hozon/internal/blob/mem"
	"hozon.dev/hozon/internal/fail"
)

func TestBucket(t *testing.T) {
	blobtest.Suite{Open: func(*testing.T) blob.Bucket { return faulty.New(mem.New()) }, InMemory: true}.Run(t)
}

func put(b blob.Bucket, key, content string) error {
	_, err := b.Put(context.Background(), key, strings.NewReader(content), blob.PutOptions{})
	return err
}

func get(b blob.Bucket, key string) (string, error) {
	rc, err := b.Get(context.Background(), key, 0, -1)
	if err != nil {
		return "", err
	}
	defer rc.Close()
	data, err := io.ReadAll(rc)
	return string(data), err
}

func list(b blob.Bucket) (keys []string, err error) {
	err = b.List(context.Background(), "", false, func(i blob.Info) error { keys = append(keys, i.Key); return nil })
	return keys, err
}

func TestOps(t *testing.T) {
	b := faulty.New(mem.New())
	ctx := t.Context()
	for _, opts := range []blob.PutOptions{{}, {IfAbsent: true}} {
		_, _ = b.Put(ctx, "backups/a/a.tar.gz", strings.NewReader("x"), opts)
	}
	_, _ = b.Get(ctx, "k", 0, -1)
	_, _ = b.Get(ctx, "k", 5, 10)
	_, _ = b.Stat(ctx, "k")
	_ = b.List(ctx, "backups/", true, func(blob.Info) error { return nil })
	_ = b.List(ctx, "", false, func(blob.Info) error { return nil })
	_ = b.Delete(ctx, "k")
	want := []string{
		"put backups/a/a.tar.gz", "put backups/a/a.tar.gz (if absent)", "get k", "get k [5,+10]", "stat k", "list backups/ (shallow)", "list ", "delete k",
	}
	if diff := cmp.Diff(want, b.Ops()); diff != "" {
		t.Error(diff)
	}
	if b.Forget(); len(b.Ops()) != 0 {
		t.Error("it does not forget")
	}
}

func TestNth(t *testing.T) {
	b := faulty.New(mem.New())
	own := errors.New("own")
	third := b.Arm(faulty.Fault{N: 3, Err: own})
	second := b.Arm(faulty.Fault{Op: faulty.Get, Key: "a/*", N: 2})
	steps := []struct {
		run  func() error
		want error
	}{
		{func() error { return put(b, "a/k", "x") }, nil},
		{func() error { _, err := get(b, "a/k"); return err }, nil},
		{func() error { return put(b, "b", "x") }, own},
		{func() error { _, err := get(b, "b"); return err }, nil},
		{func() error { return put(b, "b", "x") }, nil},
		{func() error { _, err := get(b, "b"); return err }, nil},
		{func() error { _, err := get(b, "a/k"); return err }, faulty.ErrInjected},
		{func() error { _, err := get(b, "a/k"); return err }, nil},
	}
	for i, step := range steps {
		err := step.run()
		if i == 3 { // of a kind, not a value
			if !fail.Is(err, fail.NotFound) {
				t.Errorf("a failed put left something: %v", err)
			}
			continue
		}
		if !errors.Is(err, step.want) {
			t.Errorf("step %d: %v, want %v", i+1, err, step.want)
		}
	}
	<-third
	<-second
	every := b.Arm(faulty.Fault{Op: faulty.Delete})
	for range 2 {
		if err := b.Delete(t.Context(), "b"); !errors.Is(err, faulty.ErrInjected) {
			t.Errorf("delete: %v", err)
		}
	}
	<-every
	b.Disarm()
	if err := b.Delete(t.Context(), "b"); err != nil {
		t.Errorf("disarmed: %v", err)
	}
}

func TestTear(t *testing.T) {
	b := faulty.New(mem.New())
	for _, key := range []string{"a", "b", "c"} {
		if err := put(b, key, "0123456789"); err != nil {
			t.Fatal(err)
		}
	}
	for after, want := range map[int64]string{0: "01234", 3: "012", 100: "0123456789"} {
		b.Arm(faulty.Fault{Op: faulty.Get, N: 1, Mode: faulty.Tear, After: after})
		if got, err := get(b, "a"); got != want || !errors.Is(err, faulty.ErrInjected) {
			t.Errorf("get torn after %d: %q, %v", after, got, err)
		}
		b.Arm(faulty.Fault{Op: faulty.Put, N: 1, Mode: faulty.Tear, After: after})
		r := strings.NewReader("new content")
		_, err := b.Put(t.Context(), "a", r, blob.PutOptions{})
		if !errors.Is(err, faulty.ErrInjected) || after == 0 && r.Len() != 0 {
			t.Errorf("put torn after %d: %v, %d bytes unread", after, err, r.Len())
		}
		if got, err := get(b, "a"); got != "0123456789" || err != nil {
			t.Errorf("a torn put left %q, %v", got, err)
		}
	}
	b.Arm(faulty.Fault{Op: faulty.List, N: 1, Mode: faulty.Tear, After: 2})
	if keys, err := list(b); len(keys) != 2 || !errors.Is(err, faulty.ErrInjected) {
		t.Errorf("list: %q, %v", keys, err)
	}
	b.Arm(faulty.Fault{Op: faulty.Delete, N: 1, Mode: faulty.Tear})
	if err := b.Delete(t.Context(), "a"); !errors.Is(err, faulty.ErrInjected) {
		t.Errorf("delete: %v", err)
	}
	if keys, err := list(b); len(keys) != 3 || err != nil {
		t.Errorf("afterwards: %q, %v", keys, err)
	}
}

func TestLose(t *testing.T) {
	b := faulty.New(mem.New())
	b.Arm(faulty.Fault{Mode: faulty.Lose})
	if err := put(b, "a", "x"); !errors.Is(err, faulty.ErrInjected) {
		t.Errorf("put: %v", err)
	}
	if got, err := get(b, "a"); got != "x" || !errors.Is(err, faulty.ErrInjected) {
		t.Errorf("get: %q, %v", got, err)
	}
	if keys, err := list(b); len(keys) != 1 || !errors.Is(err, faulty.ErrInjected) {
		t.Errorf("list: %q, %v", keys, err)
	}
	if err := b.Delete(t.Context(), "a"); !errors.Is(err, faulty.ErrInjected) {
		t.Errorf("delete: %v", err)
	}
	b.Disarm()
	if keys, err := list(b); len(keys) != 0 || err != nil {
		t.Errorf("after the lost delete: %q, %v", keys, err)
	}
}

func TestBlock(t *testing.T) {
	b := faulty.New(mem.New())
	ctx, cancel := context.WithCancel(t.Context())
	struck := b.Arm(faulty.Fault{Op: faulty.Put, Key: "k", Mode: faulty.Block})
	done := make(chan error)
	go func() {
		_, err := b.Put(ctx, "k", strings.NewReader("x"), blob.PutOptions{})
		done <- err
	}()
	<-struck
	if err := put(b, "other", "x"); err != nil {
		t.Errorf("another operation: %v", err)
	}
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("the blocked put: %v", err)
	}
}
