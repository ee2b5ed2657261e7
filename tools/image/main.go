// SPDX-License-Identifier: Apache-2.0

// Command image puts a static binary into an image with nothing else in it, for several platforms, without a registry or a daemon: it
// writes a tar of an OCI image layout, as ctr, podman, skopeo and docker take it.
//
//	image -name hozon:v1 -o hozon.tar linux/amd64=hozon-amd64 linux/arm64=hozon-arm64
//
// The same binaries give the same bytes.
package main

import (
	"archive/tar"
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// user is nobody: the image has no list of users.
const user = "65532:65532"

func main() {
	name := flag.String("name", "hozon:dev", "the image's name and tag")
	out := flag.String("o", "image.tar", "file to write")
	flag.Parse()
	if err := run(*name, *out, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "image:", err)
		os.Exit(1)
	}
}

func run(name, out string, platforms []string) error {
	if len(platforms) == 0 {
		return errors.New("give at least one platform: linux/amd64=FILE")
	}
	index := mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	for _, p := range platforms {
		platform, file, ok := strings.Cut(p, "=")
		os, arch, both := strings.Cut(platform, "/")
		if !ok || !both {
			return fmt.Errorf("%q is not of the form linux/amd64=FILE", p)
		}
		image, err := build(os, arch, file)
		if err != nil {
			return err
		}
		index = mutate.AppendManifests(index, mutate.IndexAddendum{Add: image, Descriptor: v1.Descriptor{
			Platform: &v1.Platform{OS: os, Architecture: arch},
		}})
	}
	named := mutate.AppendManifests(mutate.IndexMediaType(empty.Index, types.OCIImageIndex), mutate.IndexAddendum{Add: index, Descriptor: v1.Descriptor{
		Annotations: map[string]string{"io.containerd.image.name": fullName(name), "org.opencontainers.image.ref.name": tag(name)},
	}})
	return write(named, out)
}

// fullName is how containerd calls an image without a registry.
func fullName(name string) string {
	if first, _, ok := strings.Cut(name, "/"); ok {
		if strings.ContainsAny(first, ".:") || first == "localhost" {
			return name
		}
		return "docker.io/" + name
	}
	return "docker.io/library/" + name
}

func tag(name string) string {
	if i := strings.LastIndex(name, ":"); i > strings.LastIndex(name, "/") {
		return name[i+1:]
	}
	return "latest"
}

// build makes the image of one platform.
func build(platformOS, arch, file string) (v1.Image, error) {
	layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return files(file) }, tarball.WithMediaType(types.OCILayer))
	if err != nil {
		return nil, fmt.Errorf("pack %s: %w", file, err)
	}
	image, err := mutate.AppendLayers(mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON), layer)
	if err != nil {
		return nil, err
	}
	config, err := image.ConfigFile()
	if err != nil {
		return nil, err
	}
	config = config.DeepCopy()
	config.OS, config.Architecture = platformOS, arch
	config.Config = v1.Config{Entrypoint: []string{"/hozon"}, User: user, WorkingDir: "/", Env: []string{"PATH=/", "HOME=/tmp"}}
	return mutate.ConfigFile(image, config)
}

// files is the layer: the program, under Velero's names too, and a folder to write in.
func files(program string) (io.ReadCloser, error) {
	f, err := os.Open(program)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	r, w := io.Pipe()
	go func() {
		t := tar.NewWriter(w)
		err := t.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: "tmp/", Mode: 0o1777})
		if err == nil {
			err = t.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: "hozon", Mode: 0o755, Size: info.Size()})
		}
		if err == nil {
			_, err = io.Copy(t, f)
		}
		for _, name := range []string{"velero", "velero-restore-helper"} {
			if err == nil {
				err = t.WriteHeader(&tar.Header{Typeflag: tar.TypeSymlink, Name: name, Linkname: "hozon", Mode: 0o777})
			}
		}
		w.CloseWithError(errors.Join(err, t.Close(), f.Close()))
	}()
	return r, nil
}

// write writes the layout to a folder beside the target, and that as a tar.
func write(index v1.ImageIndex, out string) (err error) {
	dir, err := os.MkdirTemp(filepath.Dir(out), ".image-*")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if _, err := layout.Write(dir, index); err != nil {
		return fmt.Errorf("write the layout: %w", err)
	}
	f, err := os.CreateTemp(filepath.Dir(out), ".image-*.tar")
	if err != nil {
		return err
	}
	err = errors.Join(pack(f, dir), f.Chmod(0o644), f.Close())
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return os.Rename(f.Name(), out)
}

func pack(w io.Writer, dir string) error {
	t := tar.NewWriter(w)
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err == nil {
			err = t.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: filepath.ToSlash(name), Mode: 0o644, Size: int64(len(data))})
		}
		if err == nil {
			_, err = io.Copy(t, bytes.NewReader(data))
		}
		return err
	})
	return errors.Join(err, t.Close())
}
