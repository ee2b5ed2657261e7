// SPDX-License-Identifier: Apache-2.0

package azure

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/sas"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/service"

	"hozon.dev/hozon/internal/fail"
)

const (
	longest = 7 * 24 * time.Hour // of a user delegation key
	early   = 10 * time.Minute   // a URL is valid before now, for servers whose clock is behind
)

// Sign implements blob.Signer: with the account's key, or, where only an identity is known, with a key that the store gives it for that.
func (b *Bucket) Sign(ctx context.Context, key string, ttl time.Duration) (string, error) {
	name, err := b.full(ctx, key)
	switch {
	case err != nil:
		return "", fmt.Errorf("sign a URL of %s: %w", key, err)
	case b.bySAS:
		return "", fail.Errorf(fail.Unsupported, "sign a URL of %s: %s cannot sign", key, b.source)
	case ttl < time.Second || ttl > longest:
		return "", fail.Errorf(fail.Invalid, "sign a URL of %s: it can live for a second to seven days, not for %s", key, ttl)
	}
	now := time.Now().UTC()
	values := sas.BlobSignatureValues{
		ContainerName: b.name, BlobName: name, StartTime: now.Add(-early), ExpiryTime: now.Add(ttl), Permissions: (&sas.BlobPermissions{Read: true}).String(),
		Protocol: sas.ProtocolHTTPS,
	}
	if strings.HasPrefix(b.endpoint, "http://") {
		values.Protocol = sas.ProtocolHTTPSandHTTP
	}
	query, err := b.signature(ctx, values)
	if err != nil {
		return "", b.explain("sign a URL of", key, err)
	}
	return b.container.NewBlobClient(name).URL() + "?" + query, nil
}

func (b *Bucket) signature(ctx context.Context, values sas.BlobSignatureValues) (string, error) {
	if b.key != nil {
		query, err := values.SignWithSharedKey(b.key)
		return query.Encode(), err
	}
	// The library takes the account's name for what is signed from the address.
	if _, host, _ := strings.Cut(b.endpoint, "://"); !strings.HasPrefix(host, b.account+".") {
		return "", fail.Errorf(fail.Unsupported, "with an identity URLs can be signed only where the address of the store begins with the account's name, which %s does not", b.endpoint)
	}
	start, expiry := values.StartTime.Format(sas.TimeFormat), values.ExpiryTime.Format(sas.TimeFormat)
	delegated, err := b.service.GetUserDelegationCredential(ctx, service.KeyInfo{Start: &start, Expiry: &expiry}, nil)
	if err != nil {
		return "", err
	}
	query, err := values.SignWithUserDelegation(delegated)
	return query.Encode(), err
}
