// SPDX-License-Identifier: Apache-2.0

package location

import (
	"context"
	"strconv"

	"hozon.dev/hozon/internal/blob"
	"hozon.dev/hozon/internal/blob/azure"
	"hozon.dev/hozon/internal/blob/link"
	"hozon.dev/hozon/internal/fail"
)

var azureKeys = []string{
	"resourceGroup", "storageAccount", "subscriptionId", "blockSizeInBytes", "storageAccountURI", "useAAD", "activeDirectoryAuthorityURI",
	"storageAccountKeyEnvVar", "credentialsFile",
}

// azure opens a container of Azure Blob Storage. As in the plugin, an identity is used to look up the account's key unless useAAD is true; unlike there, the
// address of the store is not looked up but formed from the account's name and the cloud.
func (p *place) azure(ctx context.Context) (blob.Bucket, error) {
	if err := p.know(azureKeys...); err != nil {
		return nil, err
	}
	aad, _, err := p.bool("useAAD")
	if err != nil {
		return nil, err
	}
	if p.of["storageAccount"] == "" {
		return nil, fail.Errorf(fail.Invalid, "storageAccount not defined")
	}
	size := int64(0)
	if text := p.of["blockSizeInBytes"]; text != "" {
		if size, err = strconv.ParseInt(text, 10, 64); err != nil || size <= 0 {
			return nil, fail.Errorf(fail.Invalid, "could not parse blockSizeInBytes (expected a number of bytes): it is %q", text)
		}
	}
	cfg := azure.Config{
		Account: p.of["storageAccount"], Container: p.bucket, Prefix: p.prefix, Endpoint: p.of["storageAccountURI"], BlockSize: size, CA: p.ca,
		Credentials: p.secrets.Credential, CredentialsFile: p.of["credentialsFile"], KeyVariable: p.of["storageAccountKeyEnvVar"],
		LookUpKey: !aad, Subscription: p.of["subscriptionId"], ResourceGroup: p.of["resourceGroup"],
		Words: link.Words{Place: "the location's config", Credentials: p.source, CA: "caCert"},
	}
	if aad {
		cfg.Authority = p.of["activeDirectoryAuthorityURI"]
	}
	b, err := azure.Open(ctx, cfg)
	if err != nil {
		return nil, err
	}
	return b, nil
}
