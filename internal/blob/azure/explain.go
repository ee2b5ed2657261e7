// SPDX-License-Identifier: Apache-2.0

package azure

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/bloberror"

	"hozon.dev/hozon/internal/blob/link"
	"hozon.dev/hozon/internal/fail"
)

// status is the HTTP status of a refusal, or 0.
func status(err error) int {
	var refusal *azcore.ResponseError
	if errors.As(err, &refusal) {
		return refusal.StatusCode
	}
	return 0
}

// explain gives an error its kind, and says what is wrong in the words of the settings and the credentials that the user gave.
func (b *Bucket) explain(op, key string, err error) error {
	if key != "" {
		op += " " + key
	}
	var (
		refusal *azcore.ResponseError
		login   *azidentity.AuthenticationFailedError
	)
	switch {
	case fail.Of(err) != fail.Unknown || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("%s: %w", op, err)
	case errors.As(err, &login):
		return fail.Errorf(fail.Denied, "%s: Azure gives no token for %s: %w", op, b.source, link.Detail{Err: err, Text: first(err.Error())})
	case errors.As(err, &refusal):
		kind, why := b.refusal(refusal)
		return fail.Errorf(kind, "%s: %s (%w)", op, why, link.Detail{Err: err, Text: strings.TrimSpace(fmt.Sprintf("HTTP %d %s", refusal.StatusCode, refusal.ErrorCode))})
	case strings.Contains(err.Error(), "requests are not permitted for non"):
		return fail.Errorf(fail.Invalid, "%s: an identity's token must not go over a connection without TLS: the endpoint in %s has to start with https://", op, b.words.Where())
	}
	return link.Explain(op, b.endpoint, b.tls, err)
}

// first is the line of a long text that says what is the matter.
func first(text string) string {
	for line := range strings.SplitSeq(text, "\n") {
		if line = strings.TrimSpace(line); strings.Contains(line, "AADSTS") {
			return fmt.Sprintf("%.300s", line)
		}
	}
	line, _, _ := strings.Cut(text, "\n")
	return fmt.Sprintf("%.300s", line)
}

func (b *Bucket) refusal(r *azcore.ResponseError) (fail.Kind, string) {
	switch bloberror.Code(r.ErrorCode) {
	case bloberror.BlobNotFound:
		return fail.NotFound, "no such object in " + b.String()
	case bloberror.ContainerNotFound, bloberror.ContainerBeingDeleted, bloberror.ContainerDisabled:
		return fail.NotFound, fmt.Sprintf("there is no container %q at %s: create it, or correct %s", b.name, b.endpoint, b.words.Where())
	case bloberror.BlobAlreadyExists, bloberror.ConditionNotMet:
		return fail.Exists, "the object exists already in " + b.String()
	case bloberror.AuthenticationFailed:
		if strings.Contains(r.Error(), "date header") || strings.Contains(r.Error(), "Signature not valid in the specified time frame") {
			return fail.Denied, fmt.Sprintf("the clock of this machine and that of %s differ too much, or the signature has expired", b.endpoint)
		}
		return fail.Denied, fmt.Sprintf("%s does not accept %s: it does not belong to this account, or has been exchanged", b.endpoint, b.source)
	case "KeyBasedAuthenticationNotPermitted":
		return fail.Denied, "the storage account does not allow keys: set useAAD, so that an identity is used"
	case bloberror.AuthorizationFailure, bloberror.AuthorizationPermissionMismatch, bloberror.InsufficientAccountPermissions, bloberror.AuthorizationSourceIPMismatch:
		return fail.Denied, fmt.Sprintf("%s may not do this in container %q (its role, the SAS, the account's firewall, or a key that is not this account's)", b.source, b.name)
	case bloberror.InvalidBlockList:
		return fail.Transient, "another write of the same object has ended in between"
	case bloberror.MD5Mismatch, bloberror.ServerBusy, bloberror.OperationTimedOut:
		return fail.Transient, "the request did not get through"
	case bloberror.InvalidResourceName, bloberror.OutOfRangeInput, bloberror.InvalidURI:
		return fail.Invalid, fmt.Sprintf("%s refuses this name", b.endpoint)
	case bloberror.BlobArchived, bloberror.BlobBeingRehydrated:
		return fail.Unsupported, "the object is in the archive tier: bring it back to an online tier first"
	case bloberror.BlobImmutableDueToPolicy:
		return fail.Denied, "the container's immutability policy forbids it"
	}
	return b.byStatus(r)
}

func (b *Bucket) byStatus(r *azcore.ResponseError) (fail.Kind, string) {
	switch s := r.StatusCode; {
	case s == http.StatusNotFound:
		return fail.NotFound, "no such object in " + b.String()
	case s == http.StatusPreconditionFailed:
		return fail.Exists, "the object exists already in " + b.String()
	case s == http.StatusUnauthorized || s == http.StatusForbidden:
		return fail.Denied, fmt.Sprintf("%s may not do this in container %q at %s", b.source, b.name, b.endpoint)
	case s == http.StatusTooManyRequests || s == http.StatusRequestTimeout || s >= 500:
		return fail.Transient, fmt.Sprintf("%s is overloaded or has a fault", b.endpoint)
	case s >= 400:
		return fail.Invalid, fmt.Sprintf("%s refuses the request", b.endpoint)
	}
	return fail.Unknown, fmt.Sprintf("%s answers what Azure Blob Storage would not", b.endpoint)
}
