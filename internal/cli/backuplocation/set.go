// SPDX-License-Identifier: Apache-2.0

package backuplocation

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"hozon.dev/hozon/internal/cli/env"
	"hozon.dev/hozon/internal/velero"
)

type setOptions struct {
	cacert     string
	credential map[string]string
	isDefault  env.OptionalBool
}

func newSet(e *env.Env) *cobra.Command {
	o := &setOptions{}
	c := &cobra.Command{
		Use:   "set NAME",
		Short: "Change a location's CA or credentials, or make it the default",
		Example: `  hozon backup-location set second --default
  hozon backup-location set second --credential rotated=cloud --cacert ca.pem`,
		Args:              noun.OneName,
		ValidArgsFunction: noun.Complete(e),
		RunE:              func(c *cobra.Command, args []string) error { return o.run(c.Context(), e, args[0]) },
	}
	c.Flags().StringVar(&o.cacert, "cacert", "", "File with the CA of the store, in PEM form.")
	c.Flags().StringToStringVar(&o.credential, "credential", nil, "Secret, and key in it, with the credentials: secret=key.")
	o.isDefault.AddFlag(c.Flags(), "default", "Make it the location of backups that name none, and the one that was an ordinary one.")
	return c
}

func (o *setOptions) run(ctx context.Context, e *env.Env, name string) error {
	spec, err := o.changes()
	if err != nil {
		return err
	}
	server, err := e.OpenServer()
	if err != nil {
		return err
	}
	l, err := velero.StorageLocations.Get(ctx, server, name)
	if err != nil {
		return err
	}
	if o.isDefault.Value != nil && *o.isDefault.Value {
		if l.Spec.Default && len(spec) == 1 {
			_, err := fmt.Fprintf(e.Out, "Backup storage location %q is already the default backup storage location.\n", name)
			return err
		}
		if err := demote(ctx, server, name); err != nil {
			return err
		}
	}
	if _, err := velero.StorageLocations.Patch(ctx, server, name, map[string]any{"spec": spec}); err != nil {
		return err
	}
	return configured(e, name)
}

// changes is the merge patch of the spec.
func (o *setOptions) changes() (map[string]any, error) {
	spec := map[string]any{}
	ca, err := readCA(o.cacert)
	if err != nil {
		return nil, err
	}
	if ca != nil {
		spec["objectStorage"] = map[string]any{"caCert": ca}
	}
	credential, err := env.SecretKey("credential", o.credential)
	if err != nil {
		return nil, err
	}
	if credential != nil {
		spec["credential"] = credential
	}
	if o.isDefault.Value != nil {
		spec["default"] = *o.isDefault.Value
	}
	if len(spec) == 0 {
		return nil, env.Usagef("nothing to change: give --cacert, --credential or --default")
	}
	return spec, nil
}

// demote makes the other default locations ordinary ones.
func demote(ctx context.Context, c velero.Client, name string) error {
	all, err := velero.StorageLocations.List(ctx, c, "")
	if err != nil {
		return err
	}
	for _, l := range all {
		if !l.Spec.Default || l.Name == name {
			continue
		}
		if _, err := velero.StorageLocations.Patch(ctx, c, l.Name, map[string]any{"spec": map[string]any{"default": false}}); err != nil {
			return err
		}
	}
	return nil
}
