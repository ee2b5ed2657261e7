// SPDX-License-Identifier: Apache-2.0

package s3

import (
	"cmp"
	"net/http"
	"os"
	"strings"
	"sync"

	"github.com/minio/minio-go/v7/pkg/credentials"
	"gopkg.in/ini.v1"

	"hozon.dev/hozon/internal/fail"
)

// maxCredentials bounds a credentials file.
const maxCredentials = 1 << 20

// profile gives the credentials of one profile in the text of a credentials file, which may also hold what belongs into a config file:
// roles to be taken on. It runs no programs and asks no sign-in portal: the text comes from a Secret.
type profile struct {
	text   []byte
	file   string // read instead of text, and again when it has changed
	name   string
	region string
	client *http.Client

	role credentials.Provider // of the last answer; nil: the keys stand in the text
	seen os.FileInfo
	mu   sync.Mutex
}

// RetrieveWithCredContext implements credentials.Provider.
func (p *profile) RetrieveWithCredContext(cc *credentials.CredContext) (credentials.Value, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	text, err := p.read()
	if err != nil {
		return credentials.Value{}, err
	}
	file, err := ini.LoadSources(ini.LoadOptions{SkipUnrecognizableLines: true, IgnoreInlineComment: true}, text)
	if err != nil {
		return credentials.Value{}, fail.Errorf(fail.Denied, "the text is not in the form of a credentials file: [profile] and key=value")
	}
	p.role, err = p.provider(file, cmp.Or(p.name, os.Getenv("AWS_PROFILE"), "default"), map[string]bool{})
	if err != nil {
		return credentials.Value{}, err
	}
	return p.role.RetrieveWithCredContext(cc)
}

// Retrieve implements credentials.Provider.
func (p *profile) Retrieve() (credentials.Value, error) {
	return p.RetrieveWithCredContext(&credentials.CredContext{Client: p.client})
}

// IsExpired implements credentials.Provider: also when the file is not the one that was read.
func (p *profile) IsExpired() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.file != "" {
		info, err := os.Stat(p.file)
		if err == nil && (p.seen == nil || info.Size() != p.seen.Size() || !info.ModTime().Equal(p.seen.ModTime()) || !os.SameFile(info, p.seen)) {
			return true
		}
	}
	return p.role == nil || p.role.IsExpired()
}

func (p *profile) read() ([]byte, error) {
	if p.file == "" {
		return p.text, nil
	}
	info, err := os.Stat(p.file)
	if err != nil {
		return nil, err
	}
	if info.Size() > maxCredentials {
		return nil, fail.Errorf(fail.Invalid, "%s has %d bytes: that is no credentials file", p.file, info.Size())
	}
	p.seen = info
	return os.ReadFile(p.file)
}

// provider finds out how the profile called name gets its keys. been ends circles of source_profile.
func (p *profile) provider(file *ini.File, name string, been map[string]bool) (credentials.Provider, error) {
	section, err := file.GetSection(name)
	if err != nil {
		section, err = file.GetSection("profile " + name)
	}
	if err != nil {
		return nil, fail.Errorf(fail.Denied, "there is no profile %q", name)
	}
	if been[name] {
		return nil, fail.Errorf(fail.Denied, "the profiles name each other in a circle: %q is its own source_profile", name)
	}
	been[name] = true
	if section.HasKey("role_arn") {
		return p.assume(file, section, been)
	}
	value := credentials.Value{
		AccessKeyID: text(section, "aws_access_key_id"), SecretAccessKey: text(section, "aws_secret_access_key"),
		SessionToken: text(section, "aws_session_token"), SignerType: credentials.SignatureV4,
	}
	switch {
	case value.AccessKeyID != "" && value.SecretAccessKey != "":
		return &credentials.Static{Value: value}, nil
	case section.HasKey("credential_process") || section.HasKey("sso_session") || section.HasKey("sso_start_url"):
		return nil, fail.Errorf(fail.Unsupported, "profile %q gets its keys from a program or a sign-in portal: that works in ~/.aws only", name)
	case value.AccessKeyID == "":
		return nil, fail.Errorf(fail.Denied, "aws_access_key_id is missing in profile %q", name)
	}
	return nil, fail.Errorf(fail.Denied, "aws_secret_access_key is missing in profile %q", name)
}

