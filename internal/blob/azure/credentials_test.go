// SPDX-License-Identifier: Apache-2.0

package azure

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/google/go-cmp/cmp"

	"hozon.dev/hozon/internal/fail"
)

func TestParseVariables(t *testing.T) {
	got, err := parseVariables([]byte("# a comment\n\nA=b\nexport C = 'd e' \nF=\"g=h\"\nI=\r\n"))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]string{"A": "b", "C": "d e", "F": "g=h", "I": ""}, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	for _, text := range []string{"topsecret", "{\"a\": \"topsecret\"}", "=topsecret", "two words=topsecret"} {
		if _, err := parseVariables([]byte(text)); !fail.Is(err, fail.Denied) || strings.Contains(err.Error(), "topsecret") {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func FuzzParseVariables(f *testing.F) {
	f.Add([]byte("A=b\nexport C='d'\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		found, err := parseVariables(text)
		for name := range found {
			if err == nil && strings.ContainsAny(name, "=\n \t") {
				t.Errorf("%q: a variable %q", text, name)
			}
		}
	})
}

// token is an identity that has logged in.
type token struct{}

func (token) GetToken(context.Context, policy.TokenRequestOptions) (azcore.AccessToken, error) {
	return azcore.AccessToken{Token: "token", ExpiresOn: time.Now().Add(time.Hour)}, nil
}

// TestLookUpKey asks a resource manager for an account's key. There is none for one's own machine: the answers are those of Microsoft's documentation.
func TestLookUpKey(t *testing.T) {
	manager := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		const path = "/subscriptions/sub/resourceGroups/group/providers/Microsoft.Storage/storageAccounts/backups/listKeys"
		w.Header().Set("Content-Type", "application/json")
		if r.Method != http.MethodPost || r.URL.Path != path || r.URL.Query().Get("api-version") == "" || r.Header.Get("Authorization") != "Bearer token" {
			w.WriteHeader(http.StatusForbidden)
			fmt.Fprint(w, `{"error": {"code": "AuthorizationFailed", "message": "The client does not have authorization to perform action listKeys"}}`)
			return
		}
		fmt.Fprint(w, `{"keys": [{"keyName": "key1", "value": "cmVhZA==", "permissions": "READ"}, {"keyName": "key2", "value": "ZnVsbA==", "permissions": "FULL"}]}`)
	}))
	t.Cleanup(manager.Close)
	conf := cloud.Configuration{ActiveDirectoryAuthorityHost: manager.URL, Services: map[cloud.ServiceName]cloud.ServiceConfiguration{
		cloud.ResourceManager: {Endpoint: manager.URL, Audience: manager.URL},
	}}
	o := opener{cfg: Config{Account: "backups", ResourceGroup: "group"}, vars: variables{file: map[string]string{"AZURE_SUBSCRIPTION_ID": "sub"}}, options: options(conf, manager.Client().Transport)}
	if key, err := o.lookUpKey(t.Context(), token{}); key != "ZnVsbA==" || err != nil {
		t.Errorf("key %q, %v", key, err)
	}
	o.cfg.ResourceGroup = "other"
	b := &Bucket{source: "the client secret"}
	_, err := o.lookUpKey(t.Context(), token{})
	if err = b.explain("look up the key", "", err); !fail.Is(err, fail.Denied) || !strings.Contains(err.Error(), "AuthorizationFailed") {
		t.Errorf("without the right: %v (%v)", err, fail.Of(err))
	}
}
