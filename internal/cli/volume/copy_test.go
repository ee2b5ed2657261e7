// SPDX-License-Identifier: Apache-2.0

package volume

import (
	"bytes"
	"io"
	"testing"
	"time"
)

// TestMeter: what is sent, how fast, how far it is, and how long it will take.
func TestMeter(t *testing.T) {
	began := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	for _, tt := range []struct {
		passed, moved, total int64
		after                time.Duration
		want                 string
	}{
		{0, 0, 0, 0, "0 B sent, 0 B/s"},
		{5e6, 5e6, 0, 5 * time.Second, "5.0 MB sent, 1.0 MB/s"},                                  // the whole is not known yet
		{25e6, 5e6, 100e6, 5 * time.Second, "5.0 MB sent, 1.0 MB/s, 25% of 100 MB, 15s left"},    // most of it was there
		{100e6, 5e6, 100e6, 10 * time.Second, "5.0 MB sent, 500 kB/s, 100% of 100 MB, 0s left"},  // done
		{120e6, 5e6, 100e6, 10 * time.Second, "5.0 MB sent, 500 kB/s"},                           // it has grown: nobody knows
		{1e9, 1e9, 3600e9, time.Second, "1.0 GB sent, 1.0 GB/s, 0% of 3.6 TB, 59m59s left"},      // a long one
		{512, 512, 1024, 100 * time.Millisecond, "512 B sent, 5.1 kB/s, 50% of 1.0 kB, 0s left"}, // a short one
		{1, 1, 1e6, 2 * time.Second, "1 B sent, 0 B/s, 0% of 1.0 MB, 555h33m18s left"},           // it crawls
		{50e6, 50e6, 100e6, 90 * time.Second, "50 MB sent, 556 kB/s, 50% of 100 MB, 1m30s left"},
		{50e6, 0, 100e6, 10 * time.Second, "0 B sent, 0 B/s, 50% of 100 MB, 10s left"}, // all that was passed was there
		{1, 0, 0, 0, "0 B sent, 0 B/s"},
	} {
		if got := (meter{began}).line(tt.passed, tt.moved, tt.total, began.Add(tt.after)); got != tt.want {
			t.Errorf("%d passed, %d moved of %d after %s: %q, want %q", tt.passed, tt.moved, tt.total, tt.after, got, tt.want)
		}
	}
}

// TestBandwidth: what goes through, in either direction, is not faster than it may be.
func TestBandwidth(t *testing.T) {
	o := options{bandwidth: "1MB"}
	limit, err := o.limit(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	const size = 600_000 // of which a quarter of a second's worth goes at once
	data := bytes.Repeat([]byte("x"), size)
	var got bytes.Buffer
	for _, direction := range []string{"in", "out"} {
		got.Reset()
		in, out := limit(bytes.NewReader(data), &got)
		began := time.Now()
		if direction == "in" {
			_, err = io.Copy(&got, in)
		} else {
			_, err = out.Write(data)
		}
		if took := time.Since(began); err != nil || took < 300*time.Millisecond || !bytes.Equal(got.Bytes(), data) {
			t.Errorf("%s: %d of %d bytes in %s, %v", direction, got.Len(), size, took, err)
		}
	}
	for _, bad := range []string{"fast", "10", "-1MB", "1"} {
		if _, err := (&options{bandwidth: bad}).limit(t.Context()); err == nil {
			t.Errorf("--bandwidth %q is taken", bad)
		}
	}
}
