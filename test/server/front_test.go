// SPDX-License-Identifier: Apache-2.0

package server

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"
	"time"

	velerov1 "hozon.dev/hozon/api/velero/v1"
)

// front stands before the S3 server: with TLS, or a clock of its own. All else is the server's.
type front struct {
	*httptest.Server
	ahead time.Duration // of the clock
}

func newFront(t *testing.T, w *world) *front {
	t.Helper()
	to, err := url.Parse(w.s3.Endpoint)
	if err != nil {
		t.Fatal(err)
	}
	f := &front{}
	forward := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(to)
		r.Out.Host = r.In.Host // it is signed
	}}
	f.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		signed, err := time.Parse("20060102T150405Z", r.Header.Get("X-Amz-Date"))
		if err == nil && time.Now().Add(f.ahead).Sub(signed) > 15*time.Minute { // in the words of S3's documentation
			w.WriteHeader(http.StatusForbidden)
			fmt.Fprint(w, "<Error><Code>RequestTimeTooSkewed</Code><Message>The difference between the request time and the server's time is too large.</Message></Error>")
			return
		}
		forward.ServeHTTP(w, r)
	}))
	t.Cleanup(f.Close)
	return f
}

func (f *front) ca() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: f.Certificate().Raw})
}

// authority is the certificate of one that has signed nothing here.
func authority(t *testing.T) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

// at makes a location at an endpoint, in a folder of its own.
func (w *world) at(endpoint, name string) *velerov1.BackupStorageLocation {
	l := w.location(name, w.ns+"-l", false)
	l.Spec.ObjectStorage.Prefix = name
	l.Spec.Config["s3Url"] = endpoint
	return l
}

// TestServerBadLinks: what can be wrong between the server and its store is said on the location, in its event and in the table, each in words of its own; a backup is
// refused; and when it has been mended, all goes on.
func TestServerBadLinks(t *testing.T) {
	w := newWorld(t)
	secure, late := newFront(t, w), newFront(t, w)
	secure.StartTLS()
	late.ahead = time.Hour
	late.Start()

	if err := w.s3.CreateBucket(w.ns + "-l"); err != nil {
		t.Fatal(err)
	}
	region := w.at(w.s3.Endpoint, "region")
	region.Spec.Config["region"] = "mars-1"
	noCA, ca, wrongCA := w.at(secure.URL, "no-ca"), w.at(secure.URL, "ca"), w.at(secure.URL, "wrong-ca")
	ca.Spec.ObjectStorage.CACert = secure.ca()
	wrongCA.Spec.ObjectStorage.CACert = authority(t)
	clock, session := w.at(late.URL, "clock"), w.at(w.s3.Endpoint, "session")
	session.Spec.Credential.Name = "session"
	w.credential("session", w.s3.SecretKey+"\naws_session_token = given-for-an-hour")
	for _, l := range []*velerov1.BackupStorageLocation{region, noCA, ca, wrongCA, clock, session} {
		w.create(l)
	}
	w.serve()
	w.awaitLocation("ca", velerov1.BackupStorageLocationPhaseAvailable)

	for name, want := range map[string]string{
		"region": `not in region "mars-1"`, "no-ca": "signed by an authority that this machine does not know: name its CA with",
		"wrong-ca": "signed by an authority that this machine does not know", "clock": "the clock of this machine and that of " + late.URL + " differ too much",
		"session": `the session token from key "aws" of Secret session, profile default is not valid, or not any more`,
	} {
		l := w.awaitLocation(name, velerov1.BackupStorageLocationPhaseUnavailable)
		if !strings.Contains(l.Status.Message, want) {
			t.Errorf("%s: %q has no %q", name, l.Status.Message, want)
		}
		if strings.Contains(l.Status.Message, "given-for-an-hour") || strings.Contains(l.Status.Message, w.s3.SecretKey) {
			t.Errorf("%s: a secret is in %q", name, l.Status.Message)
		}
		w.awaitEvent("BackupStorageLocation", name, want)
		w.hozon([]string{name, "Unavailable"}, "backup-location", "get", name)
		b := w.backup("in-" + name)
		b.Spec.StorageLocation = name
		w.create(b)
		w.awaitBackup(b.Name, velerov1.BackupPhaseFailedValidation)
		w.hozon([]string{"BackupStorageLocation " + name + " is in Unavailable status."}, "backup", "describe", b.Name)
	}

	w.credential("session", w.s3.SecretKey) // somebody has put there what the server takes
	edit(w, region, func(l *velerov1.BackupStorageLocation) { l.Spec.Config["region"] = "us-east-1" })
	edit(w, noCA, func(l *velerov1.BackupStorageLocation) { l.Spec.ObjectStorage.CACert = secure.ca() })
	edit(w, wrongCA, func(l *velerov1.BackupStorageLocation) { l.Spec.ObjectStorage.CACert = secure.ca() })
	for _, name := range []string{"region", "no-ca", "wrong-ca", "session"} {
		w.awaitLocation(name, velerov1.BackupStorageLocationPhaseAvailable)
		b := w.backup("again-in-" + name)
		b.Spec.StorageLocation = name
		w.create(b)
		w.awaitBackup(b.Name, velerov1.BackupPhaseCompleted)
	}
}
