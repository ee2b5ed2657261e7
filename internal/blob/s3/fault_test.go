// SPDX-License-Identifier: Apache-2.0

package s3_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"hozon.dev/hozon/internal/blob"
	"hozon.dev/hozon/internal/blob/s3"
	"hozon.dev/hozon/internal/fail"
	"hozon.dev/hozon/test/s3server"
)

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func behindProxy(t *testing.T) (*s3server.Server, *proxy, *s3.Bucket) {
	t.Helper()
	server := start(t)
	if err := server.CreateBucket("bucket"); err != nil {
		t.Fatal(err)
	}
	p := newProxy(t, server.Endpoint)
	p.Start()
	return server, p, open(t, "s3://bucket?conditional-put=true&endpoint="+p.URL)
}

// leftovers lists the parts that uploads without an end occupy at the server.
func leftovers(t *testing.T, server *s3server.Server) (found []string) {
	t.Helper()
	uploads := filepath.Join(server.BucketDir("bucket"), ".sgwtmp", "multipart")
	err := filepath.WalkDir(uploads, func(path string, entry os.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			found = append(found, path)
		}
		return err
	})
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	return found
}

// TestRights holds the calls against the list of rights that the package comment promises to do with.
func TestRights(t *testing.T) {
	_, p, b := behindProxy(t)
	put(t, b, "a/small", "x")
	for _, opts := range []blob.PutOptions{{}, {IfAbsent: true}, {IfAbsent: true}} {
		_, _ = b.Put(t.Context(), "a/big", io.LimitReader(zeros{}, 20<<20), opts)
		_, _ = b.Put(t.Context(), "a/new", strings.NewReader("x"), opts)
	}
	_, _ = b.Put(t.Context(), "a/broken", io.MultiReader(io.LimitReader(zeros{}, 20<<20), brokenReader{}), blob.PutOptions{})
	for _, r := range [][2]int64{{0, -1}, {0, 1}, {1, -1}, {5, 1}} {
		if rc, err := b.Get(t.Context(), "a/small", r[0], r[1]); err == nil {
			rc.Close()
		}
	}
	_, _ = b.Stat(t.Context(), "a/nothing")
	_ = b.List(t.Context(), "a/", true, func(blob.Info) error { return nil })
	_ = b.Delete(t.Context(), "a/small")
	want := []string{
		"DELETE",          // s3:DeleteObject
		"DELETE uploadId", // s3:AbortMultipartUpload
		"GET",             // s3:GetObject
		"GET delimiter encoding-type list-type prefix", // s3:ListBucket
		"HEAD",                    // s3:GetObject
		"POST uploadId",           // s3:PutObject
		"POST uploads",            // s3:PutObject
		"PUT",                     // s3:PutObject
		"PUT partNumber uploadId", // s3:PutObject
	}
	if diff := cmp.Diff(want, p.kinds()); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { return 0, io.ErrClosedPipe }

// TestLostAnswers: the server has stored the object, but the driver is not told, or told that somebody else has. It takes some seconds, as all
// tests here in which the library tries again.
func TestLostAnswers(t *testing.T) {
	never := func(*http.Request) bool { return false }
	for name, tt := range map[string]struct {
		size int64
		lost func(*http.Request) bool
	}{
		"single, once":      {100, once(1, isPlainPut)},
		"single, always":    {100, isPlainPut},
		"multipart, once":   {9 << 20, once(1, isComplete)},
		"multipart, always": {9 << 20, isComplete},
		"nothing lost":      {100, never},
	} {
		t.Run(name, func(t *testing.T) {
			server, p, b := behindProxy(t)
			p.lose = tt.lost
			for _, opts := range []blob.PutOptions{{IfAbsent: true}, {}} {
				n, err := b.Put(t.Context(), "a/k", io.LimitReader(zeros{}, tt.size), opts)
				if err != nil || n != tt.size {
					t.Errorf("put: %d, %v", n, err)
				}
			}
			_, err := b.Put(t.Context(), "a/k", io.LimitReader(zeros{}, tt.size), blob.PutOptions{IfAbsent: true})
			if !fail.Is(err, fail.Exists) {
				t.Errorf("put over an object of another put: %v", err)
			}
			if got := leftovers(t, server); len(got) != 0 {
				t.Errorf("left behind: %q", got)
			}
		})
	}
}

// TestFailingParts breaks an upload at its n-th part, for good.
func TestFailingParts(t *testing.T) {
	for _, n := range []int{1, 2, 4} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			server, p, b := behindProxy(t)
			p.before = func(w http.ResponseWriter, r *http.Request) bool {
				if r.URL.Query().Get("partNumber") != strconv.Itoa(n) {
					return false
				}
				refuse(w, http.StatusServiceUnavailable, "SlowDown")
				return true
			}
			_, err := b.Put(t.Context(), "a/k", io.LimitReader(zeros{}, 60<<20), blob.PutOptions{})
			if !fail.Is(err, fail.Transient) {
				t.Errorf("put: %v", err)
			}
			if _, err := b.Stat(t.Context(), "a/k"); !fail.Is(err, fail.NotFound) {
				t.Errorf("stat: %v", err)
			}
			if p.count("DELETE uploadId") == 0 { // perhaps several times: a server may still be busy with a part
				t.Error("the upload was not aborted")
			}
			if got := leftovers(t, server); len(got) != 0 {
				t.Errorf("left behind: %q", got)
			}
		})
	}
}

