// SPDX-License-Identifier: Apache-2.0

package location

import (
	"context"
	"maps"

	velerov1 "hozon.dev/hozon/api/velero/v1"
	"hozon.dev/hozon/internal/blob"
	"hozon.dev/hozon/internal/blob/extern"
	"hozon.dev/hozon/internal/fail"
)

// prefersPlugin says that a location wants a plugin even if its provider is built in.
func prefersPlugin(loc *velerov1.BackupStorageLocation) bool {
	return loc.Annotations[velerov1.AnnotationObjectStore] == "plugin"
}

// plugin opens a bucket by a plugin. It gets the settings that Velero gives it; which of them it knows is its own business.
func (p *place) plugin(ctx context.Context, provider string, plugins Plugins) (blob.Bucket, error) {
	if plugins == nil {
		return nil, fail.Errorf(fail.Unsupported, "no store of provider %q is built in: there are aws, azure, file and gcp", provider)
	}
	settings := maps.Clone(p.of)
	if settings == nil {
		settings = map[string]string{}
	}
	settings["bucket"], settings["prefix"] = p.bucket, p.prefix
	if len(p.ca) > 0 {
		settings["caCert"] = string(p.ca)
	}
	store, err := plugins(ctx, provider, settings, p.secrets.Credential)
	if err != nil {
		return nil, err
	}
	return &extern.Bucket{Store: store, Provider: provider, Name: p.bucket, Prefix: p.prefix, ReadOnly: p.readOnly}, nil
}
