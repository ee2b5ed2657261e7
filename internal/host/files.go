// SPDX-License-Identifier: Apache-2.0

package host

import (
	"archive/tar"
	"context"
	"errors"
	"io"
	"path"
	"slices"
	"strings"

	"hozon.dev/hozon/internal/fail"
)

// Files streams files and folders with all that is below them out of the machine, as its own tar writes them: with owner, mode, extended
// attributes and SELinux context in the headers. Paths that do not exist are left out. The reader is valid during the call only. What is not a file, a
// folder or a link (sockets, devices) does not come.
func (h *Host) Files(ctx context.Context, paths []string, each func(*tar.Header, io.Reader) error) error {
	return h.files(ctx, paths, nil, each)
}

// Growing is Files for folders that somebody writes to meanwhile: files that change or vanish are no error, and each comes with the size that it had.
func (h *Host) Growing(ctx context.Context, paths []string, each func(*tar.Header, io.Reader) error) error {
	// tar ends with 1 where files have changed or vanished, with 2 for everything worse.
	return h.files(ctx, paths, []string{"sh", "-c", `"$@"; [ $? -le 1 ]`, "sh"}, each)
}

// tarScript runs tar, in the order of names where it knows one: that of RHEL 7, with which OpenShift 3.11 runs, does not.
const tarScript = `s=; if tar --sort=name --version >/dev/null 2>&1; then s=--sort=name; fi; exec tar $s "$@"`

func (h *Host) files(ctx context.Context, paths, through []string, each func(*tar.Header, io.Reader) error) error {
	if len(paths) == 0 {
		return nil
	}
	paths, err := h.Existing(ctx, paths)
	if err != nil || len(paths) == 0 {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	pr, pw := io.Pipe()
	done := make(chan error, 1)
	go func() {
		argv := append(slices.Clone(through), "sh", "-c", tarScript, "tar", "--create", "--file=-", "--format=posix", "--numeric-owner", "--xattrs", "--selinux", "--acls",
			"--directory=/", "--warning=no-file-ignored", "--")
		argv = append(argv, relative(paths)...)
		err := h.Stream(ctx, nil, pw, argv...)
		pw.CloseWithError(err)
		done <- err
	}()
	err = read(pr, each)
	if err != nil {
		cancel()
	}
	pr.CloseWithError(errors.New("nobody reads any more"))
	ended := <-done
	if err == nil {
		err = ended
	}
	return err
}

// Existing leaves out the paths that are not there.
func (h *Host) Existing(ctx context.Context, paths []string) ([]string, error) {
	script := `for p do if [ -e "$p" ] || [ -L "$p" ]; then printf '%s\0' "$p"; fi; done`
	out, err := h.Run(ctx, append([]string{"sh", "-c", script, "sh"}, paths...)...)
	if err != nil {
		return nil, err
	}
	return strings.FieldsFunc(string(out), func(r rune) bool { return r == 0 }), nil
}

func relative(paths []string) []string {
	var out []string
	for _, p := range paths {
		out = append(out, strings.TrimPrefix(path.Clean(p), "/"))
	}
	return out
}

// read goes through the stream. A machine is as hostile as any other source: its names are checked.
func read(r io.Reader, each func(*tar.Header, io.Reader) error) error {
	t := tar.NewReader(r)
	for {
		h, err := t.Next()
		switch {
		case errors.Is(err, io.EOF):
			_, err = io.Copy(io.Discard, r) // what pads the stream; a tar that is not read to its end fails
			return err
		case err != nil:
			return err
		}
		name := strings.TrimSuffix(h.Name, "/")
		if name == "" || path.IsAbs(name) || path.Clean(name) != name || name == ".." || strings.HasPrefix(name, "../") {
			return fail.Errorf(fail.Corrupt, "its tar names a file %.200q", h.Name)
		}
		h.Name = name
		if err := each(h, t); err != nil {
			return err
		}
	}
}
