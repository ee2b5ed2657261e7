// SPDX-License-Identifier: Apache-2.0

// Package decode turns what an API server stored in etcd back into the objects that it served.
//
//	value ──► decrypt, if it says that it is encrypted ──► protobuf │ JSON ──► object, with its resourceVersion, as JSON
//
// Which object it is, is read from the object and not from the key, whose form has no rule: services lie under
// services/specs, nodes under minions. The key only has to agree with it, and names the resource of custom resources.
//
// Its nouns: a Decoder; an Object, which is what it makes of a value; a Keyring, the keys of an EncryptionConfiguration; a Problem, why a value
// cannot be decoded, in words that are the same for all values with the same fault.
//
// Invariants: the JSON has every field that the API server of the object's version would serve, from the type that the value itself names:
// nothing is converted to
// another version, but for the definitions of custom resources, which are stored in one that is not served any more; a value is hostile: its nesting and lengths are bounded before it is decoded; no key or plain secret is
// ever part of an error.
//
// It leaves out defaults that a newer API server would add on reading, and conversion webhooks.
package decode

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apiextensionsv1beta1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1beta1"
	"k8s.io/apimachinery/pkg/runtime"
	clientscheme "k8s.io/client-go/kubernetes/scheme"
	apiregistrationv1 "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"
	apiregistrationv1beta1 "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1beta1"

	"hozon.dev/hozon/internal/object"
)

// MaxValue is the length in bytes of the longest value that is decoded; API servers refuse objects over 3 MiB or so.
const MaxValue = 32 << 20

// Object is one stored object.
type Object struct {
	Ref  object.Ref
	Type object.Type // as far as the value tells: no verbs, no short names
	Body []byte      // JSON as the API server serves it
}

// Problem says why values cannot be decoded.
type Problem struct {
	Resource string // "secrets", "deploymentconfigs.apps.openshift.io", or the first parts of the key
	Reason   string
}

func (p *Problem) Error() string { return p.Resource + ": " + p.Reason }

// ErrBookkeeping marks keys that are no objects: what API servers note for themselves, such as allocated addresses.
var ErrBookkeeping = errors.New("the API server's own notes, no object")

// bookkeeping are the folders below the prefix that hold no objects.
var bookkeeping = []string{"ranges/", "masterleases/", "peerserverleases/"}

// Decoder decodes values. It may be used by several goroutines.
type Decoder struct {
	keys   *Keyring
	scheme *runtime.Scheme
}

// New is a decoder with the keys of keys, which may be nil.
func New(keys *Keyring) (*Decoder, error) {
	s := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		clientscheme.AddToScheme,
		apiextensions.AddToScheme, apiextensionsv1.AddToScheme, apiextensionsv1beta1.AddToScheme,
		apiregistrationv1.AddToScheme, apiregistrationv1beta1.AddToScheme,
	} {
		if err := add(s); err != nil {
			return nil, fmt.Errorf("collect the types of Kubernetes: %w", err)
		}
	}
	return &Decoder{keys: keys, scheme: s}, nil
}

// Decode makes the object of a value. key is the whole key, rest is what follows the prefix and its slash, revision that of the last change. An
// error is a *Problem or ErrBookkeeping. value is not changed.
func (d *Decoder) Decode(key, rest string, value []byte, revision int64) (Object, error) {
	for _, folder := range bookkeeping {
		if strings.HasPrefix(rest, folder) {
			return Object{}, ErrBookkeeping
		}
	}
	if len(value) > MaxValue {
		return Object{}, &Problem{folderOf(rest), fmt.Sprintf("values over %d bytes are not read", MaxValue)}
	}
	plain, reason := d.keys.open(key, value)
	if reason != "" {
		return Object{}, &Problem{folderOf(rest), reason}
	}
	var o Object
	version := strconv.FormatInt(revision, 10)
	switch {
	case bytes.HasPrefix(plain, []byte(protobufMark)):
		o, reason = d.fromProtobuf(plain[len(protobufMark):], version)
	case len(plain) > 0 && plain[0] == '{':
		o, reason = d.fromJSON(rest, plain, version)
	case bytes.HasPrefix(plain, []byte("\xd9\xd9\xf7")):
		reason = "stored as CBOR, which is not read"
	default:
		reason = "neither protobuf nor JSON"
	}
	if reason == "" {
		reason = agree(rest, o.Ref)
	}
	if reason != "" {
		return Object{}, &Problem{folderOf(rest), reason}
	}
	return o, nil
}

// agree refuses an object that lies under a key of another.
func agree(rest string, r object.Ref) string {
	if r.Name == "" || !strings.HasSuffix("/"+rest, "/"+r.ID()) {
		return "the object's name is not that of its key"
	}
	return ""
}

// folderOf is the resource that a key seems to be of: its first part, and the second too if the first is a group.
func folderOf(rest string) string {
	parts := strings.SplitN(rest, "/", 3)
	if len(parts) == 3 && strings.Contains(parts[0], ".") {
		return parts[1] + "." + parts[0]
	}
	if len(parts) == 3 && parts[0] == "services" {
		return strings.Replace(parts[0]+"/"+parts[1], "services/specs", "services", 1)
	}
	return parts[0]
}
