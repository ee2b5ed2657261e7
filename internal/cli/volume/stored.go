// SPDX-License-Identifier: Apache-2.0

package volume

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"os"

	"github.com/spf13/pflag"
	corev1 "k8s.io/api/core/v1"

	velerov1 "hozon.dev/hozon/api/velero/v1"
	"hozon.dev/hozon/internal/cli/env"
	"hozon.dev/hozon/internal/fail"
	"hozon.dev/hozon/internal/location"
	"hozon.dev/hozon/internal/object"
	"hozon.dev/hozon/internal/store"
	"hozon.dev/hozon/internal/vault"
	"hozon.dev/hozon/internal/velero"
	"hozon.dev/hozon/internal/volume"
)

// access are the flags of what opens repositories.
type access struct{ passwordFile string }

const accessHelp = `The repositories' password is that of --password-file, else of the variable HOZON_REPO_PASSWORD. Without either these are tried, as the server does: the
Secret velero-repo-credentials beside the server (without --store), the location's own key (metadata/hozon/repo-key), and what Velero gives every repository.

Without --store, the backup's location is read with the credentials that it names in the cluster; this machine must be able to reach it.`

func (a *access) addFlags(f *pflag.FlagSet) {
	f.StringVar(&a.passwordFile, "password-file", "", "File with the password of the repository.")
}

// saved is a backup with what its volumes are read by.
type saved struct {
	store  *store.Store
	reader *volume.Reader
	cache  string
}

// open opens what the flags name. Close it.
func (a *access) open(ctx context.Context, e *env.Env, backup string) (*saved, error) {
	password, err := a.password(e)
	if err != nil {
		return nil, err
	}
	s := &saved{}
	var secret []byte
	if e.StoreURL != "" {
		s.store, err = e.OpenStore(ctx, false)
	} else {
		s.store, secret, err = served(ctx, e, backup)
	}
	if err != nil {
		return nil, err
	}
	passwords := []string{password}
	if password == "" {
		if passwords, err = volume.Passwords(ctx, s.store.Bucket(), secret); err != nil {
			return nil, err
		}
	}
	if s.cache, err = os.MkdirTemp("", "hozon-index-"); err != nil {
		return nil, err
	}
	s.reader = &volume.Reader{Bucket: s.store.Bucket(), Passwords: passwords, Cache: s.cache}
	return s, nil
}

func (s *saved) close(ctx context.Context) {
	_ = s.reader.Close(context.WithoutCancel(ctx)) // it was only read
	_ = os.RemoveAll(s.cache)
}

// tree finds a volume of the backup and opens its snapshot.
func (s *saved) tree(ctx context.Context, backup, place string) (vault.Tree, error) {
	volumes, err := volume.List(ctx, s.store, backup)
	if err != nil {
		return nil, err
	}
	v, err := volume.Find(volumes, place)
	if err != nil {
		return nil, fmt.Errorf("backup %s: %w", backup, err)
	}
	tree, err := s.reader.Tree(ctx, v)
	if err != nil {
		return nil, fmt.Errorf("backup %s: %w; another password is given by --password-file or HOZON_REPO_PASSWORD", backup, err)
	}
	return tree, nil
}

// password is what the command line or the environment gives; empty if neither does.
func (a *access) password(e *env.Env) (string, error) {
	if a.passwordFile == "" {
		return e.Getenv("HOZON_REPO_PASSWORD"), nil
	}
	data, err := os.ReadFile(a.passwordFile)
	if err != nil {
		return "", env.Usagef("--password-file: %w", err)
	}
	password, err := volume.Password(data)
	if err != nil {
		return "", env.Usagef("--password-file %s: %w", a.passwordFile, err)
	}
	return password, nil
}

// served opens the location of a server's backup, as the server would, and reads the password of its repositories that lies beside the server, if there is one.
func served(ctx context.Context, e *env.Env, name string) (*store.Store, []byte, error) {
	c, err := e.OpenServer()
	if err != nil {
		return nil, nil, err
	}
	backup, err := velero.Backups.Get(ctx, c, name)
	if err != nil {
		return nil, nil, err
	}
	l, err := velero.StorageLocations.Get(ctx, c, cmp.Or(backup.Spec.StorageLocation, "default"))
	if err != nil {
		return nil, nil, err
	}
	secrets, err := secretsOf(ctx, c, l)
	if err != nil {
		return nil, nil, fmt.Errorf("backup storage location %s: %w; read it with --store and your own credentials", l.Name, err)
	}
	bucket, err := location.Open(ctx, l, secrets)
	if err != nil {
		return nil, nil, err
	}
	ref := &corev1.SecretKeySelector{LocalObjectReference: corev1.LocalObjectReference{Name: "velero-repo-credentials"}, Key: "repository-password"}
	password, err := secret(ctx, c, ref)
	if err != nil && !fail.Is(err, fail.NotFound) && !fail.Is(err, fail.Denied) {
		return nil, nil, err
	}
	st, err := store.Open(ctx, bucket)
	return st, password, err
}

func secretsOf(ctx context.Context, c velero.Client, l *velerov1.BackupStorageLocation) (out location.Secrets, err error) {
	if out.Credential, err = secret(ctx, c, l.Spec.Credential); err != nil || l.Spec.ObjectStorage == nil {
		return out, err
	}
	if out.CA, err = secret(ctx, c, l.Spec.ObjectStorage.CACertRef); err != nil {
		return out, err
	}
	if name, key, ok := location.CustomerKey(l); ok {
		out.CustomerKey, err = secret(ctx, c, &corev1.SecretKeySelector{LocalObjectReference: corev1.LocalObjectReference{Name: name}, Key: key})
	}
	return out, err
}

var secretType = object.Type{Version: "v1", Resource: "secrets", Kind: "Secret", Namespaced: true}

// secret reads one key of a Secret of the server's namespace; nil if ref is nil.
func secret(ctx context.Context, c velero.Client, ref *corev1.SecretKeySelector) ([]byte, error) {
	if ref == nil || ref.Name == "" {
		return nil, nil
	}
	body, err := c.Cluster.Get(ctx, secretType, c.Namespace, ref.Name)
	if err != nil {
		return nil, err
	}
	var s corev1.Secret
	if err := json.Unmarshal(body, &s); err != nil {
		return nil, fmt.Errorf("read Secret %s/%s: %w", c.Namespace, ref.Name, err)
	}
	data, ok := s.Data[ref.Key]
	if !ok {
		return nil, fail.Errorf(fail.Denied, "the Secret %s/%s has no key %q", c.Namespace, ref.Name, ref.Key)
	}
	return data, nil
}
