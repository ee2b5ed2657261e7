// SPDX-License-Identifier: Apache-2.0

package s3_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"hozon.dev/hozon/internal/blob/s3"
	"hozon.dev/hozon/internal/fail"
	"hozon.dev/hozon/test/s3server"
)

// newSTS answers as Amazon's token service does: who shows the right key or token gets the keys of server for a while. There is no such service
// to run on one's own machine.
func newSTS(t *testing.T, server *s3server.Server, token string) *httptest.Server {
	t.Helper()
	sts := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		action := r.FormValue("Action")
		signed := strings.Contains(r.Header.Get("Authorization"), "Credential=AKIDSOURCE/")
		if r.FormValue("RoleArn") != "arn:aws:iam::1:role/backup" || !(action == "AssumeRole" && signed || action == "AssumeRoleWithWebIdentity" && r.FormValue("WebIdentityToken") == token) {
			w.WriteHeader(http.StatusForbidden)
			fmt.Fprint(w, `<ErrorResponse><Error><Code>AccessDenied</Code><Message>not authorized to take on this role</Message></Error></ErrorResponse>`)
			return
		}
		fmt.Fprintf(w, `<%[1]sResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><%[1]sResult><Credentials><AccessKeyId>%s</AccessKeyId><SecretAccessKey>%s</SecretAccessKey>`+
			`<Expiration>%s</Expiration></Credentials></%[1]sResult></%[1]sResponse>`, action, server.AccessKey, server.SecretKey, time.Now().Add(time.Hour).UTC().Format(time.RFC3339))
	}))
	t.Cleanup(sts.Close)
	t.Setenv("AWS_ENDPOINT_URL_STS", sts.URL)
	return sts
}

func TestProfiles(t *testing.T) {
	server := start(t)
	isolate(t)
	if err := server.CreateBucket("bucket"); err != nil {
		t.Fatal(err)
	}
	newSTS(t, server, "the pod's token")
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte("the pod's token"), 0o600); err != nil {
		t.Fatal(err)
	}
	const role = "role_arn = arn:aws:iam::1:role/backup\n"
	text := "[default]\naws_access_key_id = " + server.AccessKey + "\naws_secret_access_key=" + server.SecretKey + "\n" +
		"[source]\naws_access_key_id = AKIDSOURCE\naws_secret_access_key = topsecret\n" +
		"[profile role]\n" + role + "source_profile = source\nregion = eu-north-1\n" +
		"[self]\n" + role + "source_profile = self\naws_access_key_id = AKIDSOURCE\naws_secret_access_key = topsecret\n" +
		"[environment]\n" + role + "credential_source = Environment\n" +
		"[pod]\n" + role + "web_identity_token_file = " + token + "\n" +
		"[refused]\nrole_arn = arn:aws:iam::1:role/other\nsource_profile = source\n" +
		"[alone]\n" + role +
		"[a]\n" + role + "source_profile = b\n[b]\n" + role + "source_profile = a\n" +
		"[program]\ncredential_process = /bin/touch " + filepath.Join(t.TempDir(), "ran") + "\n" +
		"[portal]\nsso_session = x\n"
	tests := []struct {
		profile string
		kind    fail.Kind // NotFound: the server has accepted us
		text    string
	}{
		{"", fail.NotFound, ""},
		{"role", fail.NotFound, ""},
		{"self", fail.NotFound, ""},
		{"environment", fail.NotFound, ""},
		{"pod", fail.NotFound, ""},
		{"refused", fail.Denied, "take on role arn:aws:iam::1:role/other"},
		{"alone", fail.Denied, "no source_profile"},
		{"a", fail.Denied, "in a circle"},
		{"program", fail.Denied, "from a program or a sign-in portal"},
		{"portal", fail.Denied, "from a program or a sign-in portal"},
		{"nobody", fail.Denied, `no profile "nobody"`},
	}
	t.Setenv("AWS_ACCESS_KEY_ID", "AKIDSOURCE")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "topsecret")
	for _, tt := range tests {
		b, err := s3.Open(t.Context(), s3.Config{Bucket: "bucket", Endpoint: server.Endpoint, Credentials: []byte(text), Profile: tt.profile})
		if err == nil {
			_, err = b.Stat(t.Context(), "k")
		}
		if !fail.Is(err, tt.kind) || !strings.Contains(err.Error(), tt.text) {
			t.Errorf("%q: %v (%v), want %v with %q", tt.profile, err, fail.Of(err), tt.kind, tt.text)
		}
		if err != nil && strings.Contains(err.Error(), "topsecret") {
			t.Errorf("%q: the message holds the secret: %v", tt.profile, err)
		}
	}
	if _, err := s3.Open(t.Context(), s3.Config{Bucket: "bucket", Endpoint: server.Endpoint, Credentials: []byte("{\"type\": \"topsecret\"}")}); !fail.Is(err, fail.Denied) || strings.Contains(err.Error(), "topsecret") {
		t.Errorf("what is no credentials file: %v", err)
	}
}

