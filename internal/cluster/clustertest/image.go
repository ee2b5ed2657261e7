// SPDX-License-Identifier: Apache-2.0

package clustertest

import (
	"archive/tar"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash"
	"io"
	"maps"
	"os"
	"path"
	"runtime"
	"slices"
)

// An Image is a container image of one layer, with nothing in it but its
// files. There is no registry: LoadImage gives it to the node.
type Image struct {
	Name       string // with registry and tag, "hozon.test/web:1"
	Files      []File
	Entrypoint []string
	Env        []string // NAME=value
	User       string   // "uid:gid"; root if empty
}

// A File of an Image; its folders are made.
type File struct {
	Path    string // without a leading slash
	From    string // a file of this machine to take the content from; else Content
	Content string
	LinkTo  string      // makes it a symbolic link
	Mode    os.FileMode // 0755 if zero; with os.ModeDir it is a folder
}

// blob is one file of the OCI image layout, named by its hash.
type blob struct {
	MediaType string `json:"mediaType"`
	Digest    string `json:"digest"`
	Size      int64  `json:"size"`

	Annotations map[string]string `json:"annotations,omitempty"`
	write       func(io.Writer) error
}

// write writes the image as a tar of the OCI image layout, which
// `ctr images import` takes. The layer is made twice, first for its hash, so
// that it is never held in memory.
func (i Image) write(w io.Writer) error {
	layer, err := newBlob("application/vnd.oci.image.layer.v1.tar", i.writeLayer)
	if err != nil {
		return err
	}
	config, err := jsonBlob("application/vnd.oci.image.config.v1+json", map[string]any{
		"os": "linux", "architecture": runtime.GOARCH,
		"config": map[string]any{"Entrypoint": i.Entrypoint, "Env": i.Env, "User": i.User},
		"rootfs": map[string]any{"type": "layers", "diff_ids": []string{layer.Digest}},
	})
	if err != nil {
		return err
	}
	manifest, err := jsonBlob("application/vnd.oci.image.manifest.v1+json", map[string]any{
		"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
		"config": config, "layers": []blob{layer},
	})
	if err != nil {
		return err
	}
	manifest.Annotations = map[string]string{"io.containerd.image.name": i.Name}
	index, err := json.Marshal(map[string]any{"schemaVersion": 2, "manifests": []blob{manifest}})
	if err != nil {
		return err
	}
	t := tar.NewWriter(w)
	for name, content := range map[string]string{"oci-layout": `{"imageLayoutVersion":"1.0.0"}`, "index.json": string(index)} {
		if err := (File{Path: name, Content: content}).write(t); err != nil {
			return err
		}
	}
	for _, b := range []blob{layer, config, manifest} {
		name := "blobs/sha256/" + b.Digest[len("sha256:"):]
		if err := t.WriteHeader(&tar.Header{Name: name, Size: b.Size, Mode: 0o644}); err != nil {
			return err
		}
		if err := b.write(t); err != nil {
			return err
		}
	}
	return t.Close()
}

func (i Image) writeLayer(w io.Writer) error {
	t := tar.NewWriter(w)
	dirs := map[string]bool{}
	for _, f := range i.Files {
		for dir := path.Dir(f.Path); dir != "."; dir = path.Dir(dir) {
			dirs[dir] = true
		}
	}
	for _, dir := range slices.Sorted(maps.Keys(dirs)) {
		if err := t.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: dir + "/", Mode: 0o755}); err != nil {
			return err
		}
	}
	for _, f := range i.Files {
		if err := f.write(t); err != nil {
			return fmt.Errorf("image %s: %w", i.Name, err)
		}
	}
	return t.Close()
}

func (f File) write(t *tar.Writer) error {
	header := &tar.Header{Name: f.Path, Mode: 0o755, Size: int64(len(f.Content))}
	if f.LinkTo != "" {
		return t.WriteHeader(&tar.Header{Typeflag: tar.TypeSymlink, Name: f.Path, Linkname: f.LinkTo, Mode: 0o777})
	}
	if f.Mode.IsDir() {
		return t.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: f.Path + "/", Mode: int64(f.Mode.Perm())})
	}
	if f.Mode != 0 {
		header.Mode = int64(f.Mode.Perm())
	}
	if f.From == "" {
		if err := t.WriteHeader(header); err != nil {
			return err
		}
		_, err := io.WriteString(t, f.Content)
		return err
	}
	file, err := os.Open(f.From)
	if err != nil {
		return err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return err
	}
	header.Size = info.Size()
	if err := t.WriteHeader(header); err != nil {
		return err
	}
	_, err = io.Copy(t, file)
	return err
}

func newBlob(mediaType string, write func(io.Writer) error) (blob, error) {
	c := counter{hash: sha256.New()}
	if err := write(&c); err != nil {
		return blob{}, err
	}
	digest := "sha256:" + hex.EncodeToString(c.hash.Sum(nil))
	return blob{MediaType: mediaType, Digest: digest, Size: c.size, write: write}, nil
}

func jsonBlob(mediaType string, content any) (blob, error) {
	body, err := json.Marshal(content)
	if err != nil {
		return blob{}, err
	}
	return newBlob(mediaType, func(w io.Writer) error {
		_, err := w.Write(body)
		return err
	})
}

type counter struct {
	hash hash.Hash
	size int64
}

func (c *counter) Write(p []byte) (int, error) {
	c.size += int64(len(p))
	return c.hash.Write(p)
}
