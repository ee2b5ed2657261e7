// SPDX-License-Identifier: Apache-2.0

package s3

import (
	"cmp"
	"net/url"
	"os"
	"strconv"
	"strings"

	"github.com/minio/minio-go/v7/pkg/s3utils"

	"hozon.dev/hozon/internal/blob"
	"hozon.dev/hozon/internal/blob/link"
	"hozon.dev/hozon/internal/fail"
)

// Switch is a setting that the driver decides when it is not set.
type Switch uint8

const (
	Unset Switch = iota
	On
	Off
)

// Config says where a bucket is and how to speak to it. Bucket alone is enough for Amazon's own.
type Config struct {
	Bucket   string
	Prefix   string // with or without "/" around it
	Endpoint string // "https://host:port"; "http://…": without TLS; no scheme: https; empty: Amazon's
	Region   string // empty: AWS_REGION, AWS_DEFAULT_REGION, us-east-1

	PathStyle             Switch // Unset: bucket in the host name at Amazon's, in the path elsewhere
	ConditionalPut        Switch // whether the server obeys If-None-Match; see the package comment
	InsecureSkipTLSVerify bool
	CAFile                string // PEM, besides the system's
	CA                    []byte // PEM, besides the system's

	Profile         string // of the shared credentials file; takes precedence over the environment
	CredentialsFile string // takes precedence over the environment; empty: AWS_SHARED_CREDENTIALS_FILE, ~/.aws/credentials
	Credentials     []byte // the text of such a file; takes precedence over all others

	// Uploads is where, below Prefix, an object notes each multipart upload under way, so that what a dead process leaves can be removed; it ends in
	// "/". Empty: nothing is noted.
	Uploads string

	PublicEndpoint string // of signed URLs, in the form of Endpoint; empty: Endpoint
	Objects        Objects
	Words          link.Words
}

var syntax = link.Syntax{
	Scheme: "s3", Form: "s3://bucket/prefix?endpoint=…", Holder: "bucket",
	Credentials: "the environment (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY) or into a credentials file",
	Parameters:  []string{"endpoint", "region", "path-style", "insecure-skip-tls-verify", "ca", "profile", "conditional-put"},
}

// Parse reads "s3://bucket/prefix?endpoint=…&region=…&path-style=true&insecure-skip-tls-verify=true&ca=FILE&profile=NAME&conditional-put=true".
// Its errors never quote a value: somebody may have put credentials in there.
func Parse(text string) (Config, error) {
	var cfg Config
	var err error
	if cfg.Bucket, cfg.Prefix, err = syntax.Parse(text, cfg.set); err != nil {
		return Config{}, err
	}
	if _, _, err := cfg.host(); err != nil {
		return Config{}, err
	}
	return cfg, cfg.check()
}

func (cfg *Config) set(name, value string) (err error) {
	switch name {
	case "endpoint":
		cfg.Endpoint = value
	case "region":
		cfg.Region = value
	case "ca":
		cfg.CAFile = value
	case "profile":
		cfg.Profile = value
	case "path-style":
		cfg.PathStyle, err = parseSwitch(name, value)
	case "conditional-put":
		cfg.ConditionalPut, err = parseSwitch(name, value)
	case "insecure-skip-tls-verify":
		var s Switch
		s, err = parseSwitch(name, value)
		cfg.InsecureSkipTLSVerify = s == On
	}
	return err
}

func parseSwitch(name, value string) (Switch, error) {
	on, err := strconv.ParseBool(value)
	if err != nil {
		return Unset, fail.Errorf(fail.Invalid, "parameter %q in the store's URL must be true or false", name)
	}
	if on {
		return On, nil
	}
	return Off, nil
}

// check looks at the names, and brings Prefix into its form.
func (cfg *Config) check() (err error) {
	if err := s3utils.CheckValidBucketName(cfg.Bucket); err != nil {
		return fail.Errorf(fail.Invalid, "the bucket's name cannot be right: %w", err)
	}
	cfg.Prefix, err = blob.Root(cfg.Prefix)
	return err
}

func (cfg *Config) region() string {
	return cmp.Or(cfg.Region, os.Getenv("AWS_REGION"), os.Getenv("AWS_DEFAULT_REGION"), "us-east-1")
}

func (cfg *Config) tls() link.TLS {
	trust := cfg.Words.TLS(cfg.CAFile, cfg.CA)
	trust.SkipVerify = cfg.InsecureSkipTLSVerify
	return trust
}

// host returns the host, with port if any, of the endpoint.
func (cfg *Config) host() (host string, secure bool, err error) {
	if cfg.Endpoint == "" {
		if strings.HasPrefix(cfg.region(), "cn-") {
			return "s3." + cfg.region() + ".amazonaws.com.cn", true, nil
		}
		return "s3." + cfg.region() + ".amazonaws.com", true, nil
	}
	return parseEndpoint(cfg.Endpoint)
}

func parseEndpoint(text string) (host string, secure bool, err error) {
	if !strings.Contains(text, "://") {
		text = "https://" + text
	}
	u, err := url.Parse(text)
	switch {
	case err == nil && u.User != nil:
		return "", false, syntax.Misplaced()
	case err != nil, u.Host == "", u.Path != "" && u.Path != "/", u.RawQuery != "", u.Fragment != "", u.Scheme != "http" && u.Scheme != "https":
		return "", false, fail.Errorf(fail.Invalid, "the endpoint of the store must read https://host:port or http://host:port")
	}
	return u.Host, u.Scheme == "https", nil
}
