// SPDX-License-Identifier: Apache-2.0

package decode

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/base64"
	"fmt"
	"strings"

	"golang.org/x/crypto/nacl/secretbox"
	"sigs.k8s.io/yaml"

	"hozon.dev/hozon/internal/fail"
)

// encrypted is in front of every value that an API server has encrypted: provider, version, name of the key and the cipher text follow.
const encrypted = "k8s:enc:"

// Keyring holds the keys of an API server's EncryptionConfiguration. It prints nothing of itself.
type Keyring struct {
	keys map[keyName][]key
	size int
}

type keyName struct{ provider, name string }

// key opens one value; ok only if it is certainly or, for aescbc, probably this key's.
type key func(storageKey string, data []byte) (plain []byte, ok bool)

func (k *Keyring) String() string   { return fmt.Sprintf("%d keys", k.Len()) }
func (k *Keyring) GoString() string { return k.String() }

// Len is the number of keys.
func (k *Keyring) Len() int {
	if k == nil {
		return 0
	}
	return k.size
}

type namedKey struct {
	Name   string `json:"name"`
	Secret string `json:"secret"`
}

type keyList struct {
	Keys []namedKey `json:"keys"`
}

// ReadKeyring reads an EncryptionConfiguration as the API server's --encryption-provider-config names it, also in the forms before 1.13.
func ReadKeyring(config []byte) (*Keyring, error) {
	var c struct {
		Kind      string `json:"kind"`
		Resources []struct {
			Providers []map[string]keyList `json:"providers"`
		} `json:"resources"`
	}
	if err := yaml.Unmarshal(config, &c); err != nil {
		return nil, fail.Errorf(fail.Invalid, "not an EncryptionConfiguration: it is not YAML of that form")
	}
	if c.Kind != "EncryptionConfiguration" && c.Kind != "EncryptionConfig" {
		return nil, fail.Errorf(fail.Invalid, "not an EncryptionConfiguration: kind %.60q", c.Kind)
	}
	k := &Keyring{keys: map[keyName][]key{}}
	for _, r := range c.Resources {
		for _, provider := range r.Providers {
			for name, list := range provider {
				if err := k.add(name, list.Keys); err != nil {
					return nil, err
				}
			}
		}
	}
	return k, nil
}

func (k *Keyring) add(provider string, keys []namedKey) error {
	for _, n := range keys {
		secret, err := base64.StdEncoding.DecodeString(n.Secret)
		if err != nil {
			return fail.Errorf(fail.Invalid, "%s key %q: its secret is not base64", provider, n.Name)
		}
		var open key
		switch provider {
		case "aescbc", "aesgcm":
			block, err := aes.NewCipher(secret)
			if err != nil {
				return fail.Errorf(fail.Invalid, "%s key %q: %d bytes are no AES key", provider, n.Name, len(secret))
			}
			if open = openCBC(block); provider == "aesgcm" {
				open = openGCM(block)
			}
		case "secretbox":
			if len(secret) != 32 {
				return fail.Errorf(fail.Invalid, "secretbox key %q: %d bytes, not 32", n.Name, len(secret))
			}
			open = openBox([32]byte(secret))
		default:
			continue
		}
		at := keyName{provider, n.Name}
		k.keys[at] = append(k.keys[at], open)
		k.size++
	}
	return nil
}

// open decrypts a value, if it says that it is encrypted. storageKey is the whole key of etcd, which is part of some encryptions.
func (k *Keyring) open(storageKey string, value []byte) (plain []byte, reason string) {
	if len(value) < len(encrypted) || string(value[:len(encrypted)]) != encrypted {
		return value, ""
	}
	head := string(value[len(encrypted):min(len(value), len(encrypted)+300)])
	parts := strings.SplitN(head, ":", 4) // provider, version, key, start of the data
	if len(parts) < 4 {
		return nil, "encrypted in a way that is not known"
	}
	provider, version, name := parts[0], parts[1], parts[2]
	switch {
	case provider == "kms":
		return nil, fmt.Sprintf("encrypted by the key service (kms %s) %q: only an API server that reaches it can decrypt this", version, name)
	case provider != "aescbc" && provider != "aesgcm" && provider != "secretbox" || version != "v1":
		return nil, fmt.Sprintf("encrypted by %.40q %.40q, which is not known", provider, version)
	}
	data := value[len(encrypted)+len(provider)+len(version)+len(name)+3:]
	if k.Len() == 0 {
		return nil, fmt.Sprintf("encrypted by %s with key %q: give the API server's --encryption-provider-config file", provider, name)
	}
	candidates := k.keys[keyName{provider, name}]
	if len(candidates) == 0 {
		return nil, fmt.Sprintf("encrypted by %s with key %q, which the encryption configuration does not have", provider, name)
	}
	for _, try := range candidates {
		if plain, ok := try(storageKey, data); ok {
			return plain, ""
		}
	}
	return nil, fmt.Sprintf("encrypted by %s with a key %q that is not the one in the encryption configuration, or the prefix of the keys is wrong, or the value is damaged", provider, name)
}

// openCBC has no proof that the key is right but the padding and that an object comes out.
func openCBC(block cipher.Block) key {
	return func(_ string, data []byte) ([]byte, bool) {
		if len(data) < 2*aes.BlockSize || len(data)%aes.BlockSize != 0 {
			return nil, false
		}
		plain := make([]byte, len(data)-aes.BlockSize)
		cipher.NewCBCDecrypter(block, data[:aes.BlockSize]).CryptBlocks(plain, data[aes.BlockSize:])
		pad := int(plain[len(plain)-1])
		if pad == 0 || pad > aes.BlockSize {
			return nil, false
		}
		for _, c := range plain[len(plain)-pad:] {
			if int(c) != pad {
				return nil, false
			}
		}
		plain = plain[:len(plain)-pad]
		return plain, strings.HasPrefix(string(plain[:min(4, len(plain))]), protobufMark) || len(plain) > 0 && plain[0] == '{'
	}
}

func openGCM(block cipher.Block) key {
	return func(storageKey string, data []byte) ([]byte, bool) {
		aead, err := cipher.NewGCM(block)
		if err != nil || len(data) < aead.NonceSize() {
			return nil, false
		}
		plain, err := aead.Open(nil, data[:aead.NonceSize()], data[aead.NonceSize():], []byte(storageKey))
		return plain, err == nil
	}
}

func openBox(secret [32]byte) key {
	return func(_ string, data []byte) ([]byte, bool) {
		if len(data) < 24 {
			return nil, false
		}
		return secretbox.Open(nil, data[24:], (*[24]byte)(data), &secret)
	}
}
