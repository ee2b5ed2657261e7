// SPDX-License-Identifier: Apache-2.0

package dr

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/klauspost/compress/gzip"

	"hozon.dev/hozon/internal/dr/bundle"
	"hozon.dev/hozon/internal/fail"
	"hozon.dev/hozon/internal/host"
)

// kubeletKeys is what a kubelet renews by itself: an older one would lock it out.
const kubeletKeys = "/var/lib/kubelet/pki/"

// files compares the saved files of a machine with those it has, and plans to put back what is missing or differs.
func (r *Restorer) files(ctx context.Context, p *Plan, hp *HostPlan) {
	prefix := entryOf(hp.Name, "/")
	saved := map[string]*bundle.File{}
	var names []string
	for i := range r.Archive.Bundle.Manifest.Files {
		f := &r.Archive.Bundle.Manifest.Files[i]
		name, ok := strings.CutPrefix(f.Name, prefix)
		if !ok || f.Type == "folder" {
			continue
		}
		name = "/" + strings.TrimPrefix(name, "/")
		if err := sane(name); err != nil {
			r.checker.add(hp.Name, "files", Failed, "%v", err)
			return
		}
		saved[name] = f
		names = append(names, name)
	}
	out, err := r.on(ctx, hp.Name, p, list(names), "states")
	if err != nil {
		r.checker.add(hp.Name, "files", Failed, "%v", err)
		return
	}
	there := parseStates(string(out))
	if err := r.attributes(ctx, p, hp, names, there); err != nil {
		r.checker.add(hp.Name, "files", Failed, "%v", err)
		return
	}
	r.sameCA(hp, there)
	keep := r.good(hp, saved, there)
	hp.Files = nil
	for _, name := range names {
		why := r.Archive.differs(prefix, saved[name], there[name])
		if why == "" || keep[name] || slices.ContainsFunc(hp.Parts, func(part Part) bool { return part.Manifest == name }) {
			continue
		}
		hp.Files = append(hp.Files, FilePlan{name, why})
	}
	r.checker.add(hp.Name, "files", OK, "%d of %d are put back, the others are as saved, or renewed", len(hp.Files), len(names))
}

// state is what a file of a machine is.
type state struct {
	kind, content string
	more          *bundle.File // its extended attributes, ACLs and context; nil: not known
}

// none says that there is no file.
func (s state) none() bool { return s.kind == "" }

// attributes adds to the states of files what only the machine's own tar tells of them, as it did when they were saved.
func (r *Restorer) attributes(ctx context.Context, p *Plan, hp *HostPlan, names []string, there map[string]state) error {
	h := r.hosts[hp.Name]
	if h == nil {
		return fail.Errorf(fail.NotFound, "machine %s is not connected", hp.Name)
	}
	var relative []string
	for _, n := range names {
		if !there[n].none() {
			relative = append(relative, strings.TrimPrefix(n, "/"))
		}
	}
	if len(relative) == 0 {
		return nil
	}
	pr, pw := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		err := h.Stream(ctx, bytes.NewReader(list(relative)), pw, script(p.ID, "attributes")...)
		pw.CloseWithError(err)
		ended <- err
	}()
	err := readAttributes(pr, there)
	pr.CloseWithError(io.ErrClosedPipe)
	if cause := <-ended; cause != nil && !isClosed(cause) {
		err = cause
	}
	if err != nil {
		return fmt.Errorf("read attributes of files: %w", err)
	}
	return nil
}

// readAttributes goes through a machine's tar to its end.
func readAttributes(from io.Reader, there map[string]state) error {
	t := tar.NewReader(from)
	for {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			_, err = io.Copy(io.Discard, from)
			return err
		}
		if err != nil {
			return err
		}
		name := "/" + strings.TrimPrefix(h.Name, "/")
		if f, ok := bundle.Describe(h); ok && !f.Hard && !there[name].none() {
			s := there[name]
			s.more = &f
			there[name] = s
		}
	}
}

func parseStates(text string) map[string]state {
	all := map[string]state{}
	parts := strings.Split(text, "\x00")
	for i := 0; i+2 < len(parts); i += 3 {
		sum, _, _ := strings.Cut(parts[i+2], " ")
		if parts[i+1] == "link" {
			sum = parts[i+2]
		}
		all[parts[i]] = state{kind: parts[i+1], content: strings.TrimSpace(sum)}
	}
	return all
}

// differs says why a file has to be put back; "" if it is as saved.
func (a *Archive) differs(prefix string, f *bundle.File, s state) string {
	want := state{kind: fmt.Sprintf("%o %d %d", f.Mode&0o7777, f.UID, f.GID), content: f.SHA256}
	if f.Type == "link" {
		want = state{kind: "link", content: f.Target}
		if other := a.files[f.Target]; strings.HasPrefix(f.Target, prefix) && other != nil { // a second name of the same file
			want = state{kind: fmt.Sprintf("%o %d %d", other.Mode&0o7777, other.UID, other.GID), content: other.SHA256}
		}
	}
	switch {
	case s.none():
		return "missing"
	case s.kind == "other":
		return "is something else"
	case s.content != want.content:
		return "differs"
	case s.kind != want.kind:
		return "has another owner or mode"
	case s.more == nil || f.Hard:
		return ""
	case f.SELinux != "" && s.more.SELinux != f.SELinux: // a machine without SELinux saved none
		return "has another SELinux context"
	case !maps.EqualFunc(f.Attributes, s.more.Attributes, bytes.Equal):
		return "has other attributes"
	}
	return ""
}

