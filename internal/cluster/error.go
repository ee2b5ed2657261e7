// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"hozon.dev/hozon/internal/fail"
)

// ErrExpired says that the server does not have the asked-for resource version any more (HTTP 410).
var ErrExpired = errors.New("the resource version has expired")

// maxErrorBody bounds what is read of a response that is an error, in bytes.
const maxErrorBody = 1 << 20

// RetryAfter is the time that the server asked to wait for before the call that gave err is repeated.
func RetryAfter(err error) (time.Duration, bool) {
	seconds, ok := apierrors.SuggestsClientDelay(err)
	return time.Duration(seconds) * time.Second, ok
}

func invalid(format string, args ...any) error { return fail.Errorf(fail.Invalid, format, args...) }

// callError is an error with its own text and several causes.
type callError struct {
	text   string
	causes []error
}

func (e *callError) Error() string   { return e.text }
func (e *callError) Unwrap() []error { return e.causes }

// statusError turns a response that is an error into one of ours. It reads the body.
func (c *Client) statusError(k call, resp *http.Response) error {
	status := readStatus(k, resp)
	cause := &apierrors.StatusError{ErrStatus: status}
	kind, expired := kindOf(status)
	text := fmt.Sprintf("%s: %s", k.what(), status.Message)
	if status.Code == http.StatusUnauthorized {
		text += fmt.Sprintf(" (the API server %s does not accept these credentials)", c.base)
	}
	out := &callError{text: text, causes: []error{cause}}
	if expired {
		out.causes = append(out.causes, ErrExpired)
	}
	return fail.As(kind, out)
}

// readStatus returns what the server says about its error: its Status object, or one made of the HTTP status.
func readStatus(k call, resp *http.Response) metav1.Status {
	body, _ := io.ReadAll(io.LimitReader(resp.Body, maxErrorBody))
	seconds, _ := strconv.Atoi(resp.Header.Get("Retry-After"))
	var status metav1.Status
	if json.Unmarshal(body, &status) == nil && status.Kind == "Status" && status.Status == metav1.StatusFailure {
		if status.Code == 0 {
			status.Code = int32(resp.StatusCode)
		}
		if seconds > 0 && (status.Details == nil || status.Details.RetryAfterSeconds == 0) {
			if status.Details == nil {
				status.Details = &metav1.StatusDetails{}
			}
			status.Details.RetryAfterSeconds = int32(seconds)
		}
		return status
	}
	gr := schema.GroupResource{Group: k.t.Group, Resource: k.t.Resource}
	text := strings.TrimSpace(string(body[:min(len(body), 2048)]))
	made := apierrors.NewGenericServerResponse(resp.StatusCode, k.verb, gr, k.name, text, seconds, true)
	return made.ErrStatus
}

// kindOf is the table from the server's answers to kinds.
func kindOf(s metav1.Status) (kind fail.Kind, expired bool) {
	switch s.Code {
	case http.StatusNotFound:
		return fail.NotFound, false
	case http.StatusConflict:
		if s.Reason == metav1.StatusReasonAlreadyExists {
			return fail.Exists, false
		}
		return fail.Busy, false
	case http.StatusForbidden:
		if hasCause(s, corev1.NamespaceTerminatingCause) {
			return fail.Busy, false // passes when the namespace is gone
		}
		return fail.Denied, false
	case http.StatusUnauthorized:
		return fail.Denied, false
	case http.StatusGone:
		return fail.Transient, true
	case http.StatusMethodNotAllowed, http.StatusNotAcceptable, http.StatusUnsupportedMediaType, http.StatusNotImplemented:
		return fail.Unsupported, false
	case http.StatusTooManyRequests, http.StatusRequestTimeout:
		return fail.Transient, false
	}
	switch {
	case s.Reason == metav1.StatusReasonExpired:
		return fail.Transient, true
	case s.Code >= 500:
		return fail.Transient, false
	case s.Code >= 400:
		return fail.Invalid, false
	}
	return fail.Unknown, false
}

func hasCause(s metav1.Status, cause metav1.CauseType) bool {
	if s.Details == nil {
		return false
	}
	for _, c := range s.Details.Causes {
		if c.Type == cause {
			return true
		}
	}
	return false
}

// reachError is for calls that got no answer at all. What the caller cancelled stays of kind Unknown.
func (c *Client) reachError(ctx context.Context, what string, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return fmt.Errorf("%s: %w", what, cause)
	}
	// The URL of a request says less than verb and object, which the text has already.
	if u := (*url.Error)(nil); errors.As(err, &u) {
		err = u.Err
	}
	kind := fail.Transient
	if isTrust(err) {
		kind = fail.Denied
	}
	return fail.Errorf(kind, "%s: reach the API server %s: %w", what, c.base, err)
}

// isTrust reports whether the two sides do not trust each other's certificates.
func isTrust(err error) bool {
	var verify *tls.CertificateVerificationError
	var unknown x509.UnknownAuthorityError
	var host x509.HostnameError
	var alert tls.AlertError
	return errors.As(err, &verify) || errors.As(err, &unknown) || errors.As(err, &host) || errors.As(err, &alert)
}
