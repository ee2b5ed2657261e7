// SPDX-License-Identifier: Apache-2.0

package s3

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/minio/minio-go/v7"

	"hozon.dev/hozon/internal/blob/link"
	"hozon.dev/hozon/internal/fail"
)

// explain gives an error its kind, and says what is wrong in the words of the URL and the credentials that the user gave.
func (b *Bucket) explain(op, key string, err error) error {
	if key != "" {
		op += " " + key
	}
	if fail.Of(err) != fail.Unknown || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("%s: %w", op, err)
	}
	var response minio.ErrorResponse
	if !errors.As(err, &response) {
		return link.Explain(op, b.endpoint, b.tls, err)
	}
	kind, why := b.refusal(response)
	return fail.Errorf(kind, "%s: %s (%w)", op, why, detail{response})
}

// detail shows the server's own words after ours.
type detail struct{ minio.ErrorResponse }

func (d detail) Error() string {
	text := fmt.Sprintf("HTTP %d %s", d.StatusCode, d.Code)
	if d.Message != "" && d.Message != d.Code {
		text += ": " + strings.TrimSuffix(d.Message, ".")
	}
	return text
}

func (d detail) Unwrap() error { return d.ErrorResponse }

// refusal judges by S3's error code, and by the HTTP status where the code says nothing.
func (b *Bucket) refusal(r minio.ErrorResponse) (fail.Kind, string) {
	switch r.Code {
	case "NoSuchKey":
		return fail.NotFound, "no such object in " + b.String()
	case "NoSuchBucket":
		return fail.NotFound, fmt.Sprintf("there is no bucket %q at %s: create it, or correct %s", b.bucket, b.endpoint, b.words.Where())
	case "PreconditionFailed":
		return fail.Exists, "the object exists already in " + b.String()
	case "InvalidAccessKeyId", "XAdminUserNotFound": // the second is versitygw's
		return fail.Denied, fmt.Sprintf("%s does not know the access key from %s", b.endpoint, b.source)
	case "SignatureDoesNotMatch":
		return fail.Denied, fmt.Sprintf("the secret key from %s does not belong to its access key (or something between here and %s changes requests)", b.source, b.endpoint)
	case "ExpiredToken", "ExpiredTokenException", "InvalidToken", "TokenRefreshRequired":
		return fail.Denied, fmt.Sprintf("the session token from %s is not valid, or not any more", b.source)
	case "RequestTimeTooSkewed", "RequestExpired":
		return fail.Denied, fmt.Sprintf("the clock of this machine and that of %s differ too much", b.endpoint)
	case "PermanentRedirect", "TemporaryRedirect", "Redirect", "MovedPermanently", "AuthorizationHeaderMalformed", "InvalidRegion", "IllegalLocationConstraintException":
		return fail.Invalid, b.wrongRegion(r)
	case "InvalidBucketName":
		return fail.Invalid, fmt.Sprintf("the bucket's name %q is not valid at %s", b.bucket, b.endpoint)
	case "InvalidObjectState":
		return fail.Unsupported, "the object is in an archive tier: bring it back to a readable storage class first"
	case "QuotaExceeded", "XMinioStorageFull", "XMinioAdminBucketQuotaExceeded", "InsufficientStorage":
		return fail.Unknown, fmt.Sprintf("bucket %q is full", b.bucket)
	case "KeyTooLongError", "InvalidRange", "EntityTooLarge", "XMinioInvalidObjectName", "ObjectParentIsFile", "XMinioParentIsObject", "ExistingObjectIsDirectory":
		return fail.Invalid, fmt.Sprintf("%s refuses this key or range", b.endpoint)
	case "BadDigest", "XAmzContentSHA256Mismatch", "IncompleteBody", "NoSuchUpload", "SlowDown", "RequestTimeout", "Throttling", "OperationAborted", "ConditionalRequestConflict":
		return fail.Transient, "the request did not get through"
	}
	return b.byStatus(r)
}

func (b *Bucket) byStatus(r minio.ErrorResponse) (fail.Kind, string) {
	switch s := r.StatusCode; {
	case s == http.StatusUnauthorized || s == http.StatusForbidden:
		return fail.Denied, fmt.Sprintf("the credentials from %s may not do this in bucket %q at %s", b.source, b.bucket, b.endpoint)
	case s == http.StatusMovedPermanently || s == http.StatusTemporaryRedirect:
		return fail.Invalid, b.wrongRegion(r)
	case s == http.StatusNotImplemented || s == http.StatusMethodNotAllowed:
		return fail.Unsupported, fmt.Sprintf("%s does not have this function", b.endpoint)
	case s == http.StatusInsufficientStorage:
		return fail.Unknown, fmt.Sprintf("bucket %q is full", b.bucket)
	case s == http.StatusTooManyRequests || s == http.StatusRequestTimeout || s >= 500:
		return fail.Transient, fmt.Sprintf("%s is overloaded or has a fault", b.endpoint)
	case s == http.StatusBadRequest && strings.Contains(r.Message, "HTTP request to an HTTPS server"):
		return fail.Invalid, fmt.Sprintf("the endpoint speaks TLS: write https:// in place of http:// in %s", b.endpoint)
	case s >= 400:
		return fail.Invalid, fmt.Sprintf("%s refuses the request", b.endpoint)
	}
	return fail.Unknown, fmt.Sprintf("%s answers what S3 would not", b.endpoint)
}

func (b *Bucket) wrongRegion(r minio.ErrorResponse) string {
	if r.Region != "" && r.Region != b.region {
		return fmt.Sprintf("bucket %q is not in region %q: set region=%s in %s", b.bucket, b.region, r.Region, b.words.Where())
	}
	return fmt.Sprintf("bucket %q is not in region %q, or not behind %s: correct region or endpoint in %s", b.bucket, b.region, b.endpoint, b.words.Where())
}
