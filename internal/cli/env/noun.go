// SPDX-License-Identifier: Apache-2.0

package env

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	velerov1 "hozon.dev/hozon/api/velero/v1"
)

// Noun is what a group of commands is about, backups say: the commands that are the same for all nouns are its methods.
type Noun[T metav1.Object] struct {
	Word string // "backup", as on the command line
	Kind string // "Backup"

	// Table lays out a list of them.
	Table func(*Env, []T) Table
	// Describe finds out what is to be said about one.
	Describe func(ctx context.Context, p Place, item T, details bool) (Description, error)
	// Keep, if set, drops items of a list that the command's own flags leave out.
	Keep func([]T) []T
	// Served is how a server has them, Stored how a store has them. Without Stored they do not exist in a store.
	Served Served[T]
	Stored *Stored[T]
}

// Description is everything that describe shows of one thing. As JSON and YAML it is printed as it is, unless it is a Structured, too.
type Description interface {
	Text(details bool) string
}

// Structured is a Description that has another form as JSON and YAML.
type Structured interface {
	Structured(details bool) any
}

// OneName is the check of arguments of a command about one of them.
func (n Noun[T]) OneName(_ *cobra.Command, args []string) error {
	if len(args) != 1 {
		return Usagef("give the name of one %s, not %d", n.Word, len(args))
	}
	return nil
}

// Complete offers their names to the shell.
func (n Noun[T]) Complete(e *Env) cobra.CompletionFunc {
	return CompleteNames(func(c *cobra.Command) ([]string, error) {
		src, err := n.open(c.Context(), e)
		if err != nil {
			return nil, err
		}
		return src.names(c.Context())
	})
}

// CompleteNames offers what list returns, without what is on the command line already.
func CompleteNames(list func(*cobra.Command) ([]string, error)) cobra.CompletionFunc {
	return func(c *cobra.Command, given []string, prefix string) ([]string, cobra.ShellCompDirective) {
		names, err := list(c)
		if err != nil {
			return nil, cobra.ShellCompDirectiveError
		}
		names = slices.DeleteFunc(names, func(name string) bool {
			return !strings.HasPrefix(name, prefix) || slices.Contains(given, name)
		})
		return names, cobra.ShellCompDirectiveNoFileComp
	}
}

// Get is the command that lists them.
func (n Noun[T]) Get(e *Env, use, example string) *cobra.Command {
	var output Output
	var selector string
	c := &cobra.Command{
		Use: use + " [NAMES]", Short: fmt.Sprintf("List %ss", n.Word), Example: example, ValidArgsFunction: n.Complete(e),
		RunE: func(c *cobra.Command, names []string) error {
			if err := output.Check(); err != nil {
				return err
			}
			items, err := n.list(c.Context(), e, names, selector)
			switch {
			case err != nil:
				return err
			case output.Format == "table":
				return e.PrintTable(WithLabels(output, n.Table(e, items), items))
			case len(names) == 1 && len(items) == 1:
				return e.Print(output.Format, items[0])
			}
			return e.Print(output.Format, list[T]{metav1.TypeMeta{APIVersion: velerov1.APIVersion, Kind: n.Kind + "List"}, items})
		},
	}
	output.AddTableFlags(c.Flags(), "table", "json", "yaml")
	n.addSelector(c, &selector)
	return c
}

type list[T any] struct {
	metav1.TypeMeta `json:",inline"`
	Items           []T `json:"items"`
}

func (n Noun[T]) addSelector(c *cobra.Command, selector *string) {
	c.Flags().StringVarP(selector, "selector", "l", "", fmt.Sprintf("Only %ss that match this label selector.", n.Word))
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
			all, err := n.describe(c.Context(), e, names, selector, details)
			if err != nil {
				return err
			}
			return e.printDescriptions(output.Format, all, details)
		},
	}
	output.AddFlag(c.Flags(), "plaintext", "json", "yaml")
	n.addSelector(c, &selector)
	if n.Stored != nil {
		c.Flags().BoolVar(&details, "details", false, "Also list every object.")
		e.downloads.addFlags(c.Flags())
	}
	return c
}

