// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"hozon.dev/hozon/internal/fail"
	"hozon.dev/hozon/internal/object"
)

var podType = object.Type{Version: "v1", Resource: "pods", Kind: "Pod", Namespaced: true}

// An API server cannot be made to throttle on demand: this server answers with the statuses in order, then 200.
func throttling(t *testing.T, statuses []int, header http.Header) (*Client, *atomic.Int64) {
	var n atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		i := int(n.Add(1)) - 1
		if i >= len(statuses) {
			w.Header().Set("Content-Type", "application/json")
			w.Write([]byte("{}"))
			return
		}
		for key := range header {
			w.Header().Set(key, header.Get(key))
		}
		w.WriteHeader(statuses[i])
		w.Write([]byte("try later"))
	}))
	t.Cleanup(server.Close)
	c, err := New(&rest.Config{Host: server.URL})
	if err != nil {
		t.Fatal(err)
	}
	c.retry.first = time.Millisecond
	return c, &n
}

func TestRetry(t *testing.T) {
	now := http.Header{"Retry-After": {"0"}}
	tests := []struct {
		name     string
		statuses []int
		header   http.Header
		write    bool
		options  WriteOptions
		calls    int64
		ok       bool
	}{
		{name: "read, throttled twice", statuses: []int{429, 429}, header: now, calls: 3, ok: true},
		{name: "read, 503 without a time", statuses: []int{503, 500}, calls: 3, ok: true},
		{name: "read, for ever", statuses: []int{503, 503, 503, 503, 503, 503}, calls: 5},
		{name: "read, final", statuses: []int{403}, calls: 1},
		{name: "write, throttled", statuses: []int{429}, header: now, write: true, calls: 2, ok: true},
		{name: "write, throttled, caller steers", statuses: []int{429}, header: now, write: true, options: WriteOptions{NoRetry: true}, calls: 1},
		{name: "write, 503 with a time", statuses: []int{503}, header: now, write: true, calls: 2, ok: true},
		{name: "write, 500 without a time may have been done", statuses: []int{500}, write: true, calls: 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, n := throttling(t, tt.statuses, tt.header)
			var err error
			if tt.write {
				_, err = c.Create(t.Context(), podType, "ns", []byte(`{"metadata":{"name":"web"}}`), tt.options)
			} else {
				_, err = c.Get(t.Context(), podType, "ns", "web")
			}
			if (err == nil) != tt.ok || n.Load() != tt.calls {
				t.Errorf("%d calls, %v; want %d, ok %v", n.Load(), err, tt.calls, tt.ok)
			}
			if err != nil && !strings.HasSuffix(err.Error(), "pods/ns/web: try later") && !strings.Contains(err.Error(), "pods/ns/web: ") {
				t.Errorf("the error does not name the object: %v", err)
			}
			if got := c.Calls()["total"]; got != tt.calls {
				t.Errorf("counted %d calls", got)
			}
		})
	}
}

func TestRetryAfter(t *testing.T) {
	c, _ := throttling(t, []int{429}, http.Header{"Retry-After": {"7"}})
	_, err := c.Create(t.Context(), podType, "ns", []byte(`{}`), WriteOptions{NoRetry: true})
	wait, ok := RetryAfter(err)
	if !ok || wait != 7*time.Second || !fail.Is(err, fail.Transient) {
		t.Errorf("%v %v %v", wait, ok, err)
	}
}

// A wait between tries ends with the context.
func TestCancelledWait(t *testing.T) {
	c, n := throttling(t, []int{429, 429, 429, 429}, http.Header{"Retry-After": {"30"}})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { _, err := c.Get(ctx, podType, "ns", "web"); done <- err }()
	for n.Load() == 0 {
		time.Sleep(time.Millisecond)
	}
	start := time.Now()
	cancel()
	if err := <-done; err == nil || time.Since(start) > time.Second {
		t.Errorf("%v after %v", err, time.Since(start))
	}
}

func TestKinds(t *testing.T) {
	terminating := metav1.Status{Code: 403, Details: &metav1.StatusDetails{Causes: []metav1.StatusCause{{Type: corev1.NamespaceTerminatingCause}}}}
	tests := []struct {
		status  metav1.Status
		kind    fail.Kind
		expired bool
	}{
		{metav1.Status{Code: 400}, fail.Invalid, false},
		{metav1.Status{Code: 401}, fail.Denied, false},
		{metav1.Status{Code: 403}, fail.Denied, false},
		{terminating, fail.Busy, false},
		{metav1.Status{Code: 404}, fail.NotFound, false},
		{metav1.Status{Code: 405}, fail.Unsupported, false},
		{metav1.Status{Code: 406}, fail.Unsupported, false},
		{metav1.Status{Code: 409}, fail.Busy, false},
		{metav1.Status{Code: 409, Reason: metav1.StatusReasonAlreadyExists}, fail.Exists, false},
		{metav1.Status{Code: 410}, fail.Transient, true},
		{metav1.Status{Code: 415}, fail.Unsupported, false},
		{metav1.Status{Code: 422}, fail.Invalid, false},
		{metav1.Status{Code: 429}, fail.Transient, false},
		{metav1.Status{Code: 500}, fail.Transient, false},
		{metav1.Status{Code: 503}, fail.Transient, false},
		{metav1.Status{Code: 504}, fail.Transient, false},
	}
	for _, tt := range tests {
		if kind, expired := kindOf(tt.status); kind != tt.kind || expired != tt.expired {
			t.Errorf("%d %s: %v %v, want %v %v", tt.status.Code, tt.status.Reason, kind, expired, tt.kind, tt.expired)
		}
	}
}

func TestStatusError(t *testing.T) {
	c, _ := throttling(t, []int{410}, nil)
	_, err := c.Get(t.Context(), podType, "", "web")
	var status *apierrors.StatusError
	if !errors.As(err, &status) || status.Status().Code != 410 || !errors.Is(err, ErrExpired) {
		t.Errorf("%v", err)
	}
}

// TestDiscoveryIsRepeated: a passing fault of the discovery is none of the run.
func TestDiscoveryIsRepeated(t *testing.T) {
	c, n := throttling(t, []int{500, 502}, nil)
	if _, _, err := c.Types(t.Context(), false); err != nil || n.Load() < 3 {
		t.Errorf("%d calls, %v", n.Load(), err)
	}
	c, n = throttling(t, []int{500, 500, 500, 500, 500, 500, 500}, nil)
	if _, _, err := c.Types(t.Context(), false); !fail.Is(err, fail.Transient) || n.Load() > 6 {
		t.Errorf("%d calls, %v", n.Load(), err)
	}
}
