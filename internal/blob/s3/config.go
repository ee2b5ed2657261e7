// SPDX-License-Identifier: Apache-2.0

package s3

import (
	"cmp"
	"net/url"
	"os"
	"slices"
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
	Words          Words
}

// Words are the names that messages give to settings, so that they are the ones that the user has written. The zero value is for those of a store's URL.
type Words struct {
	Place       string // where all settings are: "the store's URL"
	Credentials string // where Config.Credentials came from: "Secret velero/cloud-credentials"
	CA          string // "ca=FILE"
}

func (w Words) place() string { return cmp.Or(w.Place, "the store's URL") }
func (w Words) ca() string    { return cmp.Or(w.CA, "ca=FILE") }

// parameters of the URL, in the order in which messages list them.
var parameters = []string{"endpoint", "region", "path-style", "insecure-skip-tls-verify", "ca", "profile", "conditional-put"}

// Parse reads "s3://bucket/prefix?endpoint=…&region=…&path-style=true&insecure-skip-tls-verify=true&ca=FILE&profile=NAME&conditional-put=true".
// Its errors never quote a value: somebody may have put credentials in there.
func Parse(text string) (Config, error) {
	u, err := url.Parse(text)
	if err != nil {
		return Config{}, fail.Errorf(fail.Invalid, "the store's URL cannot be parsed: it must read s3://bucket/prefix?endpoint=…, with special characters escaped")
	}
	if u.User != nil || strings.ContainsAny(u.Host, ":@") {
		return Config{}, errCredentials
	}
	switch {
	case u.Scheme != "s3":
		return Config{}, fail.Errorf(fail.Invalid, "the store's URL does not start with s3://")
	case u.Opaque != "" || u.Host == "":
		return Config{}, fail.Errorf(fail.Invalid, "the store's URL names no bucket: it must read s3://bucket/prefix")
	case u.Fragment != "":
		return Config{}, fail.Errorf(fail.Invalid, "the store's URL has a '#': write %%23 if it belongs to the prefix")
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return Config{}, fail.Errorf(fail.Invalid, "the parameters of the store's URL cannot be parsed: escape '%%', ';' and '&' in their values")
	}
	cfg := Config{Bucket: u.Host, Prefix: strings.Trim(u.Path, "/")}
	for _, name := range slices.Sorted(keys(query)) {
		values := query[name]
		if !slices.Contains(parameters, name) {
			return Config{}, fail.Errorf(fail.Invalid, "unknown parameter %q in the store's URL: known are %s", name, strings.Join(parameters, ", "))
		}
		if len(values) != 1 || values[0] == "" {
			return Config{}, fail.Errorf(fail.Invalid, "parameter %q in the store's URL needs one value", name)
		}
		if err := cfg.set(name, values[0]); err != nil {
			return Config{}, err
		}
	}
	if _, _, err := cfg.host(); err != nil {
		return Config{}, err
	}
	return cfg, cfg.check()
}

var errCredentials = fail.Errorf(fail.Invalid, "the store's URL holds a user, a password or a port before the bucket's path: credentials belong into the environment "+
	"(AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY) or into a credentials file, a server's address into the parameter endpoint")

func keys(query url.Values) func(func(string) bool) {
	return func(yield func(string) bool) {
		for name := range query {
			if !yield(name) {
				return
			}
		}
	}
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
func (cfg *Config) check() error {
	if err := s3utils.CheckValidBucketName(cfg.Bucket); err != nil {
		return fail.Errorf(fail.Invalid, "the bucket's name cannot be right: %w", err)
	}
	cfg.Prefix = strings.Trim(cfg.Prefix, "/")
	if cfg.Prefix == "" {
		return nil
	}
	if err := blob.CheckKey(cfg.Prefix); err != nil {
		return fail.Errorf(fail.Invalid, "the store's prefix: %w", err)
	}
	cfg.Prefix += "/"
	return nil
}

func (cfg *Config) region() string {
	return cmp.Or(cfg.Region, os.Getenv("AWS_REGION"), os.Getenv("AWS_DEFAULT_REGION"), "us-east-1")
}

func (cfg *Config) tls() link.TLS {
	return link.TLS{CAFile: cfg.CAFile, CA: cfg.CA, SkipVerify: cfg.InsecureSkipTLSVerify, Setting: cfg.Words.ca(), Place: cfg.Words.place()}
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
		return "", false, errCredentials
	case err != nil, u.Host == "", u.Path != "" && u.Path != "/", u.RawQuery != "", u.Fragment != "", u.Scheme != "http" && u.Scheme != "https":
		return "", false, fail.Errorf(fail.Invalid, "the endpoint of the store must read https://host:port or http://host:port")
	}
	return u.Host, u.Scheme == "https", nil
}
