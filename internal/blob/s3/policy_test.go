// SPDX-License-Identifier: Apache-2.0

package s3_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"hozon.dev/hozon/internal/blob"
	"hozon.dev/hozon/internal/blob/blobtest"
	"hozon.dev/hozon/internal/blob/s3"
	"hozon.dev/hozon/internal/fail"
)

// policy are the actions that Velero's documentation, and that of CircleCI Server, gives to the user of the bucket. There is no
// s3:ListBucketMultipartUploads in it, and no s3:GetBucketLocation.
var policy = []string{"s3:GetObject", "s3:DeleteObject", "s3:PutObject", "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts", "s3:ListBucket"}

// action is the right that a request needs, by Amazon's table of actions.
func action(r *http.Request) string {
	query := r.URL.Query()
	_, object, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	switch {
	case object == "" && query.Has("location"):
		return "s3:GetBucketLocation"
	case object == "" && query.Has("uploads"):
		return "s3:ListBucketMultipartUploads"
	case object == "" && (r.Method == http.MethodHead || r.Method == http.MethodGet && query.Has("list-type")):
		return "s3:ListBucket"
	case object == "":
		return "another action on the bucket"
	case r.Header.Get("X-Amz-Tagging") != "":
		return "s3:PutObjectTagging"
	case query.Has("uploadId") && r.Method == http.MethodDelete:
		return "s3:AbortMultipartUpload"
	case query.Has("uploadId") && r.Method == http.MethodGet:
		return "s3:ListMultipartUploadParts"
	case r.Method == http.MethodPut, r.Method == http.MethodPost && (query.Has("uploads") || query.Has("uploadId")):
		return "s3:PutObject"
	case r.Method == http.MethodDelete:
		return "s3:DeleteObject"
	case r.Method == http.MethodGet || r.Method == http.MethodHead:
		return "s3:GetObject"
	}
	return "another action on the object"
}

// guard refuses what the policy does not allow.
func guard(t *testing.T) func(w http.ResponseWriter, r *http.Request) bool {
	var once sync.Once
	return func(w http.ResponseWriter, r *http.Request) bool {
		if slices.Contains(policy, action(r)) {
			return false
		}
		once.Do(func() { t.Errorf("%s %s needs %s", r.Method, r.URL.Path, action(r)) })
		w.WriteHeader(http.StatusForbidden)
		fmt.Fprint(w, `<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>`)
		return true
	}
}

// TestPolicy runs the whole suite, and what becomes of uploads that nobody ends, behind a guard that lets the actions of the documented policy pass and no other.
func TestPolicy(t *testing.T) {
	server := start(t)
	buckets := 0
	openGuarded := func(t *testing.T) (*s3.Bucket, *proxy) {
		buckets++
		bucket := fmt.Sprintf("bucket-%d", buckets)
		if err := server.CreateBucket(bucket); err != nil {
			t.Fatal(err)
		}
		p := newProxy(t, server.Endpoint)
		p.before = guard(t)
		p.Start()
		b, err := s3.Open(t.Context(), s3.Config{Bucket: bucket, Endpoint: p.URL, ConditionalPut: s3.On, Uploads: s3.Uploads})
		if err != nil {
			t.Fatal(err)
		}
		return b, p
	}
	t.Run("Suite", func(t *testing.T) {
		blobtest.Suite{
			Open: func(t *testing.T) blob.Bucket { b, _ := openGuarded(t); return b },
			Skip: map[string]string{
				"DeleteBesidePut": "versitygw 1.8.0 refuses a PUT (ExistingObjectIsDirectory) that meets the removal of an emptied folder",
				"CancelledMidPut": "an upload under way is noted in the bucket, and so listed",
			},
		}.Run(t)
	})
	t.Run("Stale", func(t *testing.T) {
		b, p := openGuarded(t)
		testStale(t, b, p)
	})
}

// testStale leaves an upload behind, as a process does that is killed, and removes it.
func testStale(t *testing.T, b *s3.Bucket, p *proxy) {
	dead, die := context.WithCancel(t.Context())
	pass := p.before
	p.before = func(w http.ResponseWriter, r *http.Request) bool {
		if dead.Err() != nil {
			panic(http.ErrAbortHandler) // nothing more of it reaches the server
		}
		return pass(w, r)
	}
	_, err := b.Put(t.Context(), "big", io.MultiReader(io.LimitReader(zeros{}, 20<<20), readerFunc(func([]byte) (int, error) { die(); return 0, io.ErrUnexpectedEOF })), blob.PutOptions{})
	if err == nil {
		t.Fatal("a Put whose reader fails succeeded")
	}
	p.before = pass
	records := func() (keys []string) {
		if err := b.List(t.Context(), s3.Uploads, false, func(i blob.Info) error { keys = append(keys, i.Key); return nil }); err != nil {
			t.Fatal(err)
		}
		return keys
	}
	if got := records(); len(got) != 1 {
		t.Fatalf("records: %v, want one", got)
	}
	if n, err := b.Sweep(t.Context(), time.Now().Add(-time.Hour)); n != 0 || err != nil {
		t.Errorf("sweep of what is old: %d, %v", n, err)
	}
	if n, err := b.Sweep(t.Context(), time.Now().Add(time.Hour)); n != 1 || err != nil {
		t.Errorf("sweep: %d, %v", n, err)
	}
	if p.count("DELETE uploadId") == 0 {
		t.Error("the upload was not aborted")
	}
	if n, err := b.Put(t.Context(), "big", io.LimitReader(zeros{}, 20<<20), blob.PutOptions{}); n != 20<<20 || err != nil {
		t.Errorf("put: %d, %v", n, err)
	}
	if got := records(); len(got) != 0 {
		t.Errorf("records after all: %v", got)
	}
	put(t, b, s3.Uploads+"garbage.json", "no JSON")
	if n, err := b.Sweep(t.Context(), time.Now().Add(time.Hour)); n != 1 || err != nil || len(records()) != 0 {
		t.Errorf("sweep of garbage: %d, %v", n, err)
	}
}

// TestClock is a server whose clock is an hour ahead: the age of a signature is what it looks at.
func TestClock(t *testing.T) {
	_, p, b := behindProxy(t)
	p.before = func(w http.ResponseWriter, r *http.Request) bool {
		signed, err := time.Parse("20060102T150405Z", r.Header.Get("X-Amz-Date"))
		if age := time.Now().Add(time.Hour).Sub(signed); err == nil && age < 15*time.Minute {
			return false
		}
		w.WriteHeader(http.StatusForbidden)
		fmt.Fprint(w, `<Error><Code>RequestTimeTooSkewed</Code><Message>The difference between the request time and the server's time is too large.</Message></Error>`)
		return true
	}
	_, err := b.Put(t.Context(), "k", strings.NewReader("x"), blob.PutOptions{})
	if !fail.Is(err, fail.Denied) || !strings.Contains(err.Error(), "the clock of this machine and that of "+p.URL) {
		t.Errorf("%v (%v)", err, fail.Of(err))
	}
}
