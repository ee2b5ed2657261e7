// SPDX-License-Identifier: Apache-2.0

package location

import (
	"context"
	"strings"

	velerov1 "hozon.dev/hozon/api/velero/v1"
	"hozon.dev/hozon/internal/blob"
	"hozon.dev/hozon/internal/blob/link"
	"hozon.dev/hozon/internal/blob/s3"
	"hozon.dev/hozon/internal/fail"
)

var awsKeys = []string{
	"region", "s3Url", "publicUrl", "kmsKeyId", "customerKeyEncryptionFile", "customerKeyEncryptionSecret", "s3ForcePathStyle", "signatureVersion",
	"credentialsFile", "profile", "serverSideEncryption", "insecureSkipTLSVerify", "enableSharedConfig", "tagging", "checksumAlgorithm",
}

// aws opens a bucket of S3. Of the plugin's settings signatureVersion and enableSharedConfig mean nothing any more, there as here: signatures are
// always of version 4, and a credentials file may always hold what belongs into a config file.
func (p *place) aws(ctx context.Context) (blob.Bucket, error) {
	if err := p.know(awsKeys...); err != nil {
		return nil, err
	}
	cfg := s3.Config{
		Bucket: p.bucket, Prefix: p.prefix, CA: p.ca,
		Endpoint: p.of["s3Url"], PublicEndpoint: p.of["publicUrl"], Region: p.of["region"],
		Profile: p.of["profile"], CredentialsFile: p.of["credentialsFile"], Credentials: p.secrets.Credential,
		Uploads: s3.Uploads,
		Words:   link.Words{Place: "the location's config", Credentials: p.source, CA: "caCert"},
	}
	for _, key := range []string{"s3Url", "publicUrl"} {
		if url := p.of[key]; url != "" && !strings.HasPrefix(url, "http://") && !strings.HasPrefix(url, "https://") {
			return nil, fail.Errorf(fail.Invalid, "%s must start with http:// or https://", key)
		}
	}
	pathStyle, set, err := p.bool("s3ForcePathStyle")
	if err != nil {
		return nil, err
	}
	switch { // not set is "false" to the plugin, which then puts the bucket before the host's name; for servers without a name that cannot work
	case pathStyle:
		cfg.PathStyle = s3.On
	case set:
		cfg.PathStyle = s3.Off
	}
	if cfg.InsecureSkipTLSVerify, _, err = p.bool("insecureSkipTLSVerify"); err != nil {
		return nil, err
	}
	if cfg.Objects, err = p.awsObjects(); err != nil {
		return nil, err
	}
	if cfg.Region == "" && cfg.Endpoint == "" {
		if cfg.Region, err = s3.FindRegion(ctx, cfg); err != nil {
			return nil, err
		}
	}
	b, err := s3.Open(ctx, cfg)
	if err != nil {
		return nil, err
	}
	return b, nil
}

func (p *place) awsObjects() (o s3.Objects, err error) {
	o = s3.Objects{Encryption: p.of["serverSideEncryption"], KMSKey: p.of["kmsKeyId"], Checksum: p.of["checksumAlgorithm"]}
	if o.KMSKey != "" {
		o.Encryption = "aws:kms" // the key's id outranks the other setting, as in the plugin
	}
	if text := p.of["tagging"]; text != "" {
		if o.Tags, err = s3.ParseTags(text); err != nil {
			return o, err
		}
	}
	count := 0
	for _, key := range []string{"kmsKeyId", "customerKeyEncryptionFile", "customerKeyEncryptionSecret"} {
		if p.of[key] != "" {
			count++
		}
	}
	if count > 1 {
		return o, fail.Errorf(fail.Invalid, "you can only use one of: kmsKeyId, customerKeyEncryptionFile, or customerKeyEncryptionSecret")
	}
	o.CustomerKey, err = p.customerKey()
	if len(o.CustomerKey) > 0 {
		o.Encryption = ""
	}
	return o, err
}

func (p *place) customerKey() (key []byte, err error) {
	if name := p.of["customerKeyEncryptionFile"]; name != "" {
		if key, err = readFile("customerKeyEncryptionFile", name); err != nil {
			return nil, err
		}
		if len(key) < 32 {
			return nil, fail.Errorf(fail.Invalid, "the file of customerKeyEncryptionFile, %s, has %d bytes; a key has 32", name, len(key))
		}
		return key[:32], nil // a line's end may follow
	}
	if ref := p.of["customerKeyEncryptionSecret"]; ref != "" {
		if _, _, err := parseRef(ref); err != nil {
			return nil, err
		}
		if len(p.secrets.CustomerKey) != 32 {
			return nil, fail.Errorf(fail.Invalid, "the key of customerKeyEncryptionSecret, %s, has %d bytes; it has to have exactly 32", ref, len(p.secrets.CustomerKey))
		}
		return p.secrets.CustomerKey, nil
	}
	return nil, nil
}

// CustomerKey returns the name of the Secret, and the key in it, that the location's customerKeyEncryptionSecret asks for; ok is false if it asks for none.
func CustomerKey(loc *velerov1.BackupStorageLocation) (secret, key string, ok bool) {
	ref := loc.Spec.Config["customerKeyEncryptionSecret"]
	if ref == "" || Provider(loc) != "aws" {
		return "", "", false
	}
	secret, key, err := parseRef(ref)
	return secret, key, err == nil
}

func parseRef(ref string) (secret, key string, err error) {
	secret, key, _ = strings.Cut(ref, "/")
	if secret == "" || key == "" || strings.Contains(key, "/") {
		return "", "", fail.Errorf(fail.Invalid, "invalid secret reference format: %s, expected secretName/key", ref)
	}
	return secret, key, nil
}
