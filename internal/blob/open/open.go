// SPDX-License-Identifier: Apache-2.0

// Package open turns the URL of a store into a bucket: which driver it is, and with which settings.
package open

import (
	"context"
	"net/url"
	"strings"

	"hozon.dev/hozon/internal/blob"
	"hozon.dev/hozon/internal/blob/dir"
	"hozon.dev/hozon/internal/blob/s3"
	"hozon.dev/hozon/internal/fail"
)

// Options modify how a bucket is opened.
type Options struct {
	Create bool // make the last folder of a path if it does not exist
}

// Bucket opens the bucket that text names: a path, file:///path, or s3://bucket/prefix?endpoint=… (package s3 has the parameters).
// Messages never quote more of a URL than its scheme, since somebody may have put credentials into it.
func Bucket(ctx context.Context, text string, o Options) (blob.Bucket, error) {
	scheme, _, hasScheme := strings.Cut(text, "://")
	switch {
	case text == "":
		return nil, fail.Errorf(fail.Invalid, "the store's URL is empty: give a folder, file:///folder or s3://bucket/prefix")
	case !hasScheme:
		return dir.Open(text, o.Create)
	case scheme == "file":
		path, err := filePath(text)
		if err != nil {
			return nil, err
		}
		return dir.Open(path, o.Create)
	case scheme == "s3":
		cfg, err := s3.Parse(text)
		if err != nil {
			return nil, err
		}
		return s3.Open(ctx, cfg)
	}
	return nil, fail.Errorf(fail.Invalid, "unknown scheme %q in the store's URL: known are a path, file:// and s3://", scheme)
}

func filePath(text string) (string, error) {
	u, err := url.Parse(text)
	if err != nil || u.Host != "" && u.Host != "localhost" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || u.Path == "" {
		return "", fail.Errorf(fail.Invalid, "the store's URL must read file:///absolute/path, with special characters escaped, or be a plain path")
	}
	return u.Path, nil
}