// TestPodIdentity is IRSA: a token in a file, and the role in the environment.
func TestPodIdentity(t *testing.T) {
	server := start(t)
	if err := server.CreateBucket("bucket"); err != nil {
		t.Fatal(err)
	}
	isolate(t)
	newSTS(t, server, "the pod's token")
	token := filepath.Join(t.TempDir(), "token")
	t.Setenv("AWS_WEB_IDENTITY_TOKEN_FILE", token)
	t.Setenv("AWS_ROLE_ARN", "arn:aws:iam::1:role/backup")
	for content, kind := range map[string]fail.Kind{"the pod's token": fail.NotFound, "another": fail.Denied} {
		if err := os.WriteFile(token, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		b, err := s3.Open(t.Context(), s3.Config{Bucket: "bucket", Endpoint: server.Endpoint})
		if err == nil {
			_, err = b.Stat(t.Context(), "k")
		}
		if !fail.Is(err, kind) {
			t.Errorf("with %q: %v (%v), want %v", content, err, fail.Of(err), kind)
		}
	}
}

// TestFileRotates writes new keys into the file that an open bucket has its keys from.
func TestFileRotates(t *testing.T) {
	server := start(t)
	isolate(t)
	if err := server.CreateBucket("bucket"); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "cloud")
	write := func(key, secret string) {
		// As the kubelet does: another file under the same name.
		if err := os.WriteFile(file+".new", []byte("[default]\naws_access_key_id="+key+"\naws_secret_access_key="+secret+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(file+".new", file); err != nil {
			t.Fatal(err)
		}
	}
	write("AKIDTEST", "topsecret")
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", file)
	b := open(t, "s3://bucket?endpoint="+server.Endpoint)
	if _, err := b.Stat(t.Context(), "k"); !fail.Is(err, fail.Denied) {
		t.Errorf("old keys: %v", err)
	}
	write(server.AccessKey, server.SecretKey)
	if _, err := b.Stat(t.Context(), "k"); !fail.Is(err, fail.NotFound) {
		t.Errorf("new keys: %v", err)
	}
}

// TestFindRegion asks a server that says the region in its refusal, as Amazon's does.
func TestFindRegion(t *testing.T) {
	isolate(t)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Method != http.MethodHead || r.Header.Get("Authorization") != "":
			t.Errorf("%s %s, %v", r.Method, r.URL, r.Header)
		case r.URL.Path == "/bucket":
			w.Header().Set("x-amz-bucket-region", "eu-north-1")
			w.WriteHeader(http.StatusForbidden)
		case r.URL.Path == "/silent":
			w.WriteHeader(http.StatusForbidden)
		default:
			w.WriteHeader(http.StatusNotFound)
		}
	}))
	t.Cleanup(server.Close)
	for bucket, want := range map[string]struct {
		region string
		kind   fail.Kind
	}{"bucket": {"eu-north-1", fail.Unknown}, "missing": {"", fail.NotFound}, "silent": {"", fail.Invalid}} {
		region, err := s3.FindRegion(t.Context(), s3.Config{Bucket: bucket, Endpoint: server.URL})
		if region != want.region || fail.Of(err) != want.kind {
			t.Errorf("%s: %q, %v", bucket, region, err)
		}
	}
}
