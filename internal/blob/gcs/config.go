// SPDX-License-Identifier: Apache-2.0

package gcs

import (
	"cmp"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"hozon.dev/hozon/internal/blob"
	"hozon.dev/hozon/internal/blob/link"
	"hozon.dev/hozon/internal/fail"
)

// Config says where a bucket is and how to speak to it. Bucket alone is enough where the machine or pod has an identity.
type Config struct {
	Bucket   string
	Prefix   string // with or without "/" around it
	Endpoint string // "https://host", also with "/storage/v1/" after it; empty: Google's
	Universe string // domain of a cloud that is not Google's own; empty: googleapis.com

	Credentials     []byte // JSON of a key or of an external identity; takes precedence over all others
	CredentialsFile string // with the same; takes precedence over GOOGLE_APPLICATION_CREDENTIALS
	ServiceAccount  string // signs URLs where there is no key, which the credentials must be allowed to ask of it
	KMSKey          string // projects/…/cryptoKeys/NAME: the server encrypts with it; empty: the bucket's default

	CAFile string // PEM, besides the system's
	CA     []byte // PEM, besides the system's
	Words  Words
}

// Words are the names that messages give to settings. The zero value is for those of a store's URL.
type Words struct {
	Place       string // where all settings are: "the store's URL"
	Credentials string // where Config.Credentials came from
	CA          string // "ca=FILE"
}

func (w Words) place() string { return cmp.Or(w.Place, "the store's URL") }

func (cfg *Config) tls() link.TLS {
	return link.TLS{CAFile: cfg.CAFile, CA: cfg.CA, Setting: cmp.Or(cfg.Words.CA, "ca=FILE"), Place: cfg.Words.place()}
}

var parameters = []string{"endpoint", "credentials-file", "service-account", "kms-key", "ca"}

// Parse reads "gs://bucket/prefix?endpoint=…&credentials-file=FILE&service-account=NAME&kms-key=…&ca=FILE". Its errors never quote a value.
func Parse(text string) (Config, error) {
	u, err := url.Parse(text)
	switch {
	case err != nil:
		return Config{}, fail.Errorf(fail.Invalid, "the store's URL cannot be parsed: it must read gs://bucket/prefix, with special characters escaped")
	case u.User != nil || strings.ContainsAny(u.Host, ":@"):
		return Config{}, fail.Errorf(fail.Invalid, "the store's URL holds a user, a password or a port: credentials belong into a file (parameter credentials-file)")
	case u.Scheme != "gs" || u.Opaque != "" || u.Host == "":
		return Config{}, fail.Errorf(fail.Invalid, "the store's URL names no bucket: it must read gs://bucket/prefix")
	case u.Fragment != "":
		return Config{}, fail.Errorf(fail.Invalid, "the store's URL has a '#': write %%23 if it belongs to the prefix")
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return Config{}, fail.Errorf(fail.Invalid, "the parameters of the store's URL cannot be parsed: escape '%%', ';' and '&' in their values")
	}
	cfg := Config{Bucket: u.Host, Prefix: u.Path}
	for name, values := range query {
		if !slices.Contains(parameters, name) {
			return Config{}, fail.Errorf(fail.Invalid, "unknown parameter %q in the store's URL: known are %s", name, strings.Join(parameters, ", "))
		}
		if len(values) != 1 || values[0] == "" {
			return Config{}, fail.Errorf(fail.Invalid, "parameter %q in the store's URL needs one value", name)
		}
		cfg.set(name, values[0])
	}
	return cfg, cfg.check()
}

func (cfg *Config) set(name, value string) {
	switch name {
	case "endpoint":
		cfg.Endpoint = value
	case "credentials-file":
		cfg.CredentialsFile = value
	case "service-account":
		cfg.ServiceAccount = value
	case "kms-key":
		cfg.KMSKey = value
	case "ca":
		cfg.CAFile = value
	}
}

var bucketName = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]$`)

// check looks at the names, and brings Prefix and Endpoint into their forms.
func (cfg *Config) check() error {
	if !bucketName.MatchString(cfg.Bucket) {
		return fail.Errorf(fail.Invalid, "the bucket's name cannot be right: it has 3 to 222 lower-case letters, digits, '-', '_' and '.'")
	}
	if cfg.Prefix = strings.Trim(cfg.Prefix, "/"); cfg.Prefix != "" {
		if err := blob.CheckKey(cfg.Prefix); err != nil {
			return fail.Errorf(fail.Invalid, "the store's prefix: %w", err)
		}
		cfg.Prefix += "/"
	}
	if cfg.Endpoint == "" {
		cfg.Endpoint = "https://storage." + cmp.Or(cfg.Universe, "googleapis.com")
	}
	u, err := url.Parse(cfg.Endpoint)
	if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || u.Scheme != "http" && u.Scheme != "https" {
		return fail.Errorf(fail.Invalid, "the endpoint of the store must read https://host")
	}
	if path := strings.Trim(u.Path, "/"); path != "" && path != "storage/v1" {
		return fail.Errorf(fail.Invalid, "the endpoint of the store must read https://host or https://host/storage/v1/")
	}
	cfg.Endpoint = u.Scheme + "://" + u.Host
	return nil
}
