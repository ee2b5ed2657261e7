// SPDX-License-Identifier: Apache-2.0

// Package sops writes and reads manifests whose values are encrypted as the program SOPS does it, with age keys: `sops -d` reads what is
// written here, and Flux and Argo's plugins do.
//
// Its nouns: a document has one data key, which is encrypted to every recipient; every value below data and stringData is encrypted by it with
// AES-256-GCM, bound to its place; the MAC is over all values of the document in their order, so that nothing can be changed, left out or moved.
//
// Invariants: a value that was changed is an error (fail.Corrupt), never a wrong value; plain text is never written anywhere but into the result.
//
// Other key services than age, and MACs over the encrypted values only, are refused (fail.Unsupported).
package sops

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha512"
	"encoding/base64"
	"fmt"
	"hash"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"filippo.io/age"
	"filippo.io/age/armor"

	"hozon.dev/hozon/internal/fail"
	"hozon.dev/hozon/internal/manifest"
)

const (
	keySize   = 32
	nonceSize = 32 // SOPS's, longer than usual
	tagSize   = 16
	pattern   = "^(data|stringData)$"
	version   = "3.9.0" // of the format that is written
	metadata  = "sops"
)

// secret reports whether a value is encrypted: one of the keys on the way to it fits the pattern.
func secret(path []string) bool {
	return slices.Contains(path, "data") || slices.Contains(path, "stringData")
}

// Recipient is an age recipient with the name it was given by.
type Recipient struct {
	Name string
	age.Recipient
}

// ParseRecipients reads age recipients ("age1…").
func ParseRecipients(names []string) ([]Recipient, error) {
	var out []Recipient
	for _, name := range names {
		name = strings.TrimSpace(name)
		found, err := age.ParseRecipients(strings.NewReader(name))
		if err != nil || len(found) != 1 {
			return nil, fail.Errorf(fail.Invalid, "age recipient %q: give a public key as `age-keygen` prints it (age1…)", name)
		}
		out = append(out, Recipient{name, found[0]})
	}
	return out, nil
}

// Sealer encrypts manifests.
type Sealer struct {
	Recipients []Recipient
	Now        func() time.Time
	Rand       io.Reader
}

// Seal returns the object as an encrypted document.
func (s *Sealer) Seal(o map[string]any) ([]byte, error) {
	key := make([]byte, keySize)
	if _, err := io.ReadFull(s.Rand, key); err != nil {
		return nil, err
	}
	w := &walker{rand: s.Rand, mac: sha512.New()}
	if err := w.use(key); err != nil {
		return nil, err
	}
	sealed, err := w.seal(o, nil)
	if err != nil {
		return nil, err
	}
	var keys []any
	for _, r := range s.Recipients {
		enc, err := wrap(key, r)
		if err != nil {
			return nil, err
		}
		keys = append(keys, map[string]any{"recipient": r.Name, "enc": enc})
	}
	at := s.Now().UTC().Format(time.RFC3339)
	mac, err := w.encrypt(fmt.Appendf(nil, "%X", w.mac.Sum(nil)), "str", at)
	if err != nil {
		return nil, err
	}
	out := sealed.(map[string]any)
	out[metadata] = map[string]any{"age": keys, "lastmodified": at, "mac": mac, "encrypted_regex": pattern, "version": version}
	return manifest.Encode(nil, out), nil
}

func wrap(key []byte, r Recipient) (string, error) {
	var text strings.Builder
	armored := armor.NewWriter(&text)
	w, err := age.Encrypt(armored, r.Recipient)
	if err != nil {
		return "", fmt.Errorf("encrypt to %s: %w", r.Name, err)
	}
	if _, err := w.Write(key); err != nil {
		return "", err
	}
	if err := w.Close(); err != nil {
		return "", err
	}
	if err := armored.Close(); err != nil {
		return "", err
	}
	return text.String(), nil
}

// walker goes through the values of a document in their order.
type walker struct {
	rand io.Reader
	gcm  cipher.AEAD
	mac  hash.Hash
}

func (w *walker) use(key []byte) error {
	block, err := aes.NewCipher(key)
	if err != nil {
		return err
	}
	w.gcm, err = cipher.NewGCMWithNonceSize(block, nonceSize)
	return err
}

func (w *walker) seal(v any, path []string) (any, error) {
	switch v := v.(type) {
	case map[string]any:
		out := make(map[string]any, len(v))
		for _, key := range manifest.Keys(v) {
			sealed, err := w.seal(v[key], append(path[:len(path):len(path)], key))
			if err != nil {
				return nil, err
			}
			out[key] = sealed
		}
		return out, nil
	case []any:
		out := make([]any, len(v))
		for i, e := range v {
			sealed, err := w.seal(e, path)
			if err != nil {
				return nil, err
			}
			out[i] = sealed
		}
		return out, nil
	case nil:
		return nil, nil
	}
	plain, kind := encode(v)
	w.mac.Write(plain)
	if !secret(path) || len(plain) == 0 {
		return v, nil
	}
	return w.encrypt(plain, kind, place(path))
}

func place(path []string) string { return strings.Join(path, ":") + ":" }

// encode is a value as SOPS hashes and encrypts it, and the name of its type.
func encode(v any) ([]byte, string) {
	switch v := v.(type) {
	case string:
		return []byte(v), "str"
	case bool:
		if v {
			return []byte("True"), "bool"
		}
		return []byte("False"), "bool"
	case float64:
		if v == float64(int64(v)) { // written without a point, and read as a whole number
			return strconv.AppendInt(nil, int64(v), 10), "int"
		}
		return strconv.AppendFloat(nil, v, 'f', -1, 64), "float"
	}
	return fmt.Append(nil, v), "int"
}

func (w *walker) encrypt(plain []byte, kind, bound string) (string, error) {
	nonce := make([]byte, nonceSize)
	if _, err := io.ReadFull(w.rand, nonce); err != nil {
		return "", err
	}
	out := w.gcm.Seal(nil, nonce, plain, []byte(bound))
	b64 := base64.StdEncoding.EncodeToString
	cut := len(out) - tagSize
	return fmt.Sprintf("ENC[AES256_GCM,data:%s,iv:%s,tag:%s,type:%s]", b64(out[:cut]), b64(nonce), b64(out[cut:]), kind), nil
}
