// SPDX-License-Identifier: Apache-2.0

package restore

import (
	"context"
	"strings"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	velerov1 "hozon.dev/hozon/api/velero/v1"
	"hozon.dev/hozon/internal/cli/env"
	"hozon.dev/hozon/internal/fail"
	"hozon.dev/hozon/internal/store"
)

func joined(texts []string) string { return strings.Join(texts, "; ") }

func exactName(_ *cobra.Command, args []string) error {
	if len(args) != 1 {
		return env.Usagef("give the name of one restore, not %d", len(args))
	}
	return nil
}

// NewGet is `hozon restore get`, and `hozon get restores` under the other name.
func NewGet(e *env.Env, use string) *cobra.Command {
	var output env.Output
	var selector string
	c := &cobra.Command{
		Use:     use + " [NAMES]",
		Short:   "List restores",
		Example: "  hozon restore get --store /srv/backups",
		RunE: func(c *cobra.Command, args []string) error {
			if err := output.Check(); err != nil {
				return err
			}
			s, err := e.OpenStore(c.Context(), false)
			if err != nil {
				return err
			}
			restores, err := load(c.Context(), e, s, args, selector)
			if err != nil {
				return err
			}
			return printRestores(e, output.Format, restores, len(args) == 1)
		},
	}
	output.AddFlag(c.Flags(), "table", "json", "yaml")
	c.Flags().StringVarP(&selector, "selector", "l", "", "Only restores that match this label selector.")
	return c
}

// load reads the named restores, or all of them. Among all, one that cannot be read is named on Err and left out.
func load(ctx context.Context, e *env.Env, s *store.Store, names []string, selector string) ([]*velerov1.Restore, error) {
	match, err := labels.Parse(selector)
	if err != nil {
		return nil, env.Usagef("--selector %q: %w", selector, err)
	}
	all := len(names) == 0
	if all {
		if names, err = s.Restores(ctx); err != nil {
			return nil, err
		}
	}
	var restores []*velerov1.Restore
	for _, name := range names {
		r, err := s.Restore(ctx, name)
		switch {
		case err == nil && match.Matches(labels.Set(r.Labels)):
			restores = append(restores, r)
		case err == nil:
		case all && (fail.Is(err, fail.Corrupt) || fail.Is(err, fail.NotFound)):
			e.Say("Left out: %v", err)
		default:
			return nil, err
		}
	}
	return restores, nil
}

func printRestores(e *env.Env, format string, restores []*velerov1.Restore, single bool) error {
	switch {
	case format == "table":
		return e.PrintTable(table(restores))
	case single && len(restores) == 1:
		return e.Print(format, restores[0])
	}
	return e.Print(format, struct {
		metav1.TypeMeta `json:",inline"`
		Items           []*velerov1.Restore `json:"items"`
	}{metav1.TypeMeta{APIVersion: velerov1.APIVersion, Kind: "RestoreList"}, append([]*velerov1.Restore{}, restores...)})
}

func table(restores []*velerov1.Restore) env.Table {
	t := env.Table{Columns: []string{"NAME", "BACKUP", "STATUS", "STARTED", "COMPLETED", "ERRORS", "WARNINGS", "CREATED", "SELECTOR"}}
	env.SortByRun(restores, func(r *velerov1.Restore) string { return r.Name })
	for _, r := range restores {
		t.Rows = append(t.Rows, []any{r.Name, r.Spec.BackupName, string(r.Status.Phase),
			env.TimeText(r.Status.StartTimestamp), env.TimeText(r.Status.CompletionTimestamp), r.Status.Errors, r.Status.Warnings,
			r.CreationTimestamp.Local().Format(env.TimeFormat), env.Selector(r.Spec.LabelSelector, r.Spec.OrLabelSelectors)})
	}
	return t
}
