// SPDX-License-Identifier: Apache-2.0

package volume

import (
	"cmp"
	"context"
	"fmt"
	"path"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"hozon.dev/hozon/internal/cli/env"
	"hozon.dev/hozon/internal/vault"
	"hozon.dev/hozon/internal/volume"
)

func newList(e *env.Env) *cobra.Command {
	var a access
	var output env.Output
	var below bool
	c := &cobra.Command{
		Use:   "ls BACKUP [NAMESPACE/CLAIM|NAMESPACE/POD:VOLUME [PATH]]",
		Short: "List the volumes of a backup, or the files in one of them",
		Long: `List the volumes whose files a backup has, or what is at a path of one of them. With --store no cluster is needed.

` + accessHelp,
		Example: `  hozon volume ls daily-20261120 --store /srv/backups
  hozon volume ls daily-20261120 shop/uploads /2026/11 --store /srv/backups`,
		Args: func(c *cobra.Command, args []string) error {
			if len(args) > 0 && len(args) < 3 {
				return nil
			}
			return exactly(3, "a backup, and, or not, a volume and a path in it")(c, args)
		},
		RunE: func(c *cobra.Command, args []string) error {
			if err := output.Check(); err != nil {
				return err
			}
			s, err := a.open(c.Context(), e, args[0])
			if err != nil {
				return err
			}
			defer s.close(c.Context())
			if len(args) == 1 {
				return listVolumes(c.Context(), e, output.Format, s, args[0])
			}
			tree, err := s.tree(c.Context(), args[0], args[1])
			if err != nil {
				return err
			}
			l := lister{env: e, tree: tree, below: below}
			return l.run(c.Context(), output.Format, strings.Join(args[2:], ""))
		},
	}
	output.AddFlag(c.Flags(), "table", "json", "yaml")
	c.Flags().BoolVarP(&below, "recursive", "r", false, "Also what is below the folders.")
	a.addFlags(c.Flags())
	return c
}

func listVolumes(ctx context.Context, e *env.Env, format string, s *saved, backup string) error {
	volumes, err := volume.List(ctx, s.store, backup)
	if err != nil {
		return err
	}
	if format != "table" {
		if volumes == nil {
			volumes = []volume.Volume{}
		}
		return e.Print(format, volumes)
	}
	if len(volumes) == 0 {
		e.Say("Backup %s has the files of no volume.", backup)
		return nil
	}
	t := env.Table{Columns: []string{"NAMESPACE", "CLAIM", "POD", "VOLUME", "UPLOADER", "STATUS", "SIZE", "SNAPSHOT"}}
	none := func(s string) string { return cmp.Or(s, "<none>") }
	for _, v := range volumes {
		t.Rows = append(t.Rows, []any{
			v.Namespace, none(v.Claim), none(v.Pod), none(v.Name), v.Uploader, none(v.Phase), humanize.Bytes(uint64(max(v.Bytes, 0))), none(v.SnapshotID),
		})
	}
	return e.PrintTable(t)
}

// lister lists files.
type lister struct {
	env     *env.Env
	tree    vault.Tree
	below   bool
	found   []fileJSON
	damaged int
}

type fileJSON struct {
	Path     string    `json:"path"`
	Type     string    `json:"type"`
	Mode     string    `json:"mode"`
	UID      uint32    `json:"uid"`
	GID      uint32    `json:"gid"`
	Size     int64     `json:"size"`
	Modified time.Time `json:"modified"`
	Target   string    `json:"target,omitempty"`
	Damage   string    `json:"damage,omitempty"`
}

var typeWords = map[vault.Type]string{
	vault.Regular: "file", vault.Folder: "folder", vault.Symlink: "link", vault.Pipe: "pipe", vault.Device: "device", vault.Socket: "socket",
}

func (l *lister) run(ctx context.Context, format, at string) error {
	n, err := vault.Find(ctx, l.tree, at)
	if err != nil {
		return err
	}
	if n.Type == vault.Folder {
		err = l.folder(ctx, n, path.Join("/", at))
	} else {
		l.add(n, path.Join("/", at))
	}
	if err != nil {
		return err
	}
	if err := l.print(format); err != nil {
		return err
	}
	if l.damaged > 0 {
		return env.Ended{Code: env.ExitPartial}
	}
	return nil
}

func (l *lister) folder(ctx context.Context, folder vault.Node, at string) error {
	nodes, err := l.tree.List(ctx, folder)
	if err != nil {
		return err
	}
	for _, n := range nodes {
		l.add(n, path.Join(at, n.Name))
		if !l.below || n.Type != vault.Folder || n.Damage != nil {
			continue
		}
		if err := l.folder(ctx, n, path.Join(at, n.Name)); err != nil {
			if ctx.Err() != nil {
				return err
			}
			l.damaged++
			l.found[len(l.found)-1].Damage = err.Error()
			l.env.Say("%s: %v", path.Join(at, n.Name), err)
		}
	}
	return nil
}

func (l *lister) add(n vault.Node, at string) {
	f := fileJSON{
		Path: at, Type: typeWords[n.Type], Mode: fmt.Sprintf("%04o", n.Mode&0o7777), UID: n.UID, GID: n.GID, Size: n.Size, Modified: n.Modified.UTC(), Target: n.Target,
	}
	if n.Damage != nil {
		l.damaged++
		f.Damage = n.Damage.Error()
		l.env.Say("%s: %v", printable(at), n.Damage)
	}
	l.found = append(l.found, f)
}

func (l *lister) print(format string) error {
	if format != "table" {
		if l.found == nil {
			l.found = []fileJSON{}
		}
		return l.env.Print(format, l.found)
	}
	t := env.Table{Columns: []string{"MODE", "UID", "GID", "SIZE", "MODIFIED", "PATH"}}
	for _, f := range l.found {
		name := printable(f.Path)
		if f.Target != "" {
			name += " -> " + printable(f.Target)
		}
		t.Rows = append(t.Rows, []any{bits(f), f.UID, f.GID, f.Size, f.Modified.Format("2006-01-02 15:04:05"), name})
	}
	return l.env.PrintTable(t)
}

// bits is the mode as ls shows it.
func bits(f fileJSON) string {
	var m uint32
	_, _ = fmt.Sscanf(f.Mode, "%o", &m)
	text := []byte("-rwxrwxrwx")
	for i := range 9 {
		if m&(0o400>>i) == 0 {
			text[i+1] = '-'
		}
	}
	for i, special := range []byte("sst") {
		at := 3 * (i + 1)
		if m&(0o4000>>i) == 0 {
			continue
		}
		if text[at] == '-' {
			special -= 'a' - 'A' // it has no effect without the right to execute
		}
		text[at] = special
	}
	if letter := map[string]byte{"folder": 'd', "link": 'l', "pipe": 'p', "device": 'b', "socket": 's'}[f.Type]; letter != 0 {
		text[0] = letter
	}
	return string(text)
}

// printable is a name without what terminals obey.
func printable(s string) string {
	if utf8.ValidString(s) && strings.IndexFunc(s, func(r rune) bool { return r < ' ' || r >= 0x7f && r < 0xa0 }) < 0 {
		return s
	}
	return fmt.Sprintf("%q", s)
}
