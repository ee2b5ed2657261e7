// SPDX-License-Identifier: Apache-2.0

package gcs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"golang.org/x/oauth2"
	"google.golang.org/api/googleapi"

	"hozon.dev/hozon/internal/blob/link"
	"hozon.dev/hozon/internal/fail"
)

// status is the HTTP status of a refusal, or 0.
func status(err error) int {
	var refusal *googleapi.Error
	if errors.As(err, &refusal) {
		return refusal.Code
	}
	return 0
}

// noBucket tells the two 404 apart: only the text does.
func noBucket(err error) bool {
	return status(err) == http.StatusNotFound && strings.Contains(strings.ToLower(err.Error()), "bucket does not exist")
}

// explain gives an error its kind, and says what is wrong in the words of the settings and the credentials that the user gave.
func (b *Bucket) explain(op, key string, err error) error {
	if key != "" {
		op += " " + key
	}
	var (
		refusal *googleapi.Error
		login   *oauth2.RetrieveError
	)
	switch {
	case fail.Of(err) != fail.Unknown || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("%s: %w", op, err)
	case errors.As(err, &login):
		kind, why := b.login(login)
		return fail.Errorf(kind, "%s: %s (%w)", op, why, link.Detail{Err: err, Text: loginText(login)})
	case !errors.As(err, &refusal):
		return link.Explain(op, b.endpoint, b.tls, err)
	}
	kind, why := b.refusal(refusal)
	if noBucket(err) || refusal.Code == http.StatusNotFound && (key == "" || strings.HasPrefix(op, "put ") || strings.HasPrefix(op, "list ")) { // what else could be missing?
		kind, why = fail.NotFound, fmt.Sprintf("there is no bucket %q at %s: create it, or correct %s", b.bucket, b.endpoint, b.words.Where())
	}
	return fail.Errorf(kind, "%s: %s (%w)", op, why, link.Detail{Err: err, Text: refusalText(refusal)})
}

func refusalText(r *googleapi.Error) string {
	text := fmt.Sprintf("HTTP %d", r.Code)
	if message := strings.TrimSpace(r.Message); message != "" {
		text += ": " + strings.TrimSuffix(fmt.Sprintf("%.300s", message), ".")
	}
	return text
}

func loginText(r *oauth2.RetrieveError) string {
	text := "HTTP 0"
	if r.Response != nil {
		text = fmt.Sprintf("HTTP %d", r.Response.StatusCode)
	}
	code, description := words(r)
	return strings.TrimSpace(fmt.Sprintf("%s %s: %.300s", text, code, description))
}

// words are the token service's own, which the library reads in some of its flows only.
func words(r *oauth2.RetrieveError) (code, description string) {
	var answer struct {
		Error       string `json:"error"`
		Description string `json:"error_description"`
	}
	if r.ErrorCode == "" && json.Unmarshal(r.Body, &answer) == nil {
		return answer.Error, answer.Description
	}
	return r.ErrorCode, r.ErrorDescription
}

// login judges a refusal to give a token.
func (b *Bucket) login(r *oauth2.RetrieveError) (fail.Kind, string) {
	code, description := words(r)
	switch {
	case r.Response != nil && r.Response.StatusCode >= 500:
		return fail.Transient, "Google's token service has a fault"
	case strings.Contains(description, "iat and exp") || strings.Contains(description, "short-lived token"):
		return fail.Denied, "the clock of this machine and Google's differ too much"
	case code == "invalid_grant":
		return fail.Denied, fmt.Sprintf("Google does not take the key from %s: it has been deleted, or does not belong to its account", b.identity.source)
	}
	return fail.Denied, fmt.Sprintf("Google gives no token for %s", b.identity.source)
}

func (b *Bucket) refusal(r *googleapi.Error) (fail.Kind, string) {
	reason := ""
	if len(r.Errors) > 0 {
		reason = r.Errors[0].Reason
	}
	switch s := r.Code; {
	case s == http.StatusNotFound:
		return fail.NotFound, "no such object in " + b.String()
	case s == http.StatusPreconditionFailed:
		return fail.Exists, "the object exists already in " + b.String()
	case s == http.StatusTooManyRequests || s == http.StatusRequestTimeout || s >= 500 || reason == "rateLimitExceeded" || reason == "userRateLimitExceeded":
		return fail.Transient, fmt.Sprintf("%s is overloaded or has a fault", b.endpoint)
	case s == http.StatusUnauthorized:
		return fail.Denied, fmt.Sprintf("%s does not accept %s", b.endpoint, b.identity.source)
	case s == http.StatusForbidden && strings.Contains(r.Message, "KMS"):
		return fail.Denied, fmt.Sprintf("the KMS key cannot be used: give the project's storage service agent the right to encrypt and decrypt with it, or correct %s", b.words.Where())
	case s == http.StatusForbidden:
		return fail.Denied, fmt.Sprintf("the account of %s may not do this in bucket %q", b.identity.source, b.bucket)
	case s >= 400:
		return fail.Invalid, fmt.Sprintf("%s refuses the request", b.endpoint)
	}
	return fail.Unknown, fmt.Sprintf("%s answers what Google Cloud Storage would not", b.endpoint)
}
