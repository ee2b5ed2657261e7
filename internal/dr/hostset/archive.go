// SPDX-License-Identifier: Apache-2.0

package hostset

import (
	"archive/tar"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"strings"

	"hozon.dev/hozon/internal/dr/bundle"
	"hozon.dev/hozon/internal/fail"
	"hozon.dev/hozon/internal/host"
)

// maxText bounds lists of packages and notes.
const maxText = 16 << 20

// index sorts the entries by what they are.
func (a *Archive) index() error {
	a.Files = map[string]bundle.File{}
	for _, f := range a.bundle.Manifest.Files {
		name, ok := strings.CutPrefix(f.Name, a.prefix)
		if !ok {
			continue
		}
		if f.Hard {
			f.Target = strings.TrimPrefix(f.Target, a.prefix)
		}
		f.Name = name
		a.Files[name] = f
	}
	packages, err := a.text("hosts/" + a.Name + "/packages.txt")
	if err != nil {
		return err
	}
	a.Packages = strings.FieldsFunc(packages, func(r rune) bool { return r == '\n' })
	a.Notes, err = a.text(notesFile)
	return err
}

// text reads a small file of the archive; one that is not there is empty.
func (a *Archive) text(name string) (string, error) {
	r, err := a.bundle.File(name)
	if fail.Is(err, fail.NotFound) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	if r.Size() > maxText {
		return "", fail.Errorf(fail.Corrupt, "%s has %d bytes", name, r.Size())
	}
	text, err := io.ReadAll(r)
	return string(text), err
}

// write writes the chosen entries as a tar with the paths of the machine.
func (a *Archive) write(ctx context.Context, w io.Writer, chosen func(path string) bool) error {
	out := tar.NewWriter(w)
	err := a.bundle.Each(ctx, func(h *tar.Header, r io.Reader) error {
		name, ok := strings.CutPrefix(h.Name, a.prefix)
		if !ok || !chosen(name) {
			return nil
		}
		h.Name = name
		if h.Typeflag == tar.TypeDir {
			h.Name += "/"
		}
		if h.Typeflag == tar.TypeLink {
			h.Linkname = strings.TrimPrefix(h.Linkname, a.prefix)
		}
		h.Format = tar.FormatPAX
		if err := out.WriteHeader(h); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		_, err := io.Copy(out, r)
		return err
	})
	if err != nil {
		return err
	}
	return out.Close()
}

// packageScript prints the list of packages, whichever system it is.
const packageScript = `if command -v rpm >/dev/null && [ -e /var/lib/rpm ]; then rpm -qa | sort; elif command -v dpkg-query >/dev/null; then dpkg-query -W; fi`

// live is what a machine has now, in the form of an archive.
type live struct {
	files    map[string]bundle.File
	packages []string
}

func look(ctx context.Context, h *host.Host, paths []string) (*live, error) {
	out := &live{files: map[string]bundle.File{}}
	err := h.Files(ctx, paths, func(e *tar.Header, r io.Reader) error {
		f, ok := bundle.Describe(e)
		if !ok {
			return nil
		}
		if f.Type == "file" {
			sum := sha256.New()
			if _, err := io.Copy(sum, r); err != nil {
				return err
			}
			f.SHA256 = hex.EncodeToString(sum.Sum(nil))
		}
		out.files[f.Name] = f
		return nil
	})
	if err != nil {
		return nil, err
	}
	packages, err := h.Run(ctx, "sh", "-c", packageScript)
	out.packages = strings.FieldsFunc(string(packages), func(r rune) bool { return r == '\n' })
	return out, err
}
