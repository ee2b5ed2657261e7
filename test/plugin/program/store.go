// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/sirupsen/logrus"
)

// store keeps each object in a file named by its escaped key, so that any key is a name.
type store struct {
	log  logrus.FieldLogger
	root string
}

func (s *store) Init(config map[string]string) error {
	s.root = config["root"]
	mayDie(s.root)
	if config["wantCredential"] != "" {
		got, err := os.ReadFile(config["credentialsFile"])
		if err != nil || string(got) != config["wantCredential"] {
			return fmt.Errorf("the credential is %q: %v", got, err)
		}
	}
	if s.root == "" {
		return errors.New("config has no root")
	}
	return nil
}

func (s *store) file(bucket, key string) string {
	return filepath.Join(s.root, bucket, url.PathEscape(key))
}

func (s *store) PutObject(bucket, key string, body io.Reader) error {
	mayDie(s.root)
	temp, err := os.CreateTemp(s.root, "upload-")
	if err != nil {
		return err
	}
	defer os.Remove(temp.Name())
	_, err = io.Copy(temp, body)
	if err = errors.Join(err, temp.Close()); err != nil {
		return err
	}
	return os.Rename(temp.Name(), s.file(bucket, key))
}

func (s *store) ObjectExists(bucket, key string) (bool, error) {
	mayDie(s.root)
	_, err := os.Stat(s.file(bucket, key))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

func (s *store) GetObject(bucket, key string) (io.ReadCloser, error) {
	mayDie(s.root)
	return os.Open(s.file(bucket, key))
}

func (s *store) ListObjects(bucket, prefix string) ([]string, error) {
	mayDie(s.root)
	entries, err := os.ReadDir(filepath.Join(s.root, bucket))
	if err != nil {
		return nil, err
	}
	var keys []string
	for _, e := range entries {
		if key, err := url.PathUnescape(e.Name()); err == nil && strings.HasPrefix(key, prefix) {
			keys = append(keys, key)
		}
	}
	slices.Reverse(keys) // no order is promised
	return keys, nil
}

func (s *store) ListCommonPrefixes(bucket, prefix, delimiter string) ([]string, error) {
	keys, err := s.ListObjects(bucket, prefix)
	seen := map[string]bool{}
	var out []string
	for _, key := range keys {
		name, _, found := strings.Cut(strings.TrimPrefix(key, prefix), delimiter)
		if whole := prefix + name + delimiter; found && !seen[whole] {
			seen[whole] = true
			out = append(out, whole)
		}
	}
	return out, err
}

func (s *store) DeleteObject(bucket, key string) error {
	mayDie(s.root)
	return os.Remove(s.file(bucket, key)) // of a key that does not exist it is an error
}

func (s *store) CreateSignedURL(bucket, key string, ttl time.Duration) (string, error) {
	mayDie(s.root)
	return fmt.Sprintf("http://example.test/%s/%s?for=%s", bucket, key, ttl), nil
}
