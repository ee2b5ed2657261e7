// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"hozon.dev/hozon/internal/cli/env"
	"hozon.dev/hozon/internal/dr"
)

func newInspect(e *env.Env) *cobra.Command {
	var from Source
	var output env.Output
	c := &cobra.Command{
		Use:   "inspect FILE",
		Short: "Say what an etcd snapshot, or an archive with one, holds",
		Long: `Say what an etcd snapshot holds: members, revision, objects of each kind with the size that they have in etcd, what cannot be decoded, and the
certificates that lie in objects, with the time of their end. The snapshot's hash is checked; nothing is written and no cluster is asked.

Exit codes: 0 readable, 1 damaged or not readable, 2 not a cluster's snapshot, or a flag is wrong.`,
		Example: `  hozon cluster inspect snapshot.db
  hozon cluster inspect snapshot.db --encryption-provider-config /etc/kubernetes/enc/config.yaml -o json`,
		Args: oneFile,
		RunE: func(c *cobra.Command, args []string) error {
			if err := output.Check(); err != nil {
				return err
			}
			bar := e.NewProgress()
			defer bar.Close()
			bar.Step("Reading " + args[0])
			return from.Open(c.Context(), args[0], func(image *dr.Image) error {
				inventory, err := image.Inspect(c.Context())
				bar.Close()
				if err != nil {
					return fmt.Errorf("inspect %s: %w", args[0], err)
				}
				if output.Format != "text" {
					return e.Print(output.Format, inventory)
				}
				_, err = io.WriteString(e.Out, describe(args[0], inventory, e.Now()))
				return err
			})
		},
	}
	from.AddFlags(e, c.Flags())
	output.AddFlag(c.Flags(), "text", "json", "yaml")
	return c
}

// describe lays out an inventory as text.
func describe(file string, inv *dr.Inventory, now time.Time) string {
	d := env.NewDescriber()
	d.Line(0, "File:", file)
	d.Line(0, "Size:", humanize.IBytes(uint64(inv.Size)))
	if inv.Hashed {
		d.Line(0, "SHA-256:", "as etcd wrote it")
	} else {
		d.Line(0, "SHA-256:", "none: "+dr.NoHash)
	}
	st := inv.Etcd
	d.Line(0, "Revision:", st.Revision)
	if st.Compacted > 0 {
		d.Line(0, "Compacted:", fmt.Sprintf("history before revision %d was given up", st.Compacted))
	}
	d.Line(0, "Hash:", fmt.Sprintf("%08x (as `etcdctl snapshot status` shows it), %d entries", st.Hash, st.TotalKeys))
	d.Line(0, "Raft:", fmt.Sprintf("index %d, term %d", st.RaftIndex, st.RaftTerm))
	d.Line(0, "etcd version:", strings.TrimSpace(strings.Join([]string{orNone(st.ClusterVersion), orNone(st.StorageVersion)}, ", storage ")))
	d.Line(0, "Keys:", fmt.Sprintf("%d live, %d records in all", inv.LiveKeys, inv.Records))
	d.Line(0, "Prefixes:", env.List(inv.Prefixes, env.None))
	describeMembers(d, inv)
	d.Gap()
	d.Text(0, "Objects (%d):", inv.Objects)
	for _, k := range inv.Kinds {
		d.Text(1, "%s\t%s\t%d\t%s", k.Resource, k.APIVersion, k.Objects, humanize.IBytes(uint64(k.Bytes)))
	}
	d.Text(1, "bookkeeping of API servers\t\t%d", inv.Bookkeeping)
	describeRest(d, inv, now)
	return d.String()
}

func orNone(s string) string {
	if s == "" {
		return env.None
	}
	return s
}

func describeMembers(d *env.Describer, inv *dr.Inventory) {
	d.Gap()
	d.Text(0, "Members (%d):", len(inv.Etcd.Members))
	for _, m := range inv.Etcd.Members {
		role := ""
		if m.Learner {
			role = "learner"
		}
		d.Text(1, "%s\t%s\t%s\t%s\t%s", m.Name, m.ID, strings.Join(m.PeerURLs, ","), env.List(m.ClientURLs, env.None), role)
	}
}

// describeRest adds what is no object, what could not be decoded, and certificates.
func describeRest(d *env.Describer, inv *dr.Inventory, now time.Time) {
	if len(inv.Other) > 0 {
		d.Gap()
		d.Text(0, "Other keys:")
		for _, f := range inv.Other {
			d.Text(1, "%s\t%d\t%s", f.Prefix, f.Keys, humanize.IBytes(uint64(f.Bytes)))
		}
	}
	d.Gap()
	if len(inv.Troubles) == 0 {
		d.Line(0, "Cannot be decoded:", env.None)
	} else {
		d.Text(0, "Cannot be decoded:")
		for _, t := range inv.Troubles {
			d.Text(1, "%s", t.Text())
		}
	}
	d.Gap()
	d.Text(0, "Certificates (%d):", len(inv.Certificates))
	for _, c := range inv.Certificates {
		d.Text(1, "%s\t%s\t%s", until(c, now), c.Subject, c.Place)
	}
}

// until says how long a certificate is still good for.
func until(c dr.Certificate, now time.Time) string {
	day := c.NotAfter.Format(time.DateOnly)
	switch left := c.NotAfter.Sub(now); {
	case left < 0:
		return day + " EXPIRED"
	case left < 30*24*time.Hour:
		return fmt.Sprintf("%s in %d days", day, int(left.Hours()/24))
	}
	return day
}
