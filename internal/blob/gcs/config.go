// SPDX-License-Identifier: Apache-2.0

package gcs

import (
	"cmp"
	"regexp"
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
	Words  link.Words
}

var syntax = link.Syntax{
	Scheme: "gs", Form: "gs://bucket/prefix", Holder: "bucket", Credentials: "a file (parameter credentials-file)",
	Parameters: []string{"endpoint", "credentials-file", "service-account", "kms-key", "ca"},
}

// Parse reads "gs://bucket/prefix?endpoint=…&credentials-file=FILE&service-account=NAME&kms-key=…&ca=FILE". Its errors never quote a value.
func Parse(text string) (Config, error) {
	var cfg Config
	var err error
	if cfg.Bucket, cfg.Prefix, err = syntax.Parse(text, cfg.set); err != nil {
		return Config{}, err
	}
	return cfg, cfg.check()
}

func (cfg *Config) set(name, value string) error {
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
	return nil
}

var bucketName = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]$`)

// check looks at the names, and brings Prefix and Endpoint into their forms.
func (cfg *Config) check() (err error) {
	if !bucketName.MatchString(cfg.Bucket) {
		return fail.Errorf(fail.Invalid, "the bucket's name cannot be right: it has 3 to 222 lower-case letters, digits, '-', '_' and '.'")
	}
	if cfg.Prefix, err = blob.Root(cfg.Prefix); err != nil {
		return err
	}
	if cfg.Endpoint == "" {
		cfg.Endpoint = "https://storage." + cmp.Or(cfg.Universe, "googleapis.com")
	}
	u, err := link.Endpoint(cfg.Endpoint, "https://host")
	if err != nil {
		return err
	}
	if path := strings.Trim(u.Path, "/"); path != "" && path != "storage/v1" {
		return fail.Errorf(fail.Invalid, "the endpoint of the store must read https://host or https://host/storage/v1/")
	}
	cfg.Endpoint = u.Scheme + "://" + u.Host
	return nil
}
