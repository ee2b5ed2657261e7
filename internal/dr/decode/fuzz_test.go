// SPDX-License-Identifier: Apache-2.0

package decode

import (
	"testing"

	"hozon.dev/hozon/internal/fail"
)

// FuzzKeyring reads any bytes as an EncryptionConfiguration, and uses what keys there are on a value.
func FuzzKeyring(f *testing.F) {
	value := []byte("k8s:enc:aescbc:v1:k:0123456789abcdef0123456789abcdef")
	f.Add([]byte(`{kind: EncryptionConfig, resources: [{providers: [{aescbc: {keys: [{name: k, secret: "bDwmMdjoNqiQAJaR7hnMIngnu8Sk/OYdjjhQLaUIkzg="}]}}]}]}`), value)
	f.Add([]byte("kind: EncryptionConfiguration\nresources:\n- providers:\n  - aesgcm: {keys: [{name: k, secret: AAAAAAAAAAAAAAAAAAAAAA==}]}\n  - kms: {name: x}\n  - identity: {}"), []byte("k8s:enc:aesgcm:v1:k:short"))
	f.Add([]byte("kind: EncryptionConfiguration\nresources: [{providers: [{secretbox: {keys: [{name: k, secret: AAAA}]}}]}]"), []byte("k8s:enc:secretbox:v1:k:"))
	f.Fuzz(func(t *testing.T, config, value []byte) {
		k, err := ReadKeyring(config)
		if err != nil {
			if !fail.Is(err, fail.Invalid) {
				t.Errorf("%v is %v", err, fail.Of(err))
			}
			return
		}
		if plain, reason := k.open("/registry/secrets/a/b", value); plain == nil && reason == "" && len(value) > 0 {
			t.Error("it opens nothing, and does not say why")
		}
	})
}
