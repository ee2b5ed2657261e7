// SPDX-License-Identifier: Apache-2.0

package link

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/url"
	"strings"

	"hozon.dev/hozon/internal/fail"
)

// Explain says what err means that came in place of an answer from endpoint: what op names could not be asked.
func Explain(op, endpoint string, c TLS, err error) error {
	var outer *url.Error
	if errors.As(err, &outer) {
		err = outer.Err // without the request's URL
	}
	var (
		authority x509.UnknownAuthorityError
		host      x509.HostnameError
		invalid   x509.CertificateInvalidError
		record    tls.RecordHeaderError
		dns       *net.DNSError
	)
	switch {
	case errors.As(err, &authority):
		return fail.Errorf(fail.Invalid, "%s: the certificate of %s is signed by an authority that this machine does not know: name its CA with %s in %s (%w)", op, endpoint, c.Setting, c.Place, err)
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return fail.Errorf(fail.Invalid, "%s: the certificate of %s has expired or is not valid yet, by the clock of this machine (%w)", op, endpoint, err)
	case errors.As(err, &host), errors.As(err, &invalid):
		return fail.Errorf(fail.Invalid, "%s: the certificate of %s is not valid for it (%w)", op, endpoint, err)
	case errors.As(err, &record), strings.Contains(err.Error(), "server gave HTTP response to HTTPS client"):
		return fail.Errorf(fail.Invalid, "%s: the endpoint does not speak TLS: write http:// in place of https:// in %s (%w)", op, endpoint, err)
	case errors.As(err, &dns) && dns.IsNotFound:
		return fail.Errorf(fail.Transient, "%s: the host of the endpoint %s is not known to the name service (%w)", op, endpoint, err)
	}
	return fail.Errorf(fail.Transient, "%s: cannot speak to %s: %w", op, endpoint, err)
}

// Detail is an error of a server in short: it reads as Text, and is Err.
type Detail struct {
	Err  error
	Text string
}

func (d Detail) Error() string { return d.Text }

// Unwrap is the whole error.
func (d Detail) Unwrap() error { return d.Err }
