// SPDX-License-Identifier: Apache-2.0

package env

import (
	"fmt"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	velerov1 "hozon.dev/hozon/api/velero/v1"
	"hozon.dev/hozon/internal/velero"
)

// NewCancel is the command that ends a run of the server's. over says that it has ended already, and how.
func NewCancel[V any](e *Env, k velero.Kind[V], word, example string, over func(*V) (phase string, ended bool)) *cobra.Command {
	return &cobra.Command{
		Use: "cancel NAME", Short: fmt.Sprintf("End a %s that the server is working on", word), Example: example,
		Long: fmt.Sprintf(`End a %s that the server is working on. It ends as Failed within half a minute: a backup leaves
nothing in the bucket; what a restore has created stays.

Velero's own server does not know this request and goes on.`, word),
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: CompleteServed(e, k),
		RunE: func(c *cobra.Command, args []string) error {
			server, err := e.OpenServer()
			if err != nil {
				return err
			}
			item, err := k.Get(c.Context(), server, args[0])
			if err != nil {
				return err
			}
			if phase, ended := over(item); ended {
				return fmt.Errorf("%s %s has ended already: %s", word, args[0], phase)
			}
			merge := map[string]any{"metadata": map[string]any{"annotations": map[string]string{velerov1.AnnotationCancel: "true"}}}
			if _, err := k.Patch(c.Context(), server, args[0], merge); err != nil {
				return err
			}
			_, err = fmt.Fprintf(e.Out, "Request to cancel %s %q submitted successfully.\n", word, args[0])
			return err
		},
	}
}

// CompleteServed offers the names of custom resources to the shell.
func CompleteServed[V any](e *Env, k velero.Kind[V]) cobra.CompletionFunc {
	return CompleteNames(func(c *cobra.Command) ([]string, error) {
		server, err := e.OpenServer()
		if err != nil {
			return nil, err
		}
		items, err := k.List(c.Context(), server, "")
		var names []string
		for _, item := range items {
			names = append(names, any(item).(metav1.Object).GetName())
		}
		return names, err
	})
}
