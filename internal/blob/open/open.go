// SPDX-License-Identifier: Apache-2.0

// Package open turns the URL of a store into a Bucket. It knows every driver, and nothing about what they do.
package open

import (
	"context"
	"net/url"
	"strings"

	"hozon.dev/hozon/internal/blob"
	"hozon.dev/hozon/internal/blob/azure"
	"hozon.dev/hozon/internal/blob/dir"
	"hozon.dev/hozon/internal/blob/gcs"
	"hozon.dev/hozon/internal/blob/s3"
	"hozon.dev/hozon/internal/fail"
)

// Options modify how a store is opened.
type Options struct {
	Create bool // make the folder of a file store if only its last element is missing; buckets are never made
}

// known is for messages.
const known = "file:///folder, /folder, ./folder, s3://bucket/prefix?endpoint=…, gs://bucket/prefix and azblob://container/prefix?account=…"

// Bucket opens the store at text: "file:///folder", a path, or "s3://bucket/prefix", "gs://bucket/prefix" or
// "azblob://container/prefix" with the parameters that the drivers' packages document.
// A text that is no such thing, and one that holds credentials, is fail.Invalid; such an error never quotes the text, but for its scheme.
func Bucket(ctx context.Context, text string, opts Options) (blob.Bucket, error) {
	if text == "" {
		return nil, fail.Errorf(fail.Invalid, "no store is given: it is one of %s", known)
	}
	scheme, _, found := strings.Cut(text, ":")
	if !found || strings.ContainsAny(scheme, "/.") {
		return folder(text, opts)
	}
	switch strings.ToLower(scheme) {
	case "file":
		path, err := filePath(text)
		if err != nil {
			return nil, err
		}
		return folder(path, opts)
	case "s3":
		cfg, err := s3.Parse("s3" + text[len(scheme):])
		if err != nil {
			return nil, err
		}
		cfg.Uploads = s3.Uploads
		return bucket(s3.Open(ctx, cfg))
	case "gs":
		cfg, err := gcs.Parse("gs" + text[len(scheme):])
		if err != nil {
			return nil, err
		}
		return bucket(gcs.Open(ctx, cfg))
	case "azblob":
		cfg, err := azure.Parse("azblob" + text[len(scheme):])
		if err != nil {
			return nil, err
		}
		return bucket(azure.Open(ctx, cfg))
	}
	return nil, fail.Errorf(fail.Invalid, "unknown kind of store %q: known are %s", scheme, known)
}

func folder(path string, opts Options) (blob.Bucket, error) {
	return bucket(dir.Open(path, opts.Create))
}

// bucket keeps a nil pointer from becoming an interface that is not nil.
func bucket[B blob.Bucket](b B, err error) (blob.Bucket, error) {
	if err != nil {
		return nil, err
	}
	return b, nil
}

func filePath(text string) (string, error) {
	u, err := url.Parse(text)
	switch {
	case err != nil:
		return "", fail.Errorf(fail.Invalid, "the store's URL cannot be parsed: it must read file:///folder, with special characters escaped")
	case u.User != nil:
		return "", fail.Errorf(fail.Invalid, "the store's URL holds a user or a password: a folder needs none")
	case u.Host != "" && u.Host != "localhost":
		return "", fail.Errorf(fail.Invalid, "the store's URL names a host: a folder of this machine is file:///folder, with three slashes")
	case u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return "", fail.Errorf(fail.Invalid, "the store's URL has parameters: a folder takes none ('?' and '#' in its name are written %%3F and %%23)")
	case u.Opaque != "" || u.Path == "":
		return "", fail.Errorf(fail.Invalid, "the store's URL has no absolute path: it must read file:///folder")
	}
	return u.Path, nil
}
