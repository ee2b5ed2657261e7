// SPDX-License-Identifier: Apache-2.0

package s3

import (
	"cmp"
	"context"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/minio/minio-go/v7/pkg/credentials"

	"hozon.dev/hozon/internal/fail"
)

// find returns the first credentials of: what cfg says (then nothing else is tried), the environment, the shared
// credentials file, and the role of the pod, task or machine (IRSA, EKS pod identity, ECS, EC2). Source says for messages which it was. Those with
// an end, and those of a file that changes, are renewed by the client.
func find(ctx context.Context, cfg Config) (creds *credentials.Credentials, source string, err error) {
	if try := cfg.own(); try != nil {
		creds = credentials.New(try.provider)
		value, err := fetch(ctx, creds)
		if err == nil && value.AccessKeyID == "" {
			err = fail.Errorf(fail.Denied, "aws_access_key_id is missing")
		}
		if err != nil {
			return nil, "", fail.Errorf(fail.Denied, "get credentials from %s: %w", try.source, err)
		}
		return creds, try.source, nil
	}
	for _, try := range cfg.sources() {
		creds := credentials.New(try.provider)
		if value, fetchErr := fetch(ctx, creds); fetchErr == nil && value.AccessKeyID != "" && value.SecretAccessKey != "" {
			return creds, try.source, nil
		} else if fetchErr != nil {
			err = fetchErr // the last is that of the role, which may be worth a look
		}
		if ctx.Err() != nil {
			return nil, "", ctx.Err()
		}
	}
	text := "no credentials for S3: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or fill in the " + fileName(cfg) + ", or run where there is a role"
	if err != nil {
		return nil, "", fail.Errorf(fail.Denied, "%s (last tried: %w)", text, err)
	}
	return nil, "", fail.Errorf(fail.Denied, "%s", text)
}

// source is one place to look for credentials in.
type source struct {
	provider credentials.Provider
	source   string
}

// own is the source that cfg names; nil: none.
func (cfg *Config) own() *source {
	p := &profile{name: cfg.Profile, region: cfg.region(), client: roleClient()}
	switch {
	case len(cfg.Credentials) > 0:
		p.text = cfg.Credentials
		return &source{p, cfg.Words.Source() + ", profile " + cmp.Or(cfg.Profile, os.Getenv("AWS_PROFILE"), "default")}
	case cfg.CredentialsFile != "":
		p.file = cfg.CredentialsFile
		return &source{p, "the " + fileName(*cfg)}
	case cfg.Profile != "":
		return &source{cfg.shared(p), "the " + fileName(*cfg)}
	}
	return nil
}

// shared reads the shared credentials file: the library the usual ones, which may name a sign-in portal, we the one that the environment names.
func (cfg *Config) shared(p *profile) credentials.Provider {
	if p.file = os.Getenv("AWS_SHARED_CREDENTIALS_FILE"); p.file != "" && os.Getenv("AWS_CONFIG_FILE") == "" {
		return p
	}
	return &credentials.FileAWSCredentials{Profile: cfg.Profile}
}

func (cfg *Config) sources() []source {
	sources := []source{
		{&credentials.EnvAWS{}, "the environment (AWS_ACCESS_KEY_ID)"},
		{cfg.shared(&profile{name: cfg.Profile, region: cfg.region(), client: roleClient()}), "the " + fileName(*cfg)},
	}
	if !mayHaveRole() {
		return sources
	}
	role := &credentials.IAM{Region: cfg.region(), Client: roleClient()}
	if os.Getenv("AWS_WEB_IDENTITY_TOKEN_FILE") != "" {
		role.Endpoint = stsEndpoint(cfg.region())
	}
	return append(sources, source{role, "the role of this pod or machine"})
}

func fetch(ctx context.Context, creds *credentials.Credentials) (credentials.Value, error) {
	type result struct {
		value credentials.Value
		err   error
	}
	done := make(chan result, 1)
	go func() {
		value, err := creds.GetWithContext(&credentials.CredContext{Client: roleClient()})
		done <- result{value, err}
	}()
	select {
	case r := <-done:
		return r.value, r.err
	case <-ctx.Done():
		return credentials.Value{}, ctx.Err()
	}
}

func fileName(cfg Config) string {
	name := cmp.Or(cfg.CredentialsFile, os.Getenv("AWS_SHARED_CREDENTIALS_FILE"), "~/.aws/credentials")
	return "credentials file " + name + ", profile " + cmp.Or(cfg.Profile, os.Getenv("AWS_PROFILE"), "default")
}

// mayHaveRole honours the switch of Amazon's tools that says not to ask the machine's metadata service.
func mayHaveRole() bool {
	return os.Getenv("AWS_EC2_METADATA_DISABLED") != "true" || os.Getenv("AWS_WEB_IDENTITY_TOKEN_FILE") != "" ||
		os.Getenv("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI") != "" || os.Getenv("AWS_CONTAINER_CREDENTIALS_FULL_URI") != ""
}

// roleClient gives up soon: where there is no metadata service, its address often swallows packets.
func roleClient() *http.Client {
	return &http.Client{
		Timeout: 10 * time.Second,
		Transport: &http.Transport{
			Proxy:       http.ProxyFromEnvironment,
			DialContext: (&net.Dialer{Timeout: 2 * time.Second}).DialContext,
		},
	}
}
