// SPDX-License-Identifier: Apache-2.0

package link

import (
	"net/url"
	"slices"
	"strings"

	"hozon.dev/hozon/internal/fail"
)

// Syntax is how the URL of one kind of store is written.
type Syntax struct {
	Scheme      string   // "s3"
	Form        string   // for messages: "s3://bucket/prefix?endpoint=…"
	Holder      string   // what the host names: "bucket"
	Credentials string   // where they belong: "the environment (…)"
	Parameters  []string // in the order in which messages list them
}

// Parse reads a store's URL and calls set for each parameter, in the order of their names. Its errors never quote a value: somebody may have put credentials in there.
func (s Syntax) Parse(text string, set func(name, value string) error) (holder, prefix string, err error) {
	u, err := url.Parse(text)
	switch {
	case err != nil:
		return "", "", fail.Errorf(fail.Invalid, "the store's URL cannot be parsed: it must read %s, with special characters escaped", s.Form)
	case u.User != nil || strings.ContainsAny(u.Host, ":@"):
		return "", "", s.Misplaced()
	case u.Scheme != s.Scheme:
		return "", "", fail.Errorf(fail.Invalid, "the store's URL does not start with %s://", s.Scheme)
	case u.Opaque != "" || u.Host == "":
		return "", "", fail.Errorf(fail.Invalid, "the store's URL names no %s: it must read %s", s.Holder, s.Form)
	case u.Fragment != "":
		return "", "", fail.Errorf(fail.Invalid, "the store's URL has a '#': write %%23 if it belongs to the prefix")
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return "", "", fail.Errorf(fail.Invalid, "the parameters of the store's URL cannot be parsed: escape '%%', ';' and '&' in their values")
	}
	for name := range query {
		if !slices.Contains(s.Parameters, name) {
			return "", "", fail.Errorf(fail.Invalid, "unknown parameter %q in the store's URL: known are %s", name, strings.Join(s.Parameters, ", "))
		}
	}
	for _, name := range s.Parameters {
		values, ok := query[name]
		if !ok {
			continue
		}
		if len(values) != 1 || values[0] == "" {
			return "", "", fail.Errorf(fail.Invalid, "parameter %q in the store's URL needs one value", name)
		}
		if err := set(name, values[0]); err != nil {
			return "", "", err
		}
	}
	return u.Host, u.Path, nil
}

// Misplaced is the error for credentials, or a server's address, where the name of the bucket has to be.
func (s Syntax) Misplaced() error {
	return fail.Errorf(fail.Invalid, "the store's URL holds a user, a password or a port before the %s's path: credentials belong into %s, a server's address into the parameter endpoint", s.Holder, s.Credentials)
}

// Endpoint reads the URL of a server: scheme and host, and perhaps a path.
func Endpoint(text, form string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, fail.Errorf(fail.Invalid, "the endpoint of the store must read %s", form)
	}
	return u, nil
}
