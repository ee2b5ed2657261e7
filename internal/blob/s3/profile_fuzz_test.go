// SPDX-License-Identifier: Apache-2.0

package s3

import (
	"testing"

	"github.com/minio/minio-go/v7/pkg/credentials"
	"gopkg.in/ini.v1"

	"hozon.dev/hozon/internal/fail"
)

// FuzzProfile reads any bytes as a credentials file, as far as that goes without asking anybody. What stands in it is taken as it stands.
func FuzzProfile(f *testing.F) {
	f.Add([]byte("[default]\naws_access_key_id=a\naws_secret_access_key=b\n"), "default")
	f.Add([]byte("[a]\nrole_arn=r\nsource_profile=b\n[profile b]\nrole_arn=r\nsource_profile=a\n"), "a")
	f.Add([]byte("[default]\naws_access_key_id=%(x)s\naws_secret_access_key=%(x)s%(x)s\nx=%(aws_secret_access_key)s"), "default")
	f.Add([]byte("[a]\nrole_arn=r\nweb_identity_token_file=/t\nduration_seconds=x"), "a")
	f.Fuzz(func(t *testing.T, text []byte, name string) {
		file, err := ini.LoadSources(ini.LoadOptions{SkipUnrecognizableLines: true, IgnoreInlineComment: true}, text)
		if err != nil {
			return
		}
		p := &profile{text: text, name: name}
		from, err := p.provider(file, name, map[string]bool{})
		if err != nil {
			if !fail.Is(err, fail.Denied) && !fail.Is(err, fail.Unsupported) {
				t.Errorf("%v is %v", err, fail.Of(err))
			}
			return
		}
		if static, ok := from.(*credentials.Static); ok && len(static.SecretAccessKey) > len(text) {
			t.Errorf("a key of %d bytes out of %d", len(static.SecretAccessKey), len(text))
		}
	})
}
