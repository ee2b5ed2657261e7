// SPDX-License-Identifier: Apache-2.0

package s3

import (
	"net/url"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func FuzzParseTags(f *testing.F) {
	f.Add("team=a+b&cost=7")
	f.Add("a=%zz&=&")
	f.Fuzz(func(t *testing.T, text string) {
		tags, err := ParseTags(text)
		if err != nil {
			return
		}
		values := url.Values{}
		for key, value := range tags {
			values.Set(key, value)
		}
		again, err := ParseTags(values.Encode())
		if err != nil || !cmp.Equal(tags, again) {
			t.Errorf("%q: %v, then %v, %v", text, tags, again, err)
		}
	})
}
