// SPDX-License-Identifier: Apache-2.0

package sops

import (
	"bytes"
	"crypto/sha512"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"time"

	"filippo.io/age"
	"filippo.io/age/armor"
	"go.yaml.in/yaml/v3"

	"hozon.dev/hozon/internal/fail"
)

// envelope is what a document says about its encryption.
type envelope struct {
	Age []struct {
		Recipient string `yaml:"recipient"`
		Enc       string `yaml:"enc"`
	} `yaml:"age"`
	LastModified     string `yaml:"lastmodified"`
	MAC              string `yaml:"mac"`
	MACOnlyEncrypted bool   `yaml:"mac_only_encrypted"`
}

// Open decrypts a document and checks that it is whole. No identity that fits is fail.Denied; a document that somebody changed is fail.Corrupt.
func Open(text []byte, identities []age.Identity) (map[string]any, error) {
	var doc yaml.Node
	if err := yaml.Unmarshal(text, &doc); err != nil {
		return nil, fail.As(fail.Corrupt, err)
	}
	var head struct {
		SOPS envelope `yaml:"sops"`
	}
	if err := doc.Decode(&head); err != nil || len(doc.Content) != 1 || doc.Content[0].Kind != yaml.MappingNode {
		return nil, fail.Errorf(fail.Corrupt, "its part sops cannot be read: %v", err)
	}
	if head.SOPS.MACOnlyEncrypted {
		return nil, fail.Errorf(fail.Unsupported, "its MAC is over the encrypted values only; write it again without mac_only_encrypted")
	}
	key, err := head.SOPS.key(identities)
	if err != nil {
		return nil, err
	}
	w := &walker{mac: sha512.New()}
	if err := w.use(key); err != nil {
		return nil, fail.As(fail.Corrupt, err)
	}
	o, err := w.open(doc.Content[0], nil)
	if err != nil {
		return nil, err
	}
	return o.(map[string]any), w.check(head.SOPS)
}

// key finds the data key.
func (e envelope) key(identities []age.Identity) ([]byte, error) {
	if len(e.Age) == 0 {
		return nil, fail.Errorf(fail.Unsupported, "it is not encrypted to an age key")
	}
	if len(identities) == 0 {
		return nil, fail.Errorf(fail.Denied, "it is encrypted: give the file with the age identity by --age-identity")
	}
	var recipients []string
	for _, a := range e.Age {
		recipients = append(recipients, a.Recipient)
		r, err := age.Decrypt(armor.NewReader(strings.NewReader(a.Enc)), identities...)
		if err != nil {
			continue
		}
		key, err := io.ReadAll(io.LimitReader(r, keySize+1))
		if err == nil && len(key) == keySize {
			return key, nil
		}
	}
	return nil, fail.Errorf(fail.Denied, "none of the given age identities opens it: it is encrypted to %s", strings.Join(recipients, ", "))
}

func (w *walker) check(e envelope) error {
	at, err := time.Parse(time.RFC3339, e.LastModified)
	if err != nil {
		return fail.Errorf(fail.Corrupt, "its time of change %q is no time", e.LastModified)
	}
	want, _, err := w.decrypt(e.MAC, at.Format(time.RFC3339))
	if err != nil {
		return fmt.Errorf("its MAC: %w", err)
	}
	if got := fmt.Appendf(nil, "%X", w.mac.Sum(nil)); subtle.ConstantTimeCompare(got, want) != 1 {
		return fail.Errorf(fail.Corrupt, "its MAC does not fit: a value was changed, left out or moved after it was encrypted")
	}
	return nil
}

// maxNesting keeps hostile documents off the stack.
const maxNesting = 1000

func (w *walker) open(n *yaml.Node, path []string) (any, error) {
	if len(path) > maxNesting {
		return nil, fail.Errorf(fail.Corrupt, "nested too deeply")
	}
	switch n.Kind {
	case yaml.MappingNode:
		return w.openMap(n, path)
	case yaml.SequenceNode:
		out := make([]any, 0, len(n.Content))
		for _, e := range n.Content {
			v, err := w.open(e, path)
			if err != nil {
				return nil, err
			}
			out = append(out, v)
		}
		return out, nil
	case yaml.ScalarNode:
		return w.openScalar(n, path)
	}
	return nil, fail.Errorf(fail.Unsupported, "line %d: aliases are not used in encrypted documents", n.Line)
}

func (w *walker) openMap(n *yaml.Node, path []string) (any, error) {
	out := map[string]any{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i].Value
		if len(path) == 0 && key == metadata {
			continue
		}
		if _, twice := out[key]; twice {
			return nil, fail.Errorf(fail.Corrupt, "line %d: key %q already set in map", n.Content[i].Line, key)
		}
		v, err := w.open(n.Content[i+1], append(path[:len(path):len(path)], key))
		if err != nil {
			return nil, err
		}
		out[key] = v
	}
	return out, nil
}

func (w *walker) openScalar(n *yaml.Node, path []string) (any, error) {
	if strings.HasPrefix(n.Value, "ENC[") {
		plain, kind, err := w.decrypt(n.Value, place(path))
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", n.Line, err)
		}
		w.mac.Write(plain)
		return decode(plain, kind)
	}
	var v any
	if err := n.Decode(&v); err != nil {
		return nil, fail.As(fail.Corrupt, err)
	}
	switch t := v.(type) {
	case nil:
		return nil, nil
	case int:
		v = int64(t)
	case time.Time:
		v = n.Value
	}
	plain, _ := encode(v)
	w.mac.Write(plain)
	return v, nil
}

// decode is the inverse of encode.
func decode(plain []byte, kind string) (any, error) {
	text := string(plain)
	var v any
	var err error
	switch kind {
	case "str", "bytes":
		v = text
	case "int":
		v, err = strconv.ParseInt(text, 10, 64)
	case "float":
		v, err = strconv.ParseFloat(text, 64)
	case "bool":
		v, err = strconv.ParseBool(text)
	default:
		return nil, fail.Errorf(fail.Unsupported, "encrypted value of type %q", kind)
	}
	return v, fail.As(fail.Corrupt, err)
}

var sealed = regexp.MustCompile(`^ENC\[AES256_GCM,data:([^,]*),iv:([^,]+),tag:([^,]+),type:([a-z]+)\]$`)

var errValue = errors.New("an encrypted value was changed, or moved to another place")

func (w *walker) decrypt(text, bound string) ([]byte, string, error) {
	m := sealed.FindStringSubmatch(text)
	if m == nil {
		return nil, "", fail.Errorf(fail.Corrupt, "no encrypted value of SOPS")
	}
	var parts [3][]byte
	for i := range parts {
		var err error
		if parts[i], err = base64.StdEncoding.DecodeString(m[i+1]); err != nil {
			return nil, "", fail.As(fail.Corrupt, err)
		}
	}
	if len(parts[1]) != nonceSize || len(parts[2]) != tagSize {
		return nil, "", fail.As(fail.Corrupt, errValue)
	}
	plain, err := w.gcm.Open(nil, parts[1], bytes.Join([][]byte{parts[0], parts[2]}, nil), []byte(bound))
	if err != nil {
		return nil, "", fail.As(fail.Corrupt, errValue)
	}
	return plain, m[4], nil
}