// TestCancelledUpload: also what ends with its caller is aborted.
func TestCancelledUpload(t *testing.T) {
	server, p, b := behindProxy(t)
	ctx, cancel := context.WithCancel(t.Context())
	p.before = func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Query().Get("partNumber") == "2" {
			cancel()
			if _, err := io.Copy(io.Discard, r.Body); err == nil {
				<-r.Context().Done() // the server notices a lost client only after the body
			}
			return true
		}
		return false
	}
	if _, err := b.Put(ctx, "a/k", io.LimitReader(zeros{}, 60<<20), blob.PutOptions{}); !errors.Is(err, context.Canceled) {
		t.Errorf("put: %v", err)
	}
	if p.count("DELETE uploadId") == 0 || len(leftovers(t, server)) != 0 {
		t.Errorf("calls %q, left behind %q", p.kinds(), leftovers(t, server))
	}
}

// TestServerDies kills the server in the middle of an upload, and starts it again.
func TestServerDies(t *testing.T) {
	server := start(t)
	if err := server.CreateBucket("bucket"); err != nil {
		t.Fatal(err)
	}
	b := open(t, "s3://bucket?endpoint="+server.Endpoint)
	put(t, b, "a/old", "old")
	kill := readerFunc(func(p []byte) (int, error) { server.Kill(); return 0, io.EOF })
	for _, size := range []int64{10, 20 << 20} {
		_, err := b.Put(t.Context(), "a/old", io.MultiReader(io.LimitReader(zeros{}, size), kill), blob.PutOptions{})
		if !fail.Is(err, fail.Transient) || !strings.Contains(err.Error(), server.Endpoint) {
			t.Errorf("put to a dead server: %v", err)
		}
		if _, err := b.Stat(t.Context(), "a/old"); !fail.Is(err, fail.Transient) {
			t.Errorf("stat at a dead server: %v", err)
		}
		if err := server.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		if info, err := b.Stat(t.Context(), "a/old"); err != nil || info.Size != 3 {
			t.Errorf("afterwards: %+v, %v", info, err)
		}
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

func refuse(w http.ResponseWriter, status int, code string) {
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(status)
	fmt.Fprintf(w, "<Error><Code>%s</Code><Message>Words of the server.</Message></Error>", code)
}

// TestRefusals makes a server say what versitygw does not. It takes some seconds: faults are tried again.
func TestRefusals(t *testing.T) {
	isolate(t)
	t.Setenv("AWS_ACCESS_KEY_ID", "AKIDTEST")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "topsecret")
	var status int
	var code string
	var answers atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answers.Add(1)
		if code == "AuthorizationHeaderMalformed" || code == "PermanentRedirect" {
			w.Header().Set("X-Amz-Bucket-Region", "eu-north-1")
		}
		refuse(w, status, code)
	}))
	defer server.Close()
	b := open(t, "s3://bucket/p?endpoint="+server.URL)
	tests := []struct {
		status int
		code   string
		kind   fail.Kind
		text   string
	}{
		{404, "NoSuchBucket", fail.NotFound, `no bucket "bucket"`},
		{403, "InvalidAccessKeyId", fail.Denied, "access key from the environment"},
		{403, "SignatureDoesNotMatch", fail.Denied, "secret key from the environment"},
		{403, "AccessDenied", fail.Denied, `may not do this in bucket "bucket"`},
		{400, "ExpiredToken", fail.Denied, "session token"},
		{403, "RequestTimeTooSkewed", fail.Denied, "clock"},
		{301, "PermanentRedirect", fail.Invalid, "set region=eu-north-1"},
		{400, "AuthorizationHeaderMalformed", fail.Invalid, "set region=eu-north-1"},
		{400, "IllegalLocationConstraintException", fail.Invalid, `not in region "us-east-1"`},
		{400, "InvalidBucketName", fail.Invalid, "name"},
		{501, "NotImplemented", fail.Unsupported, "does not have this function"},
		{507, "InsufficientStorage", fail.Unknown, "full"},
		{403, "InvalidObjectState", fail.Unsupported, "archive"},
		{503, "SlowDown", fail.Transient, "did not get through"},
		{500, "InternalError", fail.Transient, "overloaded or has a fault"},
		{429, "TooManyRequests", fail.Transient, "overloaded"},
		{418, "Strange", fail.Invalid, "refuses"},
	}
	for _, tt := range tests {
		status, code = tt.status, tt.code
		errs := sync.Map{}
		var work sync.WaitGroup
		for op, run := range operations(t.Context(), b) {
			if op != "stat k" || status < 500 { // asked for again, because a HEAD has no words; not so a fault
				work.Go(func() { errs.Store(op, run()) })
			}
		}
		work.Wait()
		for op, result := range errs.Range {
			err, _ := result.(error)
			if !fail.Is(err, tt.kind) || !strings.Contains(err.Error(), tt.text) || !strings.HasPrefix(err.Error(), op.(string)+": ") || !strings.Contains(err.Error(), tt.code) {
				t.Errorf("%s at %d %s: %v (%v), want %v with %q", op, tt.status, tt.code, err, fail.Of(err), tt.kind, tt.text)
			}
			if err != nil && strings.Contains(err.Error(), "topsecret") {
				t.Errorf("a secret in %q", err)
			}
		}
	}
	status, code = 503, "SlowDown"
	answers.Store(0)
	if _, err := b.Put(t.Context(), "k", strings.NewReader("x"), blob.PutOptions{}); err == nil || answers.Load() > 3+3 { // and it looks whether it has landed
		t.Errorf("a put was sent %d times: %v", answers.Load(), err)
	}
}

