// SPDX-License-Identifier: Apache-2.0

// Package repo has the commands below `hozon repo`.
package repo

import (
	"encoding/json"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	velerov1 "hozon.dev/hozon/api/velero/v1"
	"hozon.dev/hozon/internal/cli/env"
	"hozon.dev/hozon/internal/velero"
)

var noun = env.Noun[*velerov1.BackupRepository]{
	Word: "backup-repository", Kind: "BackupRepository", Table: table, Describe: describe,
	Served: env.Served[*velerov1.BackupRepository]{List: velero.Repositories.List, Get: velero.Repositories.Get},
}

// New is `hozon repo`.
func New(e *env.Env) *cobra.Command {
	c := &cobra.Command{
		Use:     "repo",
		Aliases: []string{"repos", "backup-repository", "backup-repositories"},
		Short:   "Look at the repositories with the data of volumes",
	}
	c.AddCommand(
		noun.Get(e, "get", "  hozon repo get"),
		noun.Description(e, "describe", "Say what repositories hold, how they are maintained, and what is wrong with them", "  hozon repo describe shop-default-kopia"),
	)
	return c
}

func table(e *env.Env, repositories []*velerov1.BackupRepository) env.Table {
	t := env.Table{Columns: []string{"NAME", "STATUS", "LAST MAINTENANCE", "LOGICAL", "STORED", "RECLAIMABLE", "COUNTED"}}
	for _, r := range repositories {
		row := []any{r.Name, string(phase(r)), last(r)}
		if text := trouble(r); text != "" {
			e.Say("%s: %s", r.Name, text)
		}
		t.Rows = append(t.Rows, append(row, usage(r)...))
	}
	return t
}

// usage is what a repository held when it was maintained last, and when that was.
func usage(r *velerov1.BackupRepository) []any {
	var u velerov1.RepositoryUsage
	text, ok := r.Annotations[velerov1.AnnotationUsage]
	if !ok || json.Unmarshal([]byte(text), &u) != nil {
		return []any{"<unknown>", "<unknown>", "<unknown>", "<never>"}
	}
	size := func(n int64) string { return humanize.IBytes(uint64(max(n, 0))) }
	return []any{size(u.Logical), size(u.Stored), size(u.Reclaimable), env.TimeText(&u.At)}
}
