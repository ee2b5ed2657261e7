// SPDX-License-Identifier: Apache-2.0

package clustertest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strconv"
)

// CompactAtOnce is the kube-apiserver flag under which it keeps no past states
// of its own, so that what Compact throws away is gone at once; without it the
// API server answers from them for some seconds more.
const CompactAtOnce = "--feature-gates=ListFromCacheSnapshot=false"

// compactKey is where API servers tell each other what has been compacted.
const compactKey = "compact_rev_key"

// Compact throws away the history of etcd, as the API server itself does every
// five minutes: a list or watch at an older resourceVersion than the present
// one is answered with 410 Gone. See CompactAtOnce.
func (c *Cluster) Compact(ctx context.Context) error {
	now, err := c.etcd(ctx, "range", map[string]any{"key": []byte(compactKey)})
	if err != nil {
		return fmt.Errorf("compact: %w", err)
	}
	revision := strconv.FormatInt(now, 10)
	if _, err := c.etcd(ctx, "put", map[string]any{"key": []byte(compactKey), "value": []byte(revision)}); err != nil {
		return fmt.Errorf("compact: %w", err)
	}
	if _, err := c.etcd(ctx, "compaction", map[string]any{"revision": revision, "physical": true}); err != nil {
		return fmt.Errorf("compact: %w", err)
	}
	return nil
}

// etcd calls one method of etcd's key-value API through its JSON gateway and
// returns the revision in the answer.
func (c *Cluster) etcd(ctx context.Context, method string, request any) (int64, error) {
	socket := filepath.Join(c.Dir, "etcd.sock")
	client := &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", socket)
		},
	}}
	body, err := json.Marshal(request)
	if err != nil {
		return 0, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://etcd/v3/kv/"+method, bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	resp, err := client.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return 0, fmt.Errorf("etcd %s: %w", method, err)
	}
	if resp.StatusCode != http.StatusOK {
		return 0, fmt.Errorf("etcd %s: %s: %s", method, resp.Status, answer)
	}
	var parsed struct {
		Header struct {
			Revision int64 `json:",string"`
		}
	}
	if err := json.Unmarshal(answer, &parsed); err != nil {
		return 0, fmt.Errorf("etcd %s: %w", method, err)
	}
	return parsed.Header.Revision, nil
}
