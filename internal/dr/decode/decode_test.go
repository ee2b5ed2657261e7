// SPDX-License-Identifier: Apache-2.0

package decode

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"

	"hozon.dev/hozon/internal/fail"
	"hozon.dev/hozon/internal/object"
)

func decoder(t testing.TB) *Decoder {
	t.Helper()
	d, err := New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// TestNames has objects under keys without a rule; the object says what it is.
func TestNames(t *testing.T) {
	d := decoder(t)
	for _, c := range []struct{ rest, apiVersion, kind, namespace, name, want string }{
		{"services/specs/shop/web", "v1", "Service", "shop", "web", "services/shop/web"},
		{"services/endpoints/shop/web", "v1", "Endpoints", "shop", "web", "endpoints/shop/web"},
		{"minions/node-1", "v1", "Node", "", "node-1", "nodes/node-1"},
		{"controllers/shop/old", "v1", "ReplicationController", "shop", "old", "replicationcontrollers/shop/old"},
		{"ingress/shop/web", "networking.k8s.io/v1", "Ingress", "shop", "web", "ingresses.networking.k8s.io/shop/web"},
		{"podsecuritypolicy/strict", "policy/v1beta1", "PodSecurityPolicy", "", "strict", "podsecuritypolicies.policy/strict"},
		{"factory.example.com/geese/shop/g", "factory.example.com/v1", "Goose", "shop", "g", "geese.factory.example.com/shop/g"},
		{"rolebindings/shop/system:x", "rbac.authorization.k8s.io/v1", "RoleBinding", "shop", "system:x", "rolebindings.rbac.authorization.k8s.io/shop/system:x"},
	} {
		body := fmt.Sprintf(`{"apiVersion":%q,"kind":%q,"metadata":{"name":%q}}`, c.apiVersion, c.kind, c.name)
		if c.namespace != "" {
			body = fmt.Sprintf(`{"apiVersion":%q,"kind":%q,"metadata":{"name":%q,"namespace":%q}}`, c.apiVersion, c.kind, c.name, c.namespace)
		}
		o, err := d.Decode("/registry/"+c.rest, c.rest, []byte(body), 7)
		if err != nil || o.Ref.String() != c.want || o.Type.Kind != c.kind || o.Type.Namespaced != (c.namespace != "") {
			t.Errorf("%s: %s %+v, %v", c.rest, o.Ref, o.Type, err)
			continue
		}
		if head, err := object.Scan(o.Body); err != nil || head.ResourceVersion != "7" || head.Name != c.name {
			t.Errorf("%s: %s, %v", c.rest, o.Body, err)
		}
	}
}

// TestRevision puts the resourceVersion where it belongs, whatever else looks like the metadata.
func TestRevision(t *testing.T) {
	d := decoder(t)
	for body, want := range map[string]string{
		`{"spec":{"metadata":{"name":"a"}},"apiVersion":"x.io/v1","kind":"X","metadata":{"name":"a"}}` + "\n":    `{"spec":{"metadata":{"name":"a"}},"apiVersion":"x.io/v1","kind":"X","metadata":{"resourceVersion":"7","name":"a"}}`,
		`{"apiVersion":"x.io/v1","kind":"X","metadata":{"name":"a","resourceVersion":"3"},"n":9007199254740993}`: `{"apiVersion":"x.io/v1","kind":"X","metadata":{"name":"a","resourceVersion":"7"},"n":9007199254740993}`,
	} {
		o, err := d.Decode("/registry/x.io/xs/a", "x.io/xs/a", []byte(body), 7)
		if err != nil || string(o.Body) != want {
			t.Errorf("%s\n got %s, %v\nwant %s", body, o.Body, err, want)
		}
	}
}

// enveloped is a value in Kubernetes' protobuf form.
func enveloped(apiVersion, kind string, raw []byte) []byte {
	typeMeta := protowire.AppendString(protowire.AppendTag(nil, 1, protowire.BytesType), apiVersion)
	typeMeta = protowire.AppendString(protowire.AppendTag(typeMeta, 2, protowire.BytesType), kind)
	out := append([]byte(protobufMark), protowire.AppendBytes(protowire.AppendTag(nil, 1, protowire.BytesType), typeMeta)...)
	return protowire.AppendBytes(protowire.AppendTag(out, 2, protowire.BytesType), raw)
}

// nested is a definition whose schema lies n levels deep in itself.
func nested(n int) []byte {
	var inner []byte
	for range n { // not = 28 in JSONSchemaProps
		inner = protowire.AppendBytes(protowire.AppendTag(nil, 28, protowire.BytesType), inner)
	}
	return enveloped("apiextensions.k8s.io/v1", "CustomResourceDefinition", inner)
}

func TestProblems(t *testing.T) {
	d := decoder(t)
	for name, c := range map[string]struct{ rest, value, want string }{
		"empty":            {"pods/a/b", "", "pods: neither protobuf nor JSON"},
		"text":             {"pods/a/b", "hello", "pods: neither protobuf nor JSON"},
		"CBOR":             {"x.io/xs/a", "\xd9\xd9\xf7\xa0", "xs.x.io: stored as CBOR"},
		"other's key":      {"configmaps/a/b", `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"c","namespace":"a"}}`, "not that of its key"},
		"other namespace":  {"configmaps/a/b", `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"b","namespace":"x"}}`, "not that of its key"},
		"no name":          {"configmaps/a/b", `{"apiVersion":"v1","kind":"ConfigMap","metadata":{}}`, "not that of its key"},
		"cut JSON":         {"configmaps/a/b", `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"b"`, "JSON is damaged"},
		"no kind":          {"configmaps/a/b", `{"metadata":{"name":"b"}}`, "without apiVersion"},
		"cut protobuf":     {"pods/a/b", "k8s\x00\x0a\xff", "envelope is damaged"},
		"unknown kind":     {"deploymentconfigs/a/b", string(enveloped("apps.openshift.io/v1", "DeploymentConfig", nil)), "protobuf of apps.openshift.io/v1 DeploymentConfig, a kind that this program does not know"},
		"too deep":         {"apiextensions.k8s.io/customresourcedefinitions/a", string(nested(5000)), "levels deep"},
		"kms":              {"secrets/a/b", "k8s:enc:kms:v2:vault:x", `(kms v2) "vault": only an API server`},
		"unknown provider": {"secrets/a/b", "k8s:enc:rot13:v1:k:x", `"rot13"`},
		"no key name":      {"secrets/a/b", "k8s:enc:aescbc:v1", "not known"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := d.Decode("/registry/"+c.rest, c.rest, []byte(c.value), 1)
			var p *Problem
			if !errors.As(err, &p) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
	for _, rest := range []string{"ranges/serviceips", "masterleases/192.0.2.1"} {
		if _, err := d.Decode("/registry/"+rest, rest, []byte("k8s\x00"), 1); !errors.Is(err, ErrBookkeeping) {
			t.Errorf("%s: %v", rest, err)
		}
	}
}

func TestKeyring(t *testing.T) {
	for name, c := range map[string]string{
		"not YAML":    "a: [",
		"other kind":  "kind: Pod",
		"not base64":  `{kind: EncryptionConfiguration, resources: [{providers: [{aescbc: {keys: [{name: k, secret: "S3CRET!"}]}}]}]}`,
		"wrong size":  `{kind: EncryptionConfiguration, resources: [{providers: [{aescbc: {keys: [{name: k, secret: "UzNDUkVU"}]}}]}]}`,
		"wrong size2": `{kind: EncryptionConfiguration, resources: [{providers: [{secretbox: {keys: [{name: k, secret: "UzNDUkVU"}]}}]}]}`,
	} {
		_, err := ReadKeyring([]byte(c))
		if !fail.Is(err, fail.Invalid) || strings.Contains(err.Error(), "S3CRET") || strings.Contains(err.Error(), "UzNDUkVU") {
			t.Errorf("%s: %v", name, err)
		}
	}
	k, err := ReadKeyring([]byte(`{kind: EncryptionConfig, resources: [{resources: [secrets], providers: [{identity: {}}, {kms: {name: x, endpoint: "unix:///x"}}, {aescbc: {keys: [{name: k, secret: "bDwmMdjoNqiQAJaR7hnMIngnu8Sk/OYdjjhQLaUIkzg="}]}}]}]}`))
	if err != nil || k.Len() != 1 {
		t.Fatal(k, err)
	}
	if text := fmt.Sprintf("%v %+v %#v", k, k, k); strings.Contains(text, "key{") || !strings.Contains(text, "1 keys") {
		t.Errorf("prints as %s", text)
	}
}

func FuzzDecode(f *testing.F) {
	keys, err := ReadKeyring([]byte(`{kind: EncryptionConfig, resources: [{providers: [{aescbc: {keys: [{name: k, secret: "bDwmMdjoNqiQAJaR7hnMIngnu8Sk/OYdjjhQLaUIkzg="}]}}]}]}`))
	if err != nil {
		f.Fatal(err)
	}
	d, err := New(keys)
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte(`{"apiVersion":"v1","kind":"Pod","metadata":{"name":"b","namespace":"a"}}`))
	f.Add([]byte(`{"apiVersion":"apiextensions.k8s.io/v1beta1","kind":"CustomResourceDefinition","metadata":{"name":"b"},"spec":{"validation":{"openAPIV3Schema":{"type":"object"}}}}`))
	f.Add(nested(20))
	f.Add([]byte("k8s:enc:aescbc:v1:k:" + strings.Repeat("x", 48)))
	f.Add([]byte("k8s\x00\x0a\x09\x0a\x02v1\x12\x03Pod\x12\x06\x0a\x04\x0a\x01b\x1a\x00"))
	f.Fuzz(func(t *testing.T, value []byte) {
		before := bytes.Clone(value)
		o, err := d.Decode("/registry/pods/a/b", "pods/a/b", value, 1)
		if err == nil && o.Ref.Name == "" {
			t.Error("an object without a name")
		}
		if !bytes.Equal(before, value) {
			t.Error("the value was changed")
		}
	})
}
