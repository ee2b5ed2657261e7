// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	velerov1 "hozon.dev/hozon/api/velero/v1"
	"hozon.dev/hozon/internal/fail"
)

// What a BackupRepository's spec.repositoryConfig may say: Velero's names.
const (
	sweepKey = "fullMaintenanceInterval"
	cacheKey = "cacheLimitMB" // of what a node agent keeps of a repository while it uses it
)

// sweeps are how often a repository may be swept whole.
var sweeps = map[string]time.Duration{"normalGC": 24 * time.Hour, "fastGC": 12 * time.Hour, "eagerGC": 6 * time.Hour}

// sweepInterval is what a checked configuration says; 0: nothing.
func sweepInterval(config map[string]string) time.Duration { return sweeps[config[sweepKey]] }

// configure gives a repository that was not usable yet the settings of the ConfigMap, as Velero does, and checks those that it has.
func (r *Repositories) configure(ctx context.Context, o *velerov1.BackupRepository) error {
	if r.ConfigMap != "" && o.Spec.RepositoryConfig == nil && o.Status.Phase != velerov1.BackupRepositoryPhaseReady {
		config, err := r.config(ctx, o)
		if err != nil {
			return err
		}
		o.Spec.RepositoryConfig = config
	}
	if err := checkConfig(o.Spec.RepositoryConfig); err != nil {
		return fail.Errorf(fail.Invalid, "spec.repositoryConfig of BackupRepository %s: %w", o.Name, err)
	}
	return nil
}

// config reads the ConfigMap: JSON by the type of the repository.
func (r *Repositories) config(ctx context.Context, o *velerov1.BackupRepository) (map[string]string, error) {
	var c corev1.ConfigMap
	if err := r.Live.Get(ctx, r.key(r.ConfigMap), &c); err != nil {
		return nil, fail.Errorf(fail.Invalid, "read the ConfigMap %s of --backup-repository-configmap: %w", r.ConfigMap, err)
	}
	kind := cmp.Or(o.Spec.RepositoryType, velerov1.RepositoryTypeKopia)
	text, ok := c.Data[kind]
	if !ok {
		r.Log.Warn("the ConfigMap says nothing of repositories of this type", "configMap", r.ConfigMap, "key", kind, "repository", o.Name)
		return nil, nil
	}
	var said map[string]any
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	if err := d.Decode(&said); err != nil {
		return nil, fail.Errorf(fail.Invalid, "ConfigMap %s, key %s: %w", r.ConfigMap, kind, err)
	}
	config := map[string]string{}
	for key, value := range said {
		if config[key] = fmt.Sprint(value); key != sweepKey && key != cacheKey {
			r.Log.Warn("setting of repositories is ignored: it is not known", "configMap", r.ConfigMap, "key", kind, "setting", key)
		}
	}
	if err := checkConfig(config); err != nil {
		return nil, fail.Errorf(fail.Invalid, "ConfigMap %s, key %s: %w", r.ConfigMap, kind, err)
	}
	return config, nil
}

func checkConfig(config map[string]string) error {
	if text, ok := config[sweepKey]; ok && sweeps[text] == 0 {
		return fail.Errorf(fail.Invalid, "%s %q: known are %s", sweepKey, text, strings.Join(sortedKeys(sweeps), ", "))
	}
	_, err := CacheLimit(config)
	return err
}

// CacheLimit is how many bytes the settings of a repository leave for the cache of who uses it; 0: they do not say it.
func CacheLimit(config map[string]string) (int64, error) {
	text, ok := config[cacheKey]
	if !ok {
		return 0, nil
	}
	const most = 1 << 30 // MB
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 || n > most {
		return 0, fail.Errorf(fail.Invalid, "%s %q: expected a number of MB", cacheKey, text)
	}
	return n << 20, nil
}
