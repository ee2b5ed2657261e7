// SPDX-License-Identifier: Apache-2.0

package export

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"filippo.io/age"

	"hozon.dev/hozon/internal/fail"
	"hozon.dev/hozon/internal/manifest"
	"hozon.dev/hozon/internal/sops"
)

// maxFile bounds a file of manifests, in bytes.
const maxFile = 256 << 20

// ReadManifests reads a file, a folder with all its sub-folders (*.yaml, *.yml, *.json; names that begin with a dot are passed over), or in for
// "-". What is encrypted as by SOPS is opened with the identities. All faults are in the one error, of kind fail.Invalid.
func ReadManifests(name string, in io.Reader, identities []age.Identity) ([]manifest.Document, error) {
	r := &reading{identities: identities}
	info, err := os.Stat(name)
	switch {
	case name == "-":
		err = r.stream("standard input", in)
	case err != nil:
		return nil, fail.As(fail.NotFound, err)
	case info.IsDir():
		err = r.folder(name)
	default:
		err = r.file(name)
	}
	if err != nil {
		return nil, err
	}
	if len(r.faults) > 0 {
		return nil, fail.Errorf(fail.Invalid, "%d of the manifests cannot be read:\n%s", len(r.faults), strings.Join(r.faults, "\n"))
	}
	if len(r.docs) == 0 {
		return nil, fail.Errorf(fail.Invalid, "%s holds no manifests (*.yaml, *.yml, *.json)", name)
	}
	return r.docs, nil
}

type reading struct {
	identities []age.Identity
	docs       []manifest.Document
	faults     []string
}

func (r *reading) folder(dir string) error {
	return filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		hidden := strings.HasPrefix(d.Name(), ".") && name != dir
		switch {
		case d.IsDir() && hidden:
			return filepath.SkipDir
		case hidden || d.IsDir() || !slices.Contains([]string{".yaml", ".yml", ".json"}, filepath.Ext(name)):
			return nil
		}
		return r.file(name)
	})
}

func (r *reading) file(name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(r.stream(name, f), f.Close())
}

func (r *reading) stream(name string, from io.Reader) error {
	data, err := io.ReadAll(io.LimitReader(from, maxFile+1))
	if err != nil {
		return fmt.Errorf("read %s: %w", name, err)
	}
	if len(data) > maxFile {
		return fail.Errorf(fail.Invalid, "read %s: more than %d MiB are no manifests", name, maxFile>>20)
	}
	docs, faults := manifest.Parse(name, data)
	for _, f := range faults {
		r.faults = append(r.faults, f.String())
	}
	for _, d := range docs {
		if d.Raw != nil {
			o, err := sops.Open(d.Raw, r.identities)
			if err != nil {
				r.faults = append(r.faults, d.Where()+": "+err.Error())
				continue
			}
			d.Object, d.Raw = o, nil
		}
		r.docs = append(r.docs, d)
	}
	return nil
}