func text(section *ini.Section, key string) string {
	return strings.TrimSpace(section.Key(key).Value()) // String would take %(…)s in a key for a reference
}

// assume takes on the role of section, with the keys or the token that it names for that.
func (p *profile) assume(file *ini.File, section *ini.Section, been map[string]bool) (credentials.Provider, error) {
	region := cmp.Or(text(section, "region"), p.region)
	if token := text(section, "web_identity_token_file"); token != "" {
		return &credentials.STSWebIdentity{
			Client: p.client, STSEndpoint: stsEndpoint(region), RoleARN: text(section, "role_arn"),
			GetWebIDTokenExpiry: func() (*credentials.WebIdentityToken, error) {
				data, err := os.ReadFile(token)
				return &credentials.WebIdentityToken{Token: string(data)}, err
			},
		}, nil
	}
	source, err := p.source(file, section, been)
	if err != nil {
		return nil, err
	}
	return &assumed{source: source, STSAssumeRole: credentials.STSAssumeRole{
		Client: p.client, STSEndpoint: stsEndpoint(region),
		Options: credentials.STSAssumeRoleOptions{
			Location: region, RoleARN: text(section, "role_arn"), ExternalID: text(section, "external_id"),
			RoleSessionName: cmp.Or(text(section, "role_session_name"), "hozon"),
			DurationSeconds: section.Key("duration_seconds").MustInt(0),
		},
	}}, nil
}

func (p *profile) source(file *ini.File, section *ini.Section, been map[string]bool) (credentials.Provider, error) {
	if name := text(section, "source_profile"); name != "" {
		if name == section.Name() { // a profile may be its own source: then its keys are meant
			return &credentials.Static{Value: credentials.Value{
				AccessKeyID: text(section, "aws_access_key_id"), SecretAccessKey: text(section, "aws_secret_access_key"),
				SessionToken: text(section, "aws_session_token"), SignerType: credentials.SignatureV4,
			}}, nil
		}
		return p.provider(file, name, been)
	}
	switch from := text(section, "credential_source"); from {
	case "Environment":
		return &credentials.EnvAWS{}, nil
	case "Ec2InstanceMetadata", "EcsContainer":
		return &credentials.IAM{Region: p.region, Client: p.client}, nil
	default:
		return nil, fail.Errorf(fail.Denied, "profile %q has a role_arn, but no source_profile, web_identity_token_file or credential_source to take it on with", section.Name())
	}
}

// assumed is a role taken on with the keys of another provider.
type assumed struct {
	credentials.STSAssumeRole
	source credentials.Provider
}

func (a *assumed) RetrieveWithCredContext(cc *credentials.CredContext) (credentials.Value, error) {
	keys, err := a.source.RetrieveWithCredContext(cc)
	if err != nil {
		return credentials.Value{}, err
	}
	if keys.AccessKeyID == "" || keys.SecretAccessKey == "" {
		return credentials.Value{}, fail.Errorf(fail.Denied, "there are no keys to take on role %s with", a.Options.RoleARN)
	}
	a.Options.AccessKey, a.Options.SecretKey, a.Options.SessionToken = keys.AccessKeyID, keys.SecretAccessKey, keys.SessionToken
	value, err := a.STSAssumeRole.RetrieveWithCredContext(cc)
	if err != nil {
		return credentials.Value{}, fail.Errorf(fail.Denied, "take on role %s: %w", a.Options.RoleARN, err)
	}
	return value, nil
}

func (a *assumed) Retrieve() (credentials.Value, error) {
	return a.RetrieveWithCredContext(&credentials.CredContext{Client: a.Client})
}

// stsEndpoint is where roles are taken on: the variable is that of Amazon's own tools.
func stsEndpoint(region string) string {
	if own := os.Getenv("AWS_ENDPOINT_URL_STS"); own != "" {
		return own
	}
	if strings.HasPrefix(region, "cn-") {
		return "https://sts." + region + ".amazonaws.com.cn"
	}
	return "https://sts." + region + ".amazonaws.com"
}
