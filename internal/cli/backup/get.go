// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"context"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/duration"

	velerov1 "hozon.dev/hozon/api/velero/v1"
	"hozon.dev/hozon/internal/cli/env"
	"hozon.dev/hozon/internal/fail"
	"hozon.dev/hozon/internal/store"
)

// NewGet is `hozon backup get`, and `hozon get backups` under the other name.
func NewGet(e *env.Env, use string) *cobra.Command {
	var output env.Output
	var selector string
	c := &cobra.Command{
		Use:   use + " [NAMES]",
		Short: "List backups",
		Example: `  # All backups of a folder
  hozon backup get --store /srv/backups

  # One, as JSON
  hozon backup get monday -o json`,
		RunE: func(c *cobra.Command, args []string) error {
			if err := output.Check(); err != nil {
				return err
			}
			s, err := e.OpenStore(c.Context(), false)
			if err != nil {
				return err
			}
			backups, err := load(c.Context(), e, s, args, selector)
			if err != nil {
				return err
			}
			return printBackups(e, output.Format, backups, len(args) == 1)
		},
	}
	output.AddFlag(c.Flags(), "table", "json", "yaml")
	c.Flags().StringVarP(&selector, "selector", "l", "", "Only backups that match this label selector.")
	return c
}

// load reads the named backups, or all of them. Among all, one that cannot be read is named on Err and left out.
func load(ctx context.Context, e *env.Env, s *store.Store, names []string, selector string) ([]*velerov1.Backup, error) {
	match, err := labels.Parse(selector)
	if err != nil {
		return nil, env.Usagef("--selector %q: %w", selector, err)
	}
	all := len(names) == 0
	if all {
		if names, err = s.Backups(ctx); err != nil {
			return nil, err
		}
	}
	var backups []*velerov1.Backup
	for _, name := range names {
		b, err := s.Backup(ctx, name)
		switch {
		case err == nil && match.Matches(labels.Set(b.Labels)):
			backups = append(backups, b)
		case err == nil:
		case all && (fail.Is(err, fail.Corrupt) || fail.Is(err, fail.NotFound)):
			e.Say("Left out: %v", err)
		default:
			return nil, err
		}
	}
	return backups, nil
}

func printBackups(e *env.Env, format string, backups []*velerov1.Backup, single bool) error {
	switch {
	case format == "table":
		return e.PrintTable(table(e, backups))
	case single && len(backups) == 1:
		return e.Print(format, backups[0])
	}
	return e.Print(format, struct {
		metav1.TypeMeta `json:",inline"`
		Items           []*velerov1.Backup `json:"items"`
	}{metav1.TypeMeta{APIVersion: velerov1.APIVersion, Kind: "BackupList"}, append([]*velerov1.Backup{}, backups...)})
}

func table(e *env.Env, backups []*velerov1.Backup) env.Table {
	t := env.Table{Columns: []string{"NAME", "STATUS", "ERRORS", "WARNINGS", "CREATED", "EXPIRES", "STORAGE LOCATION", "SELECTOR"}}
	env.SortByRun(backups, func(b *velerov1.Backup) string { return b.Name })
	for _, b := range backups {
		expires := "n/a"
		if b.Status.Expiration != nil {
			expires = duration.ShortHumanDuration(b.Status.Expiration.Sub(e.Now()))
		}
		created := b.CreationTimestamp.Time
		if b.Status.StartTimestamp != nil {
			created = b.Status.StartTimestamp.Time
		}
		t.Rows = append(t.Rows, []any{b.Name, string(b.Status.Phase), b.Status.Errors, b.Status.Warnings,
			created.Local().Format(env.TimeFormat), expires, b.Spec.StorageLocation, env.Selector(b.Spec.LabelSelector, b.Spec.OrLabelSelectors)})
	}
	return t
}
