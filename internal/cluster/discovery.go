// SPDX-License-Identifier: Apache-2.0

package cluster

import "net/http"

// discoveryTries is less than what send does: a group whose backend is dead is asked for in vain every time.
const discoveryTries = 3

// discoveryTransport counts the requests of client-go's discovery, all of which are reads, and repeats those that meet a passing fault.
// Answers that name a time to wait are left to client-go, which obeys them.
type discoveryTransport struct {
	next  http.RoundTripper
	count *counter
	retry retryPolicy
}

func (t discoveryTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	k, wait := call{method: r.Method}, t.retry.first
	for try := 1; ; try++ {
		t.count.add(verbGet)
		resp, err := t.next.RoundTrip(r)
		again := false
		if err != nil {
			again = passing(k, err)
		} else if resp.Header.Get("Retry-After") == "" {
			_, again = repeatable(k, resp)
		}
		if !again || try == discoveryTries || r.Context().Err() != nil {
			return resp, err
		}
		if resp != nil {
			resp.Body.Close()
		}
		if !sleep(r.Context(), wait) {
			return nil, r.Context().Err()
		}
		wait *= 3
	}
}
