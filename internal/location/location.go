// SPDX-License-Identifier: Apache-2.0

// Package location opens the store that a BackupStorageLocation describes. Providers, settings and credentials are those of Velero and its
// storage plugins, so that a location that works there works here, with nothing else installed.
//
// Providers, each also with "velero.io/" before it: aws (Amazon S3 and all that speak its protocol), gcp (Google Cloud Storage), azure (Azure
// Blob Storage), file (a folder of a mounted volume; also called fs). Any other is looked for among plugins, if there are any (Plugins), and so is one of these whose
// location has the annotation hozon.dev/object-store: plugin.
//
// A setting that a provider does not know is refused with the list of those that it does. Credentials are the bytes of the Secret that
// the location names; without one they come from where the provider's own tools look: the environment and the files that it names, the
// identity of the pod or machine. Files are read again when they change; for a Secret that changes there is Cache.
//
// The package does not read Secrets, and opening does not speak to the store: whether all is right shows at the first call.
package location

import (
	"context"
	"fmt"
	"strings"

	velerov1 "hozon.dev/hozon/api/velero/v1"
	"hozon.dev/hozon/internal/blob"
	"hozon.dev/hozon/internal/blob/extern"
	"hozon.dev/hozon/internal/fail"
	"hozon.dev/hozon/internal/filter"
)

// Secrets are what the Secrets hold that a location names. Who reads them finds their names in spec.credential, spec.objectStorage.caCertRef
// and CustomerKey.
type Secrets struct {
	Credential  []byte // of spec.credential
	CA          []byte // PEM, of spec.objectStorage.caCertRef
	CustomerKey []byte // of the config's customerKeyEncryptionSecret
}

// Plugins opens an object store of a plugin for a provider; nil: there are no plugins. The settings are the location's and what Velero adds to them; a
// credential is nil if the location names none.
type Plugins func(ctx context.Context, provider string, settings map[string]string, credential []byte) (extern.Store, error)

// Open opens the store of loc, without plugins.
func Open(ctx context.Context, loc *velerov1.BackupStorageLocation, secrets Secrets) (blob.Bucket, error) {
	return Plugins(nil).Open(ctx, loc, secrets)
}

// Open opens the store of loc.
func (plugins Plugins) Open(ctx context.Context, loc *velerov1.BackupStorageLocation, secrets Secrets) (blob.Bucket, error) {
	b, err := open(ctx, loc, secrets, plugins)
	if err != nil {
		return nil, fmt.Errorf("open backup storage location %s: %w", loc.Name, err)
	}
	return b, nil
}

func open(ctx context.Context, loc *velerov1.BackupStorageLocation, secrets Secrets, plugins Plugins) (blob.Bucket, error) {
	place, err := newPlace(loc, secrets)
	if err != nil {
		return nil, err
	}
	if prefersPlugin(loc) {
		return place.plugin(ctx, loc.Spec.Provider, plugins)
	}
	switch Provider(loc) {
	case "aws":
		return place.aws(ctx)
	case "gcp":
		return place.gcp(ctx)
	case "azure":
		return place.azure(ctx)
	case "file", "fs":
		return place.file()
	}
	return place.plugin(ctx, loc.Spec.Provider, plugins)
}

// Provider is the location's provider without "velero.io/".
func Provider(loc *velerov1.BackupStorageLocation) string {
	return strings.TrimPrefix(loc.Spec.Provider, "velero.io/")
}

// place is a location, checked as far as all providers agree.
type place struct {
	settings
	secrets  Secrets
	bucket   string
	prefix   string // without "/" around it
	ca       []byte
	source   string // of secrets.Credential, for messages; empty: none is named
	readOnly bool
}

func newPlace(loc *velerov1.BackupStorageLocation, secrets Secrets) (*place, error) {
	if bad := filter.CheckDurations("spec", loc.Spec); len(bad) > 0 {
		return nil, fail.Errorf(fail.Invalid, "%s", strings.Join(bad, "; "))
	}
	storage := loc.Spec.ObjectStorage
	if storage == nil || strings.Trim(storage.Bucket, "/") == "" {
		return nil, fail.Errorf(fail.Invalid, "spec.objectStorage.bucket is not set")
	}
	p := &place{
		settings: settings{of: loc.Spec.Config},
		secrets:  secrets,
		bucket:   strings.Trim(storage.Bucket, "/"),
		prefix:   strings.Trim(storage.Prefix, "/"),
		ca:       storage.CACert,
		readOnly: loc.Spec.AccessMode == velerov1.BackupStorageLocationAccessModeReadOnly,
	}
	if strings.Contains(p.bucket, "/") {
		return nil, fail.Errorf(fail.Invalid, "spec.objectStorage.bucket %q has a '/': the folder in the bucket belongs into spec.objectStorage.prefix", p.bucket)
	}
	if p.prefix != "" {
		if err := blob.CheckKey(p.prefix); err != nil {
			return nil, fail.Errorf(fail.Invalid, "spec.objectStorage.prefix: %w", err)
		}
	}
	if storage.CACertRef != nil {
		if len(p.ca) > 0 {
			return nil, fail.Errorf(fail.Invalid, "spec.objectStorage has both caCert and caCertRef: one of them is enough")
		}
		if p.ca = secrets.CA; len(p.ca) == 0 {
			return nil, fail.Errorf(fail.Invalid, "key %q of Secret %s, which caCertRef names, is empty", storage.CACertRef.Key, storage.CACertRef.Name)
		}
	}
	if ref := loc.Spec.Credential; ref != nil {
		p.source = fmt.Sprintf("key %q of Secret %s", ref.Key, ref.Name)
		if len(secrets.Credential) == 0 {
			return nil, fail.Errorf(fail.Denied, "%s, which spec.credential names, is empty", p.source)
		}
	}
	return p, nil
}
