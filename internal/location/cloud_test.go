// SPDX-License-Identifier: Apache-2.0

package location_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"hozon.dev/hozon/internal/blob"
	"hozon.dev/hozon/internal/fail"
	"hozon.dev/hozon/internal/location"
	"hozon.dev/hozon/test/azureserver"
	"hozon.dev/hozon/test/gcsserver"
)

// TestGoogle is the installation with a JSON key of the CircleCI Server documentation, at a server of one's own.
func TestGoogle(t *testing.T) {
	server := gcsserver.Start(t)
	isolate(t)
	server.CreateBucket(t, "bucket")
	for _, provider := range []string{"gcp", "velero.io/gcp"} {
		loc := withSecret(newLocation(provider, "bucket", map[string]string{"storeEndpoint": server.Endpoint + "/storage/v1/"}))
		b, err := location.Open(t.Context(), loc, location.Secrets{Credential: server.Key})
		if err != nil {
			t.Fatal(err)
		}
		roundTrip(t, b)
		signed(t, b)
	}
}

// signed reads by a signed URL, without any credentials.
func signed(t *testing.T, b blob.Bucket) {
	t.Helper()
	url, err := b.(blob.Signer).Sign(t.Context(), "backups/a/velero-backup.json", 10*time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	if status, body := httpGet(t, url); status != http.StatusOK || body != "{}" {
		t.Errorf("GET %s: %d %q", url, status, body)
	}
}

// TestAzure opens a container by the account's key in the variable that the location names, from the Secret and from the environment.
func TestAzure(t *testing.T) {
	server := azureserver.Start(t, azureserver.TLS{})
	isolate(t)
	server.CreateContainer(t, "container")
	config := map[string]string{"storageAccount": azureserver.Account, "storageAccountURI": server.Endpoint, "storageAccountKeyEnvVar": "MY_KEY", "blockSizeInBytes": "1048576"}
	secrets := location.Secrets{Credential: []byte("AZURE_CLOUD_NAME=AzurePublicCloud\nMY_KEY=" + azureserver.Key + "\n")}
	b, err := location.Open(t.Context(), withSecret(newLocation("velero.io/azure", "container", config)), secrets)
	if err != nil {
		t.Fatal(err)
	}
	roundTrip(t, b)
	signed(t, b)
	t.Setenv("MY_KEY", azureserver.Key)
	if b, err = location.Open(t.Context(), newLocation("azure", "container", config), location.Secrets{}); err != nil {
		t.Fatal(err)
	}
	signed(t, b)
}

// TestAzureFileRotates changes the credentials file of the server's own, as the kubelet does with a mounted Secret.
func TestAzureFileRotates(t *testing.T) {
	server := azureserver.Start(t, azureserver.TLS{})
	isolate(t)
	server.CreateContainer(t, "container")
	file := filepath.Join(t.TempDir(), "cloud")
	t.Setenv("AZURE_CREDENTIALS_FILE", file)
	var cache location.Cache
	loc := newLocation("azure", "container", map[string]string{"storageAccount": azureserver.Account, "storageAccountURI": server.Endpoint})
	for key, kind := range map[string]fail.Kind{"dG9wc2VjcmV0": fail.Denied, azureserver.Key: fail.NotFound} {
		if err := os.WriteFile(file, []byte("AZURE_STORAGE_KEY="+key), 0o600); err != nil {
			t.Fatal(err)
		}
		b, err := cache.Open(t.Context(), loc, location.Secrets{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := b.Stat(t.Context(), "k"); !fail.Is(err, kind) {
			t.Errorf("with %s: %v", key, err)
		}
	}
}

func TestCloudsRefused(t *testing.T) {
	isolate(t)
	tests := []struct {
		provider   string
		config     map[string]string
		credential string
		text       string
	}{
		{"gcp", map[string]string{"region": "x"}, "{}", "config has invalid keys [region]; valid keys are [kmsKeyName serviceAccount credentialsFile storeEndpoint universeDomain bucket prefix caCert]"},
		{"gcp", nil, "[default]\nkey=topsecret", `key "cloud" of Secret cloud-credentials is not in the form of a Google credentials file`},
		{"gcp", map[string]string{"storeEndpoint": "host"}, "{}", "the endpoint of the store must read https://host"},
		{"azure", map[string]string{"region": "x"}, "A=b", "config has invalid keys [region]; valid keys are [resourceGroup storageAccount"},
		{"azure", nil, "A=b", "storageAccount not defined"},
		{"azure", map[string]string{"storageAccount": "backups", "useAAD": "maybe"}, "A=b", "could not parse useAAD (expected bool)"},
		{"azure", map[string]string{"storageAccount": "backups", "blockSizeInBytes": "1MiB"}, "A=b", "could not parse blockSizeInBytes"},
		{"azure", map[string]string{"storageAccount": "backups"}, `{"key": "topsecret"}`, "lines of NAME=value"},
		{"azure", map[string]string{"storageAccount": "backups"}, "AZURE_CLOUD_NAME=Mars", `unknown cloud "Mars"`},
		{"azure", map[string]string{"storageAccount": "backups", "storageAccountKeyEnvVar": "K"}, "K=topsecret!", "is not in base64"},
		{"azure", map[string]string{"storageAccount": "backups"}, "AZURE_TENANT_ID=t\nAZURE_CLIENT_ID=c\nAZURE_CLIENT_SECRET=topsecret", "subscriptionId and resourceGroup have to be set in the location's config, or useAAD"},
		{"azure", map[string]string{"storageAccount": "backups", "useAAD": "true"}, "AZURE_STORAGE_SAS_TOKEN=topsecret", "is no shared access signature"},
	}
	for _, tt := range tests {
		t.Run(fmt.Sprintf("%s %.20s", tt.provider, tt.text), func(t *testing.T) {
			b, err := location.Open(t.Context(), withSecret(newLocation(tt.provider, "bucket", tt.config)), location.Secrets{Credential: []byte(tt.credential)})
			if err == nil || b != nil || fail.Of(err) == fail.Unknown || !strings.Contains(err.Error(), tt.text) || strings.Contains(err.Error(), "topsecret") {
				t.Errorf("%v, %v, want %q", b, err, tt.text)
			}
		})
	}
}
