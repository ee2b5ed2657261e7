// SPDX-License-Identifier: Apache-2.0

package location

import (
	"context"

	"hozon.dev/hozon/internal/blob"
	"hozon.dev/hozon/internal/blob/gcs"
	"hozon.dev/hozon/internal/blob/link"
)

// gcp opens a bucket of Google Cloud Storage. Without a key and without serviceAccount it works, but cannot sign URLs; the plugin refuses that.
func (p *place) gcp(ctx context.Context) (blob.Bucket, error) {
	if err := p.know("kmsKeyName", "serviceAccount", "credentialsFile", "storeEndpoint", "universeDomain"); err != nil {
		return nil, err
	}
	b, err := gcs.Open(ctx, gcs.Config{
		Bucket: p.bucket, Prefix: p.prefix, CA: p.ca,
		Endpoint: p.of["storeEndpoint"], Universe: p.of["universeDomain"], KMSKey: p.of["kmsKeyName"], ServiceAccount: p.of["serviceAccount"],
		Credentials: p.secrets.Credential, CredentialsFile: p.of["credentialsFile"],
		Words: link.Words{Place: "the location's config", Credentials: p.source, CA: "caCert"},
	})
	if err != nil {
		return nil, err
	}
	return b, nil
}