func (n Noun[T]) list(ctx context.Context, e *Env, names []string, selector string) ([]T, error) {
	src, err := n.open(ctx, e)
	if err != nil {
		return nil, err
	}
	items, err := src.load(ctx, names, selector)
	if err == nil && n.Keep != nil {
		items = n.Keep(items)
	}
	return items, err
}

func (n Noun[T]) describe(ctx context.Context, e *Env, names []string, selector string, details bool) ([]Description, error) {
	src, err := n.open(ctx, e)
	if err != nil {
		return nil, err
	}
	items, err := src.load(ctx, names, selector)
	if err != nil {
		return nil, err
	}
	all := []Description{}
	for _, item := range items {
		d, err := n.Describe(ctx, src.place(), item, details)
		if err != nil {
			return nil, err
		}
		all = append(all, d)
	}
	return all, nil
}

func (e *Env) printDescriptions(format string, all []Description, details bool) error {
	if format != "plaintext" {
		forms, velero := make([]any, len(all)), false
		for i, d := range all {
			forms[i] = d
			if s, ok := d.(Structured); ok {
				forms[i], velero = s.Structured(details), true
			}
		}
		if len(forms) == 1 && velero && format == "json" { // as Velero writes it
			out := json.NewEncoder(e.Out)
			out.SetEscapeHTML(false)
			out.SetIndent("", "    ")
			return out.Encode(forms[0])
		}
		if len(forms) == 1 {
			return e.Print(format, forms[0])
		}
		return e.Print(format, forms)
	}
	var texts []string
	for _, d := range all {
		texts = append(texts, d.Text(details))
	}
	_, err := io.WriteString(e.Out, strings.Join(texts, "\n\n"))
	return err
}

// Find looks one up, and returns where what belongs to it can be read.
func (n Noun[T]) Find(ctx context.Context, e *Env, name string) (Place, error) {
	src, err := n.open(ctx, e)
	if err != nil {
		return Place{}, err
	}
	_, err = src.load(ctx, []string{name}, "")
	return src.place(), err
}

// Log is the command that prints the log of one of them.
func (n Noun[T]) Log(e *Env, example string) *cobra.Command {
	c := &cobra.Command{
		Use: "logs NAME", Short: fmt.Sprintf("Print the log of a %s", n.Word), Example: example, Args: n.OneName, ValidArgsFunction: n.Complete(e),
		RunE: func(c *cobra.Command, args []string) error {
			p, err := n.Find(c.Context(), e, args[0])
			if err != nil {
				return err
			}
			r, err := p.OpenText(c.Context(), n.Stored.Sort, args[0], n.Stored.Logs)
			if err != nil {
				return err
			}
			defer r.Close()
			if _, err := io.Copy(e.Out, r); err != nil {
				return fmt.Errorf("read log of %s %s: %w", n.Word, args[0], err)
			}
			return nil
		},
	}
	e.downloads.addFlags(c.Flags())
	return c
}

// Delete is the command that deletes them, or asks the server to.
func (n Noun[T]) Delete(e *Env, use, short, example string) *cobra.Command {
	var o DeleteOptions
	c := &cobra.Command{
		Use: use + " [NAMES]", Short: short, Example: example, ValidArgsFunction: n.Complete(e),
		RunE: func(c *cobra.Command, names []string) error {
			if err := o.Check(names); err != nil {
				return err
			}
			src, err := n.open(c.Context(), e)
			if err != nil {
				return err
			}
			items, err := src.doomed(c.Context(), names, o.Selector)
			if err != nil {
				return err
			}
			for _, item := range items {
				names = append(names, item.GetName())
			}
			if len(names) == 0 {
				_, err := fmt.Fprintf(e.Out, "No %ss found\n", n.Word)
				return err
			}
			return e.DeleteEach(names, o.Confirm, src.String(), func(name string) (string, error) { return src.remove(c.Context(), name) })
		},
	}
	o.AddFlags(c.Flags(), n.Word+"s")
	return c
}
