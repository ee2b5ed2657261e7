// SPDX-License-Identifier: Apache-2.0

package v1

import (
	"encoding/json"
	"testing"
	"time"
)

// TestDuration: what is no duration is kept as it was written, and the rest of the object is read all the same.
func TestDuration(t *testing.T) {
	for text, want := range map[string]Duration{
		`{"ttl":"1h30m0s"}`: {Duration: 90 * time.Minute},
		`{"ttl":"soon"}`:    {Bad: "soon"},
		`{"ttl":"7d"}`:      {Bad: "7d"},
		`{"ttl":"-1s"}`:     {Duration: -time.Second},
		`{"ttl":"0s"}`:      {},
	} {
		var got struct {
			TTL Duration `json:"ttl"`
		}
		if err := json.Unmarshal([]byte(text), &got); err != nil || got.TTL != want {
			t.Errorf("%s is read as %+v, %v", text, got.TTL, err)
		}
		if back, err := json.Marshal(got); err != nil || string(back) != text {
			t.Errorf("%s is written back as %s, %v", text, back, err)
		}
	}
	var d Duration
	for _, text := range []string{`""`, `null`} {
		if err := json.Unmarshal([]byte(text), &d); err != nil || d != (Duration{}) {
			t.Errorf("%s: %+v, %v", text, d, err)
		}
	}
	if err := json.Unmarshal([]byte(`7`), &d); err == nil {
		t.Error("a number is taken")
	}
}
