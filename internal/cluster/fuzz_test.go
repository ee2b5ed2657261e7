// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"hozon.dev/hozon/internal/fail"
	"hozon.dev/hozon/internal/object"
)

var fuzzed = object.Type{Version: "v1", Resource: "pods", Kind: "Pod", Namespaced: true}

// FuzzStatus reads any answer that is no success. It becomes an error that names the call, and holds what the server said.
func FuzzStatus(f *testing.F) {
	f.Add(409, "", []byte(`{"kind":"Status","status":"Failure","reason":"AlreadyExists","message":"exists","code":409}`))
	f.Add(403, "", []byte(`{"kind":"Status","status":"Failure","reason":"Forbidden","details":{"causes":[{"reason":"NamespaceTerminating"}]},"code":403}`))
	f.Add(429, "3", []byte(`too many`))
	f.Add(500, "-1", []byte(`{"kind":"Status","status":"Failure"}`))
	f.Add(0, "999999999999999999999", []byte("\xff"))
	f.Fuzz(func(t *testing.T, code int, after string, body []byte) {
		c := &Client{base: "https://server"}
		k := call{verb: verbCreate, method: http.MethodPost, t: fuzzed, namespace: "n", name: "p"}
		resp := &http.Response{StatusCode: code, Header: http.Header{"Retry-After": {after}}, Body: io.NopCloser(bytes.NewReader(body))}
		if wait, again := repeatable(k, resp); again && wait < 0 {
			t.Errorf("wait %s", wait)
		}
		err := c.statusError(k, resp)
		var status *apierrors.StatusError
		if err == nil || !errors.As(err, &status) || !bytes.Contains([]byte(err.Error()), []byte("create pods/n/p")) {
			t.Errorf("%v", err)
		}
		RetryAfter(err)
	})
}

// FuzzWatch reads any bytes as the events of a watch. It comes to an end, and what is no event is an error.
func FuzzWatch(f *testing.F) {
	f.Add([]byte(`{"type":"ADDED","object":{"metadata":{"name":"a"}}}{"type":"BOOKMARK","object":{}}`))
	f.Add([]byte(`{"type":"ERROR","object":{"kind":"Status","code":410,"reason":"Expired"}}`))
	f.Add([]byte(`{"type":"ERROR","object":[]} x`))
	f.Fuzz(func(t *testing.T, stream []byte) {
		w := &Watch{body: io.NopCloser(bytes.NewReader(nil)), call: call{verb: verbWatch, t: fuzzed}, wrap: func(err error) error { return fail.As(fail.Transient, err) }}
		w.dec = json.NewDecoder(bytes.NewReader(stream))
		for n := 0; ; n++ {
			e, err := w.Next()
			if err != nil {
				return
			}
			if e.Type == "ERROR" || n > len(stream) {
				t.Fatalf("event %d: %+v", n, e)
			}
		}
	})
}
