// SPDX-License-Identifier: Apache-2.0

package env

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	velerov1 "hozon.dev/hozon/api/velero/v1"
	"hozon.dev/hozon/internal/fail"
	"hozon.dev/hozon/internal/store"
)

// Noun is what a group of commands is about, backups or restores: the commands that are the same for both are its methods.
type Noun[T metav1.Object] struct {
	Sort store.Sort
	Kind string // "Backup"
	Logs store.File

	// Names lists all, Read reads one by its name.
	Names func(context.Context, *store.Store) ([]string, error)
	Read  func(context.Context, *store.Store, string) (T, error)
	// Table lays out a list of them.
	Table func(*Env, []T) Table
	// Describe finds out what is to be said about one.
	Describe func(ctx context.Context, s *store.Store, item T, details bool) (Description, error)
}

// Description is everything that describe shows of one thing. As JSON and YAML it is printed as it is.
type Description interface {
	Text(details bool) string
}

// OneName is the check of arguments of a command about one of them.
func (n Noun[T]) OneName(_ *cobra.Command, args []string) error {
	if len(args) != 1 {
		return Usagef("give the name of one %s, not %d", n.Sort, len(args))
	}
	return nil
}

// Complete offers their names to the shell.
func (n Noun[T]) Complete(e *Env) cobra.CompletionFunc {
	return func(c *cobra.Command, given []string, prefix string) ([]string, cobra.ShellCompDirective) {
		s, err := e.OpenStore(c.Context(), false)
		if err != nil {
			return nil, cobra.ShellCompDirectiveError
		}
		names, err := n.Names(c.Context(), s)
		if err != nil {
			return nil, cobra.ShellCompDirectiveError
		}
		names = slices.DeleteFunc(names, func(name string) bool {
			return !strings.HasPrefix(name, prefix) || slices.Contains(given, name)
		})
		return names, cobra.ShellCompDirectiveNoFileComp
	}
}

// load reads the named ones, or all of them. Among all, one that cannot be read is named on Err and left out.
func (n Noun[T]) load(ctx context.Context, e *Env, s *store.Store, names []string, selector string) ([]T, error) {
	match, err := labels.Parse(selector)
	if err != nil {
		return nil, Usagef("--selector %q: %w", selector, err)
	}
	all := len(names) == 0
	if all {
		if names, err = n.Names(ctx, s); err != nil {
			return nil, err
		}
	}
	items := []T{}
	for _, name := range names {
		item, err := n.Read(ctx, s, name)
		switch {
		case err == nil && match.Matches(labels.Set(item.GetLabels())):
			items = append(items, item)
		case err == nil:
		case all && (fail.Is(err, fail.Corrupt) || fail.Is(err, fail.NotFound)):
			e.Say("Left out: %v", err)
		default:
			return nil, err
		}
	}
	SortByRun(items, T.GetName)
	return items, nil
}

// Get is the command that lists them.
func (n Noun[T]) Get(e *Env, use, example string) *cobra.Command {
	var output Output
	var selector string
	c := &cobra.Command{
		Use: use + " [NAMES]", Short: fmt.Sprintf("List %ss", n.Sort), Example: example, ValidArgsFunction: n.Complete(e),
		RunE: func(c *cobra.Command, names []string) error {
			if err := output.Check(); err != nil {
				return err
			}
			s, err := e.OpenStore(c.Context(), false)
			if err != nil {
				return err
			}
			items, err := n.load(c.Context(), e, s, names, selector)
			switch {
			case err != nil:
				return err
			case output.Format == "table":
				return e.PrintTable(n.Table(e, items))
			case len(names) == 1 && len(items) == 1:
				return e.Print(output.Format, items[0])
			}
			return e.Print(output.Format, list[T]{metav1.TypeMeta{APIVersion: velerov1.APIVersion, Kind: n.Kind + "List"}, items})
		},
	}
	output.AddFlag(c.Flags(), "table", "json", "yaml")
	n.addSelector(c, &selector)
	return c
}

