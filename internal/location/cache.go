// SPDX-License-Identifier: Apache-2.0

package location

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"sync"

	"k8s.io/apimachinery/pkg/types"

	velerov1 "hozon.dev/hozon/api/velero/v1"
	"hozon.dev/hozon/internal/blob"
)

// Cache keeps locations open, with their connections, and opens them again when their spec or a Secret of theirs has changed: rotated
// credentials count from the next Open on. The zero value is ready; it may be used by several goroutines.
type Cache struct {
	Plugins Plugins // set before the first use

	mu   sync.Mutex
	open map[types.NamespacedName]entry
}

type entry struct {
	of     [sha256.Size]byte
	bucket blob.Bucket
}

// Open is the package's Open, or the bucket that it returned for the same location and secrets before.
func (c *Cache) Open(ctx context.Context, loc *velerov1.BackupStorageLocation, secrets Secrets) (blob.Bucket, error) {
	name := types.NamespacedName{Namespace: loc.Namespace, Name: loc.Name}
	of, err := fingerprint(loc, secrets)
	if err != nil {
		return nil, fmt.Errorf("open backup storage location %s: %w", loc.Name, err)
	}
	c.mu.Lock()
	kept, ok := c.open[name]
	c.mu.Unlock()
	if ok && kept.of == of {
		return kept.bucket, nil
	}
	b, err := c.Plugins.Open(ctx, loc, secrets)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.open == nil {
		c.open = map[types.NamespacedName]entry{}
	}
	c.open[name] = entry{of, b}
	return b, nil
}

// Forget closes nothing that is in use: it only lets go of a location that is gone.
func (c *Cache) Forget(namespace, name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.open, types.NamespacedName{Namespace: namespace, Name: name})
}

// fingerprint covers all that Open looks at but variables of this process, and files that the drivers look at again by themselves.
func fingerprint(loc *velerov1.BackupStorageLocation, secrets Secrets) ([sha256.Size]byte, error) {
	spec := loc.Spec
	names := []string{spec.Config["customerKeyEncryptionFile"]}
	if Provider(loc) == "azure" {
		names = append(names, spec.Config["credentialsFile"], os.Getenv("AZURE_CREDENTIALS_FILE"))
	}
	var files [][]byte
	for _, name := range names {
		if name != "" {
			data, _ := readFile("", name) // Open says what is wrong with it
			files = append(files, data)
		}
	}
	data, err := json.Marshal([]any{spec.Provider, prefersPlugin(loc), spec.Config, spec.Credential, spec.ObjectStorage, spec.AccessMode, secrets, files})
	return sha256.Sum256(data), err
}
