// SPDX-License-Identifier: Apache-2.0

package azure_test

import (
	"fmt"
	"testing"

	"hozon.dev/hozon/internal/blob"
	"hozon.dev/hozon/internal/blob/azure"
	"hozon.dev/hozon/internal/blob/blobtest"
	"hozon.dev/hozon/test/azureserver"
)

// isolate hides what the machine of the test may have of Azure's.
func isolate(t *testing.T) {
	t.Helper()
	for _, name := range []string{"AZURE_CREDENTIALS_FILE", "AZURE_STORAGE_KEY", "AZURE_STORAGE_SAS_TOKEN", "AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET", "AZURE_CLIENT_CERTIFICATE",
		"AZURE_CLIENT_CERTIFICATE_PATH", "AZURE_FEDERATED_TOKEN_FILE", "AZURE_AUTHORITY_HOST", "AZURE_SUBSCRIPTION_ID", "AZURE_RESOURCE_GROUP", "AZURE_CLOUD_NAME"} {
		t.Setenv(name, "")
	}
}

func open(t *testing.T, cfg azure.Config) *azure.Bucket {
	t.Helper()
	b, err := azure.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestBucket takes some seconds: it sends hundreds of MiB to a server on the same machine.
func TestBucket(t *testing.T) {
	server := azureserver.Start(t, azureserver.TLS{})
	isolate(t)
	t.Setenv("AZURE_STORAGE_KEY", azureserver.Key)
	containers := 0
	for name, prefix := range map[string]string{"root": "", "prefix": "/some/pre-fix"} {
		t.Run(name, func(t *testing.T) {
			blobtest.Suite{
				Open: func(t *testing.T) blob.Bucket {
					containers++
					name := fmt.Sprintf("container-%d", containers)
					server.CreateContainer(t, name)
					return open(t, azure.Config{Account: azureserver.Account, Container: name, Prefix: prefix, Endpoint: server.Endpoint})
				},
				Refused: []string{`a\b`},
			}.Run(t)
		})
	}
}