type list[T any] struct {
	metav1.TypeMeta `json:",inline"`
	Items           []T `json:"items"`
}

func (n Noun[T]) addSelector(c *cobra.Command, selector *string) {
	c.Flags().StringVarP(selector, "selector", "l", "", fmt.Sprintf("Only %ss that match this label selector.", n.Sort))
}

// Description is the command that says everything about them.
func (n Noun[T]) Description(e *Env, use, short, example string) *cobra.Command {
	var output Output
	var selector string
	var details bool
	c := &cobra.Command{
		Use: use + " [NAMES]", Short: short, Example: example, ValidArgsFunction: n.Complete(e),
		RunE: func(c *cobra.Command, names []string) error {
			if err := output.Check(); err != nil {
				return err
			}
			s, err := e.OpenStore(c.Context(), false)
			if err != nil {
				return err
			}
			items, err := n.load(c.Context(), e, s, names, selector)
			if err != nil {
				return err
			}
			var all []Description
			for _, item := range items {
				d, err := n.Describe(c.Context(), s, item, details)
				if err != nil {
					return err
				}
				all = append(all, d)
			}
			return e.printDescriptions(output.Format, all, details)
		},
	}
	output.AddFlag(c.Flags(), "plaintext", "json", "yaml")
	n.addSelector(c, &selector)
	c.Flags().BoolVar(&details, "details", false, "Also list every object.")
	return c
}

func (e *Env) printDescriptions(format string, all []Description, details bool) error {
	switch {
	case format != "plaintext" && len(all) == 1:
		return e.Print(format, all[0])
	case format != "plaintext":
		return e.Print(format, all)
	}
	var texts []string
	for _, d := range all {
		texts = append(texts, d.Text(details))
	}
	_, err := io.WriteString(e.Out, strings.Join(texts, "\n\n"))
	return err
}

// Log is the command that prints the log of one of them.
func (n Noun[T]) Log(e *Env, example string) *cobra.Command {
	return &cobra.Command{
		Use: "logs NAME", Short: fmt.Sprintf("Print the log of a %s", n.Sort), Example: example, Args: n.OneName, ValidArgsFunction: n.Complete(e),
		RunE: func(c *cobra.Command, args []string) error {
			s, err := e.OpenStore(c.Context(), false)
			if err != nil {
				return err
			}
			if _, err := n.Read(c.Context(), s, args[0]); err != nil {
				return err
			}
			r, err := s.OpenText(c.Context(), n.Sort, args[0], n.Logs)
			if err != nil {
				return err
			}
			defer r.Close()
			if _, err := io.Copy(e.Out, r); err != nil {
				return fmt.Errorf("read log of %s %s: %w", n.Sort, args[0], err)
			}
			return nil
		},
	}
}

// Delete is the command that deletes them from the store.
func (n Noun[T]) Delete(e *Env, use, short, example string) *cobra.Command {
	var o deleteOptions
	c := &cobra.Command{
		Use: use + " [NAMES]", Short: short, Example: example, ValidArgsFunction: n.Complete(e),
		RunE: func(c *cobra.Command, names []string) error {
			if err := o.check(names); err != nil {
				return err
			}
			s, err := e.OpenStore(c.Context(), false)
			if err != nil {
				return err
			}
			if err := e.Sweep(c.Context(), s); err != nil {
				return err
			}
			if len(names) == 0 {
				items, err := n.load(c.Context(), e, s, nil, o.selector)
				if err != nil {
					return err
				}
				for _, item := range items {
					names = append(names, item.GetName())
				}
			}
			if len(names) == 0 {
				_, err := fmt.Fprintf(e.Out, "No %ss found\n", n.Sort)
				return err
			}
			return e.deleteAll(c.Context(), s, n.Sort, names, o.confirm)
		},
	}
	o.addFlags(c.Flags(), string(n.Sort)+"s")
	return c
}
