// SPDX-License-Identifier: Apache-2.0

package dr

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/binary"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.etcd.io/bbolt"
	"google.golang.org/protobuf/encoding/protowire"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer/protobuf"
	"k8s.io/apimachinery/pkg/types"
	clientscheme "k8s.io/client-go/kubernetes/scheme"
)

// history writes records as etcd does.
type history struct {
	t        testing.TB
	db       *bbolt.DB
	tx       *bbolt.Tx
	revision int64
}

func (h *history) put(key string, value []byte, deleted bool) {
	h.revision++
	if h.revision%5000 == 0 {
		h.commit()
	}
	k := make([]byte, 17, 18)
	binary.BigEndian.PutUint64(k, uint64(h.revision))
	k[8] = '_'
	v := protowire.AppendBytes(protowire.AppendTag(nil, 1, protowire.BytesType), []byte(key))
	if deleted {
		k = append(k, 't')
	} else {
		v = protowire.AppendVarint(protowire.AppendTag(v, 2, protowire.VarintType), uint64(h.revision))
		v = protowire.AppendVarint(protowire.AppendTag(v, 3, protowire.VarintType), uint64(h.revision))
		v = protowire.AppendVarint(protowire.AppendTag(v, 4, protowire.VarintType), 1)
		v = protowire.AppendBytes(protowire.AppendTag(v, 5, protowire.BytesType), value)
	}
	h.check(h.tx.Bucket([]byte("key")).Put(k, v))
}

func (h *history) check(err error) {
	if err != nil {
		h.t.Helper()
		h.t.Fatal(err)
	}
}

func (h *history) commit() {
	h.check(h.tx.Commit())
	tx, err := h.db.Begin(true)
	h.check(err)
	h.tx = tx
}

func (h *history) object(key string, obj runtime.Object) {
	var b bytes.Buffer
	h.check(protobuf.NewSerializer(clientscheme.Scheme, clientscheme.Scheme).Encode(obj, &b))
	h.put(key, b.Bytes(), false)
}

// synthetic is a database with n objects (half of them ConfigMaps of 1 kB, a quarter each Deployments and Secrets with one certificate), two
// namespaces, older and deleted revisions, and keys that cannot be decoded.
func synthetic(t testing.TB, n int) (io.ReaderAt, int64) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "db")
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	h := &history{t: t, db: db}
	h.tx, err = db.Begin(true)
	h.check(err)
	for _, b := range []string{"alarm", "auth", "cluster", "key", "lease", "members", "meta"} {
		_, err := h.tx.CreateBucket([]byte(b))
		h.check(err)
	}
	for _, ns := range []string{"default", "kube-system"} {
		h.object("/registry/namespaces/"+ns, &corev1.Namespace{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Namespace"}, ObjectMeta: metav1.ObjectMeta{Name: ns, UID: "u-" + types.UID(ns)}})
	}
	h.put("compact_rev_key", []byte("1"), false)
	h.put("/registry/secrets/default/sealed", []byte("k8s:enc:kms:v2:vault:xxxx"), false)
	h.put("/registry/secrets/kube-system/sealed", []byte("k8s:enc:kms:v2:vault:xxxx"), false)
	h.put("/registry/configmaps/default/gone", []byte(`{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"gone","namespace":"default"}}`), false)
	h.put("/registry/configmaps/default/gone", nil, true)
	certificate := certificatePEM(t)
	for i := range n {
		ns, name := fmt.Sprintf("ns-%d", i%50), fmt.Sprintf("object-%d", i)
		meta := metav1.ObjectMeta{
			Name: name, Namespace: ns, UID: types.UID(name), Labels: map[string]string{"app": name},
			ManagedFields: []metav1.ManagedFieldsEntry{{Manager: "kubectl", Operation: "Update", APIVersion: "v1", FieldsType: "FieldsV1", FieldsV1: metav1.NewFieldsV1(`{"f:data":{".":{},"f:a":{},"f:b":{}}}`)}},
		}
		switch i % 4 {
		case 0, 1:
			h.object("/registry/configmaps/"+ns+"/"+name, &corev1.ConfigMap{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "ConfigMap"}, ObjectMeta: meta, Data: map[string]string{"a": strings.Repeat("text ", 200), "b": name}})
		case 2:
			h.object("/registry/deployments/"+ns+"/"+name, &appsv1.Deployment{TypeMeta: metav1.TypeMeta{APIVersion: "apps/v1", Kind: "Deployment"}, ObjectMeta: meta, Spec: appsv1.DeploymentSpec{
				Selector: &metav1.LabelSelector{MatchLabels: meta.Labels},
				Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: meta.Labels}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "registry.example.com/app:1"}}}},
			}})
		case 3:
			h.object("/registry/secrets/"+ns+"/"+name, &corev1.Secret{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Secret"}, ObjectMeta: meta, Type: corev1.SecretTypeTLS, Data: map[string][]byte{"tls.crt": certificate}})
		}
	}
	h.check(h.tx.Commit())
	h.check(db.Close())
	f, err := os.Open(path)
	h.check(err)
	t.Cleanup(func() { f.Close() })
	info, err := f.Stat()
	h.check(err)
	return f, info.Size()
}

func certificatePEM(t testing.TB) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	form := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "shop"}, DNSNames: []string{"shop.example.com"}, NotBefore: time.Now(), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, form, form, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}
