// SPDX-License-Identifier: Apache-2.0

package clustertest

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// await asks for path until the answer is 200, ctx ends, or a component does.
func (c *Cluster) await(ctx context.Context, path string) error {
	err := c.poll(ctx, func() error {
		_, err := c.get(ctx, path)
		return err
	})
	if err != nil {
		return fmt.Errorf("await %s: %w", path, err)
	}
	return nil
}

// poll calls f until it returns nil, ctx ends, or a component does.
func (c *Cluster) poll(ctx context.Context, f func() error) error {
	tick := time.NewTicker(25 * time.Millisecond)
	defer tick.Stop()
	for {
		last := f()
		if last == nil {
			return nil
		}
		for _, p := range c.all() {
			if err := p.Exited(); err != nil {
				return err
			}
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w; at last: %w\n%s", ctx.Err(), last, c.Logs())
		case <-tick.C:
		}
	}
}

func (c *Cluster) get(ctx context.Context, path string) ([]byte, error) {
	// A half-started server may take a request and never answer it.
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	return c.call(ctx, http.MethodGet, path, "")
}

// call makes one request with a JSON body and returns the body of a 2xx answer.
func (c *Cluster) call(ctx context.Context, method, path, body string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, c.URL+path, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := c.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, 16<<20))
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", method, path, err)
	}
	if resp.StatusCode/100 != 2 {
		return nil, fmt.Errorf("%s %s: %s: %.500s", method, path, resp.Status, answer)
	}
	return answer, nil
}
