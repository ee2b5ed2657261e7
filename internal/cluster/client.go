// SPDX-License-Identifier: Apache-2.0

// Package cluster is the one door to an API server: raw JSON bytes in and out.
//
// A Client knows where the server is and who we are (kubeconfig, in-cluster account). Its methods are the verbs
// of the API: an object.Type and a name say what is meant, bodies are the JSON of the wire, never decoded here.
//
// Invariants:
//   - Every error names verb, object, and what the server said, carries a kind of internal/fail, and still holds the
//     server's *apierrors.StatusError for errors.As. An expired revision is also ErrExpired.
//   - A call that the server refused before doing anything (429, or 5xx with Retry-After), and reads that met a passing
//     fault, are repeated a few times within a bound; WriteOptions.NoRetry leaves the 429 to the caller.
//   - No rate limit of our own unless Options ask for one.
//
// It caches nothing, has no informers, and does not know what objects mean.
package cluster

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"k8s.io/apimachinery/pkg/util/net"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/util/flowcontrol"
)

// Client speaks to one API server. It is safe for concurrent use.
type Client struct {
	http      *http.Client
	base      string // scheme, host and path prefix, without a trailing slash
	agent     string
	limit     flowcontrol.RateLimiter // nil: none
	discovery *discovery.DiscoveryClient
	config    *rest.Config // for what is no call: streams
	count     *counter
	retry     retryPolicy
}

// New returns a client for cfg, which is copied. QPS and Burst of cfg limit the rate only if QPS is above zero.
func New(cfg *rest.Config) (*Client, error) {
	base, _, err := rest.DefaultServerUrlFor(cfg)
	if err != nil {
		return nil, invalid("open the cluster %q: %w", cfg.Host, err)
	}
	own := rest.CopyConfig(cfg)
	c := &Client{base: baseOf(base), agent: cfg.UserAgent, config: rest.CopyConfig(cfg), count: newCounter(), retry: defaultRetry}
	if c.agent == "" {
		c.agent = "hozon"
	}
	if cfg.QPS > 0 {
		c.limit = flowcontrol.NewTokenBucketRateLimiter(cfg.QPS, max(cfg.Burst, 1))
	}
	// The agent is set on each request: client-go's wrapper would copy every request for it.
	own.UserAgent, own.Timeout = "", 0
	own.Wrap(boundReceiveBuffer)
	if c.http, err = rest.HTTPClientFor(own); err != nil {
		return nil, invalid("open the cluster %s: %w", c.base, err)
	}
	if c.discovery, err = c.newDiscovery(own); err != nil {
		return nil, invalid("open the cluster %s: %w", c.base, err)
	}
	return c, nil
}

// receiveBuffer is how much of a response the transport reads ahead of its reader. Go's default of 4 MiB a stream is a sizeable
// part of the memory of a backup; 1 MiB keeps 20 MB/s flowing over 50 ms.
const receiveBuffer = 1 << 20

func boundReceiveBuffer(rt http.RoundTripper) http.RoundTripper {
	inner := rt
	for w, ok := inner.(net.RoundTripperWrapper); ok; w, ok = inner.(net.RoundTripperWrapper) {
		inner = w.WrappedRoundTripper()
	}
	if t, ok := inner.(*http.Transport); ok && t.HTTP2 == nil {
		t.HTTP2 = &http.HTTP2Config{MaxReceiveBufferPerStream: receiveBuffer, MaxReceiveBufferPerConnection: 4 * receiveBuffer}
	}
	return rt
}

// Server is the URL of the API server.
func (c *Client) Server() string { return c.base }

// Calls is the number of requests sent so far, repeated ones included, by verb ("list", "get", "create", …), and
// their sum as "total". Requests of the discovery count as "get".
func (c *Client) Calls() map[string]int64 { return c.count.all() }

// newDiscovery returns client-go's discovery over our connections, with its requests counted, and repeated like other reads.
func (c *Client) newDiscovery(cfg *rest.Config) (*discovery.DiscoveryClient, error) {
	counted := *c.http
	next := counted.Transport
	if next == nil { // client-go's way to say that nothing is special
		next = http.DefaultTransport
	}
	counted.Transport = discoveryTransport{next, c.count, c.retry}
	own := rest.CopyConfig(cfg)
	own.UserAgent, own.QPS = c.agent, -1
	return discovery.NewDiscoveryClientForConfigAndClient(own, &counted)
}

func baseOf(u *url.URL) string {
	return fmt.Sprintf("%s://%s%s", u.Scheme, u.Host, strings.TrimSuffix(u.Path, "/"))
}
