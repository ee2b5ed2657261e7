// SPDX-License-Identifier: Apache-2.0

// Package snapshotlocation has the commands below `hozon snapshot-location`.
package snapshotlocation

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	velerov1 "hozon.dev/hozon/api/velero/v1"
	"hozon.dev/hozon/internal/cli/env"
	"hozon.dev/hozon/internal/velero"
)

var noun = env.Noun[*velerov1.VolumeSnapshotLocation]{
	Word: "snapshot-location", Kind: "VolumeSnapshotLocation", Table: table,
	Served: env.Served[*velerov1.VolumeSnapshotLocation]{List: velero.SnapshotLocations.List, Get: velero.SnapshotLocations.Get},
}

// New is `hozon snapshot-location`.
func New(e *env.Env) *cobra.Command {
	c := &cobra.Command{
		Use:     "snapshot-location",
		Aliases: []string{"snapshot-locations"},
		Short:   "Tell the server where snapshots of volumes are made",
	}
	c.AddCommand(NewCreate(e, "create"), NewGet(e, "get"), newSet(e))
	return c
}

// NewGet is `hozon snapshot-location get`, and `hozon get snapshot-locations` under the other name.
func NewGet(e *env.Env, use string) *cobra.Command {
	return noun.Get(e, use, "  hozon snapshot-location get")
}

func table(_ *env.Env, locations []*velerov1.VolumeSnapshotLocation) env.Table {
	t := env.Table{Columns: []string{"NAME", "PROVIDER"}}
	for _, l := range locations {
		t.Rows = append(t.Rows, []any{l.Name, l.Spec.Provider})
	}
	return t
}

type createOptions struct {
	spec       velerov1.VolumeSnapshotLocationSpec
	credential map[string]string
	labels     map[string]string
	output     env.Output
}

// NewCreate is `hozon snapshot-location create`, and `hozon create snapshot-location` under the other name.
func NewCreate(e *env.Env, use string) *cobra.Command {
	o := &createOptions{}
	c := &cobra.Command{
		Use:     use + " NAME --provider PROVIDER",
		Short:   "Add a place where snapshots of volumes are made",
		Example: "  hozon snapshot-location create default --provider aws --config region=eu-west-1",
		Args:    noun.OneName,
		RunE:    func(c *cobra.Command, args []string) error { return o.run(c.Context(), e, args[0]) },
	}
	f := c.Flags()
	f.StringVar(&o.spec.Provider, "provider", "", "Kind of volumes: the name of the plugin that makes their snapshots.")
	f.StringToStringVar(&o.spec.Config, "config", nil, "The provider's settings: key=value,…")
	f.StringToStringVar(&o.credential, "credential", nil, "Secret, and key in it, with the credentials: secret=key (default: those of the server).")
	f.StringToStringVar(&o.labels, "labels", nil, "Labels of the location.")
	o.output.AddTableFlags(f, "", "json", "yaml")
	f.Lookup("output").Usage = "Print the location as json or yaml and do not make it."
	return c
}

func (o *createOptions) run(ctx context.Context, e *env.Env, name string) error {
	if err := o.output.Check(); err != nil {
		return err
	}
	if o.spec.Provider == "" {
		return env.Usagef("--provider is required")
	}
	var err error
	if o.spec.Credential, err = env.SecretKey("credential", o.credential); err != nil {
		return err
	}
	l := &velerov1.VolumeSnapshotLocation{
		TypeMeta:   velero.SnapshotLocations.TypeMeta(),
		ObjectMeta: metav1.ObjectMeta{Namespace: e.Namespace, Name: name, Labels: o.labels},
		Spec:       o.spec,
	}
	if o.output.Format != "" {
		return e.Print(o.output.Format, l)
	}
	server, err := e.OpenServer()
	if err != nil {
		return err
	}
	if _, err := velero.SnapshotLocations.Create(ctx, server, l); err != nil {
		return err
	}
	_, err = fmt.Fprintf(e.Out, "Snapshot volume location %q configured successfully.\n", name)
	return err
}

func newSet(e *env.Env) *cobra.Command {
	var credential map[string]string
	c := &cobra.Command{
		Use:               "set NAME",
		Short:             "Change a location's credentials",
		Example:           "  hozon snapshot-location set default --credential rotated=cloud",
		Args:              noun.OneName,
		ValidArgsFunction: noun.Complete(e),
		RunE: func(c *cobra.Command, args []string) error {
			key, err := env.SecretKey("credential", credential)
			if err != nil {
				return err
			}
			if key == nil {
				return env.Usagef("nothing to change: give --credential")
			}
			server, err := e.OpenServer()
			if err != nil {
				return err
			}
			merge := map[string]any{"spec": map[string]any{"credential": key}}
			if _, err := velero.SnapshotLocations.Patch(c.Context(), server, args[0], merge); err != nil {
				return err
			}
			_, err = fmt.Fprintf(e.Out, "Volume snapshot location %q configured successfully.\n", args[0])
			return err
		},
	}
	c.Flags().StringToStringVar(&credential, "credential", nil, "Secret, and key in it, with the credentials: secret=key.")
	return c
}