func operations(ctx context.Context, b blob.Bucket) map[string]func() error {
	return map[string]func() error{
		"put k": func() error {
			_, err := b.Put(ctx, "k", strings.NewReader("x"), blob.PutOptions{})
			return err
		},
		"get k":    func() error { _, err := b.Get(ctx, "k", 0, -1); return err },
		"stat k":   func() error { _, err := b.Stat(ctx, "k"); return err },
		"list k":   func() error { return b.List(ctx, "k", false, func(blob.Info) error { return nil }) },
		"delete k": func() error { return b.Delete(ctx, "k") },
	}
}

// TestConflict: Amazon says 409 to one of two conditional writes that meet.
func TestConflict(t *testing.T) {
	_, p, b := behindProxy(t)
	p.before = func(w http.ResponseWriter, r *http.Request) bool {
		if !isPlainPut(r) {
			return false
		}
		refuse(w, http.StatusConflict, "ConditionalRequestConflict")
		return true
	}
	_, err := b.Put(t.Context(), "k", strings.NewReader("x"), blob.PutOptions{IfAbsent: true})
	if !fail.Is(err, fail.Transient) {
		t.Errorf("nobody won: %v", err)
	}
	raced := once(1, isPlainPut)
	p.before = func(w http.ResponseWriter, r *http.Request) bool {
		if !raced(r) {
			return false
		}
		put(t, b, "k", "of the other")
		refuse(w, http.StatusConflict, "ConditionalRequestConflict")
		return true
	}
	_, err = b.Put(t.Context(), "k", strings.NewReader("x"), blob.PutOptions{IfAbsent: true})
	if !fail.Is(err, fail.Exists) {
		t.Errorf("the other won: %v", err)
	}
}

// TestBrokenRead cuts the answer to a Get.
func TestBrokenRead(t *testing.T) {
	_, p, b := behindProxy(t)
	put(t, b, "k", strings.Repeat("x", 100000))
	p.before = func(w http.ResponseWriter, r *http.Request) bool {
		w.Header().Set("Content-Length", "100000")
		w.Header().Set("Last-Modified", "Fri, 20 Nov 2026 03:00:00 GMT")
		if r.Header.Get("Range") != "" {
			w.Header().Set("Content-Range", "bytes 5-100004/200000")
			w.WriteHeader(http.StatusPartialContent)
		}
		fmt.Fprint(w, strings.Repeat("x", 60000))
		panic(http.ErrAbortHandler)
	}
	for _, offset := range []int64{0, 5} {
		rc, err := b.Get(t.Context(), "k", offset, -1)
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(rc)
		rc.Close()
		if !fail.Is(err, fail.Transient) || !errors.Is(err, io.ErrUnexpectedEOF) || len(data) > 60000 {
			t.Errorf("after %d bytes: %v (%v)", len(data), err, fail.Of(err))
		}
	}
	// A server that ignores ranges would give wrong bytes.
	p.before = func(w http.ResponseWriter, r *http.Request) bool {
		r.Header.Del("Range")
		return false
	}
	if rc, err := b.Get(t.Context(), "k", 5, 10); err == nil {
		rc.Close()
		t.Error("a whole object was taken for a range")
	}
}
