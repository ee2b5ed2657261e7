// SPDX-License-Identifier: Apache-2.0

package gcs

import (
	"io"
	"net/http"
	"time"
)

// tries of a request that has no body, the first included. Uploads are repeated by the library, which keeps what it has sent.
const tries = 3

// patient repeats requests without a body on faults of the network and of the server, and asks for objects as they are stored.
type patient struct{ next http.RoundTripper }

func (p patient) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Query().Get("alt") == "media" {
		r = r.Clone(r.Context())
		r.Header.Set("Accept-Encoding", "gzip") // or the server would unpack what somebody has stored with Content-Encoding: gzip
	}
	for n := 1; ; n++ {
		response, err := p.next.RoundTrip(r)
		if r.Body != nil || n == tries || !passing(response, err) {
			return response, err
		}
		if response != nil {
			_, _ = io.CopyN(io.Discard, response.Body, 64<<10) // so that the connection can be used again
			response.Body.Close()
		}
		timer := time.NewTimer(time.Duration(n*n) * 200 * time.Millisecond)
		select {
		case <-r.Context().Done():
			timer.Stop()
			return nil, r.Context().Err()
		case <-timer.C:
		}
	}
}

func passing(response *http.Response, err error) bool {
	if err != nil {
		return true
	}
	return response.StatusCode >= 500 && response.StatusCode != http.StatusNotImplemented || response.StatusCode == http.StatusTooManyRequests || response.StatusCode == http.StatusRequestTimeout
}
