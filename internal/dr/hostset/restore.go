// SPDX-License-Identifier: Apache-2.0

package hostset

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"
	"time"

	"hozon.dev/hozon/internal/dr/bundle"
	"hozon.dev/hozon/internal/fail"
	"hozon.dev/hozon/internal/host"
)

// aside is where a machine keeps what was replaced.
const aside = "/var/lib/hozon/replaced"

// Restorer brings files of an Archive back.
type Restorer struct {
	Now   func() time.Time
	Paths []string // only these, and what is below them; none: all
}

// Restored is what became, or would become, of a machine.
type Restored struct {
	Host      string   `json:"host"`
	From      string   `json:"from"`    // host that the files were saved of
	Created   []string `json:"created"` // paths
	Replaced  []Change `json:"replaced"`
	Unchanged int      `json:"unchanged"`
	Left      []string `json:"left"` // that are on the machine and not in the archive: they stay
	Kept      string   `json:"kept,omitempty"`
	Packages  []Change `json:"packages"` // that differ; nothing is done about them
	After     []string `json:"after,omitempty"`
	Notes     string   `json:"notes,omitempty"`
	Error     string   `json:"error,omitempty"`

	write    map[string]bool
	conflict []string // of another type: they have to go before
}

// Plan compares, and changes nothing.
func (r *Restorer) Plan(ctx context.Context, a *Archive, h *host.Host) (*Restored, error) {
	d, err := a.Diff(ctx, h)
	if err != nil {
		return nil, err
	}
	out := &Restored{Host: h.Name(), From: a.Name, Created: []string{}, Replaced: []Change{}, Left: []string{}, Unchanged: d.Same, Packages: d.Packages,
		After: a.After, Notes: a.Notes, write: map[string]bool{}}
	for _, c := range d.Files {
		if !r.chosen(c.Path) {
			continue
		}
		name := strings.TrimPrefix(c.Path, "/")
		switch c.What {
		case Added:
			out.Left = append(out.Left, c.Path)
			continue
		case Removed:
			out.Created = append(out.Created, c.Path)
		case Changed:
			out.Replaced = append(out.Replaced, c)
			if slices.Equal(c.Parts, []string{"type"}) {
				out.conflict = append(out.conflict, name)
			}
		}
		out.write[name] = true
	}
	out.names(a.Files)
	return out, nil
}

func (r *Restorer) chosen(p string) bool {
	return len(r.Paths) == 0 || slices.ContainsFunc(r.Paths, func(only string) bool {
		only = path.Clean(only)
		return p == only || strings.HasPrefix(p, strings.TrimSuffix(only, "/")+"/")
	})
}

// names adds the other names of files that will be written: they are one file, and a new file under one name alone would part them.
func (r *Restored) names(files map[string]bundle.File) {
	again := map[string]bool{}
	for name, f := range files {
		if f.Hard && (r.write[name] || r.write[f.Target]) {
			again[f.Target] = true
		}
	}
	for name, f := range files {
		if again[name] || f.Hard && again[f.Target] {
			r.write[name] = true
		}
	}
}

// The steps on a machine. $1 is the folder of this restore. All files arrive below new first, so that a full disk or a broken connection has changed
// nothing; then what will be replaced is copied to old, and only then the new files go to their places.
const (
	stageScript = `set -e; umask 077; rm -rf "$1/new"; mkdir -p "$1/new"
exec tar --extract --file=- --directory="$1/new" --same-owner --numeric-owner --preserve-permissions --xattrs --xattrs-include='*' --selinux --acls`
	listScript  = `set -e; umask 077; cat >"$1/$2"`
	placeScript = `set -e; umask 077; cd /; a=$1
keep="--null --no-recursion --xattrs --xattrs-include=* --selinux --acls --numeric-owner"
mkdir -p "$a/old"; : >"$a/there"
xargs -0 -r sh -c 'for p do if [ -e "$p" ] || [ -L "$p" ]; then printf "%s\0" "$p"; fi; done' sh <"$a/list" >"$a/there"
set -f
tar --create --file="$a/old.tar" $keep --files-from="$a/there"
tar --extract --file="$a/old.tar" --directory="$a/old" --same-owner --preserve-permissions --numeric-owner --xattrs "--xattrs-include=*" --selinux --acls
rm -f "$a/old.tar"
set +f
xargs -0 -r sh -ec 'for p do mkdir -p "$0/old/$(dirname "$p")"; rm -rf "$0/old/$p"; mv "$p" "$0/old/$p"; done' "$a" <"$a/conflict"
umask 022; set -f
(cd "$a/new" && tar --create --file=- $keep --files-from="$a/list") | tar --extract --file=- --directory=/ --same-owner --preserve-permissions --numeric-owner --xattrs "--xattrs-include=*" --selinux --acls
rm -rf "$a/new" "$a/list" "$a/conflict" "$a/there"`
)

// Restore does what Plan says, and compares again.
func (r *Restorer) Restore(ctx context.Context, a *Archive, h *host.Host) (*Restored, error) {
	out, err := r.Plan(ctx, a, h)
	if err != nil || len(out.write) == 0 {
		return out, err
	}
	out.Kept = fmt.Sprintf("%s/%s", aside, r.Now().UTC().Format("2006-01-02T150405.000Z"))
	if err := r.bring(ctx, a, h, out); err != nil {
		hint := "nothing was changed"
		if out.Kept != "" {
			hint = "what was replaced is kept in " + out.Kept + " there; the same command again goes on"
		}
		return out, fmt.Errorf("bring files back: %w (%s)", err, hint)
	}
	again, err := r.Plan(ctx, a, h)
	if err != nil {
		return out, err
	}
	if n := len(again.write); n > 0 {
		return out, fail.Errorf(fail.Busy, "host %s: %d files are not as they were saved after they were brought back: %v: does something on it change them?", h.Name(), n, first(again))
	}
	return out, nil
}

func first(r *Restored) []string {
	all := slices.Clone(r.Created)
	for _, c := range r.Replaced {
		all = append(all, c.Path+" ("+strings.Join(c.Parts, ", ")+")")
	}
	return all[:min(3, len(all))]
}

func (r *Restorer) bring(ctx context.Context, a *Archive, h *host.Host, out *Restored) error {
	pr, pw := io.Pipe()
	sent := make(chan error, 1)
	go func() {
		err := a.write(ctx, pw, func(name string) bool { return out.write[name] })
		pw.CloseWithError(err)
		sent <- err
	}()
	err := h.Stream(ctx, pr, nil, "sh", "-c", stageScript, "sh", out.Kept)
	pr.CloseWithError(errors.New("the machine takes no more"))
	if cause := <-sent; err == nil {
		err = cause
	}
	if err != nil {
		_, _ = h.Run(context.WithoutCancel(ctx), "rm", "-rf", "--", out.Kept) // nothing of the machine is in there yet
		out.Kept = ""
		return err
	}
	names := []string{}
	for name := range out.write {
		names = append(names, name)
	}
	slices.Sort(names) // a folder before what is in it
	for file, list := range map[string][]string{"list": names, "conflict": out.conflict} {
		text := strings.Join(list, "\x00")
		if err := h.Stream(ctx, strings.NewReader(text), nil, "sh", "-c", listScript, "sh", out.Kept, file); err != nil {
			return err
		}
	}
	return h.Stream(ctx, nil, nil, "sh", "-c", placeScript, "sh", out.Kept)
}
