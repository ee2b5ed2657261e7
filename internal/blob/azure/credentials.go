// SPDX-License-Identifier: Apache-2.0

package azure

import (
	"bufio"
	"bytes"
	"cmp"
	"net/http"
	"os"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"

	"hozon.dev/hozon/internal/fail"
)

// variables are what Azure's tools read from their environment. Those of a credentials file come first.
type variables struct {
	file   map[string]string
	source string // for messages
}

const maxCredentials = 1 << 20

func (cfg *Config) variables() (variables, error) {
	text, source := cfg.Credentials, cfg.Words.Source()
	if name := cmp.Or(cfg.CredentialsFile, os.Getenv("AZURE_CREDENTIALS_FILE")); len(text) == 0 && name != "" {
		info, err := os.Stat(name)
		if err == nil && info.Size() > maxCredentials {
			return variables{}, fail.Errorf(fail.Invalid, "%s has %d bytes: that is no credentials file", name, info.Size())
		}
		if text, err = os.ReadFile(name); err != nil {
			return variables{}, fail.Errorf(fail.Denied, "get credentials: %w", err)
		}
		source = "the credentials file " + name
	}
	if len(text) == 0 {
		return variables{source: "the environment"}, nil
	}
	file, err := parseVariables(text)
	if err != nil {
		return variables{}, fail.Errorf(fail.Denied, "%s: %w", source, err)
	}
	return variables{file: file, source: source}, nil
}

// parseVariables reads lines of NAME=value, with or without "export" before and quotes around the value.
func parseVariables(text []byte) (map[string]string, error) {
	found := map[string]string{}
	lines := bufio.NewScanner(bytes.NewReader(text))
	lines.Buffer(nil, maxCredentials)
	for lines.Scan() {
		line := strings.TrimSpace(lines.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		name, value, ok := strings.Cut(strings.TrimPrefix(line, "export "), "=")
		if name = strings.TrimSpace(name); !ok || name == "" || strings.ContainsAny(name, " \t{\"") {
			return nil, fail.Errorf(fail.Denied, "the text is not in the form of Azure's credentials files: lines of NAME=value")
		}
		value = strings.TrimSpace(value)
		if n := len(value); n >= 2 && (value[0] == '"' || value[0] == '\'') && value[n-1] == value[0] {
			value = value[1 : n-1]
		}
		found[name] = value
	}
	return found, lines.Err()
}

func (v variables) get(name string) string { return cmp.Or(v.file[name], os.Getenv(name)) }

// clouds by the names of AZURE_CLOUD_NAME, and the end of the names of their stores.
var clouds = map[string]struct {
	cloud.Configuration
	suffix string
}{
	"":                       {cloud.AzurePublic, "blob.core.windows.net"},
	"AZUREPUBLICCLOUD":       {cloud.AzurePublic, "blob.core.windows.net"},
	"AZURECLOUD":             {cloud.AzurePublic, "blob.core.windows.net"},
	"AZUREUSGOVERNMENT":      {cloud.AzureGovernment, "blob.core.usgovcloudapi.net"},
	"AZUREUSGOVERNMENTCLOUD": {cloud.AzureGovernment, "blob.core.usgovcloudapi.net"},
	"AZURECHINACLOUD":        {cloud.AzureChina, "blob.core.chinacloudapi.cn"},
}

// identity returns the credential that the variables describe, in the order of Azure's tools: a client's secret, its certificate, the token of the pod
// (workload identity), the identity of the machine.
func (v variables) identity(authority string, options policy.ClientOptions) (azcore.TokenCredential, string, error) {
	tenant, client := v.get("AZURE_TENANT_ID"), v.get("AZURE_CLIENT_ID")
	// An authority of one's own, as of a private cloud, is not one that Microsoft's can vouch for.
	private := authority != ""
	switch {
	case tenant != "" && client != "" && v.get("AZURE_CLIENT_SECRET") != "":
		c, err := azidentity.NewClientSecretCredential(tenant, client, v.get("AZURE_CLIENT_SECRET"),
			&azidentity.ClientSecretCredentialOptions{ClientOptions: options, DisableInstanceDiscovery: private})
		return c, "the client secret from " + v.source, err
	case tenant != "" && client != "" && (v.get("AZURE_CLIENT_CERTIFICATE_PATH") != "" || v.get("AZURE_CLIENT_CERTIFICATE") != ""):
		return v.certificate(tenant, client, private, options)
	case tenant != "" && client != "" && v.get("AZURE_FEDERATED_TOKEN_FILE") != "":
		c, err := azidentity.NewWorkloadIdentityCredential(&azidentity.WorkloadIdentityCredentialOptions{
			ClientOptions: options, DisableInstanceDiscovery: private, TenantID: tenant, ClientID: client, TokenFilePath: v.get("AZURE_FEDERATED_TOKEN_FILE"),
		})
		return c, "the workload identity of this pod", err
	}
	own := &azidentity.ManagedIdentityCredentialOptions{ClientOptions: options}
	if client != "" {
		own.ID = azidentity.ClientID(client)
	}
	c, err := azidentity.NewManagedIdentityCredential(own)
	return c, "the managed identity of this machine", err
}

func (v variables) certificate(tenant, client string, private bool, options policy.ClientOptions) (azcore.TokenCredential, string, error) {
	const source = "the client certificate"
	text := []byte(v.get("AZURE_CLIENT_CERTIFICATE"))
	if name := v.get("AZURE_CLIENT_CERTIFICATE_PATH"); len(text) == 0 {
		var err error
		if text, err = os.ReadFile(name); err != nil {
			return nil, source, err
		}
	}
	certs, key, err := azidentity.ParseCertificates(text, []byte(v.get("AZURE_CLIENT_CERTIFICATE_PASSWORD")))
	if err != nil {
		return nil, source, err
	}
	c, err := azidentity.NewClientCertificateCredential(tenant, client, certs, key,
		&azidentity.ClientCertificateCredentialOptions{ClientOptions: options, DisableInstanceDiscovery: private})
	return c, source + " from " + v.source, err
}

// options of all clients of one bucket.
func options(conf cloud.Configuration, transport http.RoundTripper) policy.ClientOptions {
	return policy.ClientOptions{
		Cloud: conf, Transport: &http.Client{Transport: transport}, Retry: policy.RetryOptions{MaxRetries: tries - 1, RetryDelay: retryDelay, MaxRetryDelay: 2 * retryDelay},
		Telemetry: policy.TelemetryOptions{ApplicationID: "hozon"},
	}
}
