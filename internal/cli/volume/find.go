// SPDX-License-Identifier: Apache-2.0

package volume

import (
	"cmp"

	"github.com/spf13/cobra"

	"hozon.dev/hozon/internal/cli/env"
	"hozon.dev/hozon/internal/transfer/pod"
)

func newFind(e *env.Env) *cobra.Command {
	var output env.Output
	c := &cobra.Command{
		Use:   "find NAMESPACE",
		Short: "List a namespace's volumes: pods, mount paths, claims, sizes",
		Long: `List what the pods of a namespace mount and where, and the claims that no pod mounts.

Where a copy of the files is not a backup (a database that runs), it says what to use instead.`,
		Example: `  hozon volume find test`,
		Args:    exactly(1, "a namespace"),
		RunE: func(c *cobra.Command, args []string) error {
			if err := output.Check(); err != nil {
				return err
			}
			client, err := e.OpenCluster()
			if err != nil {
				return err
			}
			found, err := pod.Find(c.Context(), client, args[0])
			if err != nil {
				return err
			}
			if output.Format != "table" {
				if found == nil {
					found = []pod.Mount{}
				}
				return e.Print(output.Format, found)
			}
			return printMounts(e, args[0], found)
		},
	}
	output.AddFlag(c.Flags(), "table", "json", "yaml")
	return c
}

func printMounts(e *env.Env, namespace string, found []pod.Mount) error {
	t := env.Table{Columns: []string{"POD", "STATUS", "CONTAINER", "PATH", "VOLUME", "KIND", "CLAIM", "SIZE"}}
	none := func(s string) string { return cmp.Or(s, "<none>") }
	for _, m := range found {
		t.Rows = append(t.Rows, []any{none(m.Pod), m.Phase, none(m.Container), none(m.Path), none(m.Volume), m.Kind, none(m.Claim), none(m.Size)})
	}
	if len(found) == 0 {
		e.Say("No volumes in namespace %s.", namespace)
		return nil
	}
	if err := e.PrintTable(t); err != nil {
		return err
	}
	for _, m := range found {
		if m.Warning != "" {
			e.Say("Warning: %s/%s:%s:%s is %s.", namespace, m.Pod, m.Container, m.Path, m.Warning)
		}
	}
	return nil
}
