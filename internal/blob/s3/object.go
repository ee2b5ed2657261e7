// SPDX-License-Identifier: Apache-2.0

package s3

import (
	"encoding/base64"
	"io"
	"net/http"
	"net/url"
	"strings"
	"unicode/utf8"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/encrypt"

	"hozon.dev/hozon/internal/blob/part"
	"hozon.dev/hozon/internal/fail"
)

// Objects says what every object is given when it is written. The zero value leaves all to the bucket's own defaults.
type Objects struct {
	Encryption  string            // "AES256" or "aws:kms": the server encrypts with a key of its own
	KMSKey      string            // id of the key of "aws:kms", which it implies; empty: the account's default key
	CustomerKey []byte            // 32 bytes: the server encrypts with this key and forgets it; excludes the two others
	Tags        map[string]string // at most ten
	Checksum    string            // "CRC32", "CRC32C", "SHA1", "SHA256", "CRC64NVME": kept by the server with the object
}

// checksums by the name that Amazon's settings give them.
var checksums = map[string]minio.ChecksumType{
	"CRC32": minio.ChecksumCRC32, "CRC32C": minio.ChecksumCRC32C, "SHA1": minio.ChecksumSHA1, "SHA256": minio.ChecksumSHA256,
	"CRC64NVME": minio.ChecksumCRC64NVME,
}

// traits are Objects in the library's terms.
type traits struct {
	sse      encrypt.ServerSide // nil: none asked for
	customer bool               // sse is needed to read, too
	tags     map[string]string
	checksum minio.ChecksumType
}

func (o Objects) traits() (t traits, err error) {
	if err := checkTags(o.Tags); err != nil {
		return t, err
	}
	t.tags = o.Tags
	if o.Checksum != "" {
		known := false
		if t.checksum, known = checksums[o.Checksum]; !known {
			return t, fail.Errorf(fail.Invalid, "unknown checksum algorithm %q: known are CRC32, CRC32C, CRC64NVME, SHA1 and SHA256", o.Checksum)
		}
	}
	if len(o.CustomerKey) > 0 {
		return t, t.encryptWith(o)
	}
	switch {
	case o.KMSKey != "" && o.Encryption != "AES256", o.Encryption == "aws:kms":
		t.sse, err = encrypt.NewSSEKMS(o.KMSKey, nil)
	case o.Encryption == "AES256" && o.KMSKey == "":
		t.sse = encrypt.NewSSE()
	case o.Encryption != "" || o.KMSKey != "":
		return t, fail.Errorf(fail.Invalid, "unknown server-side encryption %q: it is AES256, or aws:kms with or without a key's id", o.Encryption)
	}
	return t, err
}

func (t *traits) encryptWith(o Objects) (err error) {
	if o.Encryption != "" || o.KMSKey != "" {
		return fail.Errorf(fail.Invalid, "a customer's key and another server-side encryption exclude each other")
	}
	if t.sse, err = encrypt.NewSSEC(o.CustomerKey); err != nil {
		return fail.Errorf(fail.Invalid, "the customer's key has %d bytes; S3 wants 32", len(o.CustomerKey))
	}
	t.customer = true
	return nil
}

func checkTags(tags map[string]string) error {
	if len(tags) > 10 {
		return fail.Errorf(fail.Invalid, "%d tags are too many: S3 keeps ten with an object", len(tags))
	}
	for key, value := range tags {
		if key == "" || utf8.RuneCountInString(key) > 128 || utf8.RuneCountInString(value) > 256 {
			return fail.Errorf(fail.Invalid, "the tag %.140q cannot be kept: S3 allows keys of 1 to 128 characters, and values of 256", key)
		}
	}
	return nil
}

// whole are the options of a request that is a whole object.
func (t traits) whole(id string, body *part.Part) minio.PutObjectOptions {
	opts := t.options(id)
	if t.checksum.IsSet() {
		opts.UserMetadata[t.checksum.KeyCapitalized()] = t.sum(body) // the library takes other headers from here, too
	}
	return opts
}

// begin are the options of a request that begins a multipart upload.
func (t traits) begin(id string) minio.PutObjectOptions {
	opts := t.options(id)
	if t.checksum.IsSet() {
		opts.UserMetadata["X-Amz-Checksum-Algorithm"] = t.checksum.String()
	}
	return opts
}

func (t traits) options(id string) minio.PutObjectOptions {
	return minio.PutObjectOptions{
		UserMetadata: map[string]string{idKey: id}, UserTags: t.tags, ServerSideEncryption: t.sse,
		DisableContentSha256: true, // the library's own hashing is off, because we give it the hash of the body
	}
}

// finish are the options of a request that ends a multipart upload.
func (t traits) finish() minio.PutObjectOptions {
	if t.customer {
		return minio.PutObjectOptions{ServerSideEncryption: t.sse}
	}
	return minio.PutObjectOptions{}
}

// get are the options of a request that reads: with the customer's key, without which the server cannot.
func (t traits) get() minio.GetObjectOptions {
	if t.customer {
		return minio.GetObjectOptions{ServerSideEncryption: t.sse}
	}
	return minio.GetObjectOptions{}
}

func (t traits) part(body *part.Part) minio.PutObjectPartOptions {
	opts := minio.PutObjectPartOptions{Sha256Hex: body.SHA256(), DisableContentSha256: true}
	if t.customer {
		opts.SSE = t.sse
	}
	if t.checksum.IsSet() {
		opts.CustomHeader = http.Header{}
		opts.CustomHeader.Set(t.checksum.Key(), t.sum(body))
	}
	return opts
}

func (t traits) sum(body *part.Part) string {
	h := t.checksum.Hasher()
	_, _ = io.Copy(h, body.Reader()) // neither side can fail
	return base64.StdEncoding.EncodeToString(h.Sum(nil))
}

// note keeps the sum of a part for the list of parts.
func (t traits) note(done *minio.CompletePart, sum string) {
	switch t.checksum {
	case minio.ChecksumCRC32:
		done.ChecksumCRC32 = sum
	case minio.ChecksumCRC32C:
		done.ChecksumCRC32C = sum
	case minio.ChecksumSHA1:
		done.ChecksumSHA1 = sum
	case minio.ChecksumSHA256:
		done.ChecksumSHA256 = sum
	case minio.ChecksumCRC64NVME:
		done.ChecksumCRC64NVME = sum
	}
}

// ParseTags reads "key=value&key=value", escaped as in a URL.
func ParseTags(text string) (map[string]string, error) {
	tags := map[string]string{}
	for pair := range strings.SplitSeq(text, "&") {
		key, value, found := strings.Cut(pair, "=")
		key, keyErr := url.QueryUnescape(key)
		value, valueErr := url.QueryUnescape(value)
		if _, twice := tags[key]; !found || key == "" || keyErr != nil || valueErr != nil || twice {
			return nil, fail.Errorf(fail.Invalid, "tags must read key=value&key=value, each key once, with special characters escaped")
		}
		tags[key] = value
	}
	return tags, checkTags(tags)
}