// sameCA tells machines of another cluster by their certificate authorities.
func (r *Restorer) sameCA(hp *HostPlan, there map[string]state) {
	h := r.Archive.host(hp.Name)
	for _, f := range []string{flagOf(h, "kube-apiserver", "client-ca-file"), flagOf(h, "etcd", "trusted-ca-file"), "/etc/kubernetes/pki/ca.crt"} {
		sum, now := r.Archive.sum(entryOf(hp.Name, f)), there[f]
		if f != "" && sum != "" && !now.none() && now.content != sum {
			r.unless(InsistCluster, hp.Name, "same cluster", "%s is not the archive's: this machine is of another cluster, or its authority was replaced since", f)
			return
		}
	}
}

// good are the files that are not replaced though they differ: certificates that are over in the archive, with their keys, and what a kubelet has renewed.
func (r *Restorer) good(hp *HostPlan, saved map[string]*bundle.File, there map[string]state) map[string]bool {
	keep := map[string]bool{}
	for name := range saved {
		if there[name].none() {
			continue
		}
		if strings.HasPrefix(name, kubeletKeys) {
			keep[name] = true
		}
		if !strings.HasSuffix(name, ".crt") {
			continue
		}
		text, err := r.Archive.read(hp.Name, name)
		if err != nil {
			continue
		}
		if x, err := certificateOf(text); err == nil && r.Now().After(x.NotAfter) {
			keep[name], keep[keyBeside(name)] = true, true
		}
	}
	return keep
}

func list(names []string) []byte {
	var b bytes.Buffer
	for _, n := range names {
		b.WriteString(n)
		b.WriteByte(0)
	}
	return b.Bytes()
}

func (hp *HostPlan) paths() []string {
	var all []string
	for _, f := range hp.Files {
		all = append(all, f.Path)
	}
	return all
}

// stageFiles sends the files of the plan, and the manifests of static pods, to a place beside theirs.
func (r *Restorer) stageFiles(ctx context.Context, p *Plan, hp *HostPlan) error {
	prefix := entryOf(hp.Name, "/")
	wanted := map[string]bool{}
	for _, name := range hp.paths() {
		wanted[name] = true
	}
	for _, part := range hp.Parts {
		if part.Manifest != "" {
			wanted[part.Manifest] = true
		}
	}
	return r.send(ctx, p, hp.Name, func(t *tar.Writer) error {
		return r.Archive.Bundle.Walk(ctx, func(h *tar.Header, body io.Reader) error {
			name, ok := strings.CutPrefix(h.Name, prefix)
			if !ok {
				return nil
			}
			name = strings.TrimPrefix(name, "/")
			linked := strings.TrimPrefix(strings.TrimPrefix(h.Linkname, prefix), "/")
			full := "/" + strings.TrimSuffix(name, "/")
			if h.Typeflag != tar.TypeDir && !wanted[full] && !r.linkedTo(wanted, hp.Name, full) {
				return nil
			}
			if h.Name = name; h.Typeflag == tar.TypeLink {
				h.Linkname = linked
			}
			if err := t.WriteHeader(h); err != nil {
				return err
			}
			_, err := io.Copy(t, body)
			return err
		})
	}, "stage-files")
}

// linkedTo says whether a wanted file is another name of this one, which has to come first then.
func (r *Restorer) linkedTo(wanted map[string]bool, host, file string) bool {
	entry := entryOf(host, file)
	for name := range wanted {
		if f := r.Archive.files[entryOf(host, name)]; f != nil && f.Type == "link" && f.Target == entry {
			return true
		}
	}
	return false
}

// send streams a tar that write makes to a verb of restore.sh.
func (r *Restorer) send(ctx context.Context, p *Plan, name string, write func(*tar.Writer) error, verb string, args ...string) error {
	h := r.hosts[name]
	if h == nil {
		return fail.Errorf(fail.NotFound, "machine %s is not connected", name)
	}
	pr, pw := io.Pipe()
	done := make(chan error, 1)
	go func() {
		z, err := gzip.NewWriterLevel(pw, gzip.BestSpeed)
		if err == nil {
			t := tar.NewWriter(z)
			if err = write(t); err == nil {
				err = t.Close()
			}
			if err == nil {
				err = z.Close()
			}
		}
		pw.CloseWithError(err)
		done <- err
	}()
	err := h.Stream(ctx, pr, nil, script(p.ID, verb, args...)...)
	pr.CloseWithError(io.ErrClosedPipe)
	if wrote := <-done; wrote != nil && !isClosed(wrote) {
		return wrote
	}
	if err != nil {
		return fmt.Errorf("%s: %w", verb, err)
	}
	return nil
}

func script(id, verb string, args ...string) []string {
	return append([]string{"sh", "-c", restoreScript, "sh", id, verb}, args...)
}

func runScript(ctx context.Context, h *host.Host, in []byte, id, verb string, args ...string) ([]byte, error) {
	var out bytes.Buffer
	var from io.Reader
	if in != nil {
		from = bytes.NewReader(in)
	}
	err := h.Stream(ctx, from, &out, script(id, verb, args...)...)
	return out.Bytes(), err
}

func seconds(d time.Duration) string { return strconv.Itoa(int(d / time.Second)) }
