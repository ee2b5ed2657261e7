// SPDX-License-Identifier: Apache-2.0

package project

import (
	"context"

	"github.com/spf13/cobra"

	"hozon.dev/hozon/internal/cli/env"
	"hozon.dev/hozon/internal/export"
	"hozon.dev/hozon/internal/report"
)

type importOptions struct {
	from       string
	dryRun     bool
	atomic     bool
	force      bool
	mappings   env.Mapping
	into       string
	classes    []string
	identities identities
	output     env.Output
}

func newImport(e *env.Env) *cobra.Command {
	o := &importOptions{}
	c := &cobra.Command{
		Use:   "import DIR|FILE|-",
		Short: "Apply manifests in the order in which they depend on each other",
		Long: `Apply manifests, as of ` + "`hozon project export`" + ` or anybody's, by server-side apply (field manager hozon), in the order in which they depend on each
other, many at once. Applying the same again changes nothing. Fields that somebody else manages are conflicts, unless --force-conflicts takes them over.

Manifests that do not parse, or of kinds that the cluster does not serve, are all named, and nothing is applied. An object that the server refuses
does not end the import (exit code 3), unless --atomic: then the server is asked about everything first.

` + env.ExitHelp,
		Example: `  # See what would happen
  hozon project import shop --dry-run

  # All or nothing
  hozon project import shop --atomic

  # Under another name
  hozon project import shop --namespace-mappings shop:shop-test

  # Where the storage has another name
  hozon project import shop --storage-class-map gp2=standard

  # Manifests that name no namespace
  hozon project import project.yaml --into shop`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return env.Usagef("give one folder or file, or '-' for standard input")
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			o.from = args[0]
			return o.run(c.Context(), e)
		},
	}
	f := c.Flags()
	f.BoolVar(&o.dryRun, "dry-run", false, "Ask the server what would come of each object, and change nothing.")
	f.BoolVar(&o.atomic, "atomic", false, "Ask the server about everything first, and change nothing if it refuses anything.")
	f.BoolVar(&o.force, "force-conflicts", false, "Take over fields that other field managers hold.")
	f.Var(&o.mappings, "namespace-mappings", "Namespaces to import under another name: from:to,from2:to2.")
	f.StringVar(&o.into, "into", "", "Namespace of manifests that name none.")
	f.StringSliceVar(&o.classes, "storage-class-map", nil, "Use other storage classes: from=to; 'from=' for the cluster's default.")
	o.identities.addFlag(f)
	o.output.AddFlag(f, "", "json", "yaml")
	f.Lookup("output").Usage = "Print the outcome of every object as json or yaml."
	return c
}

func (o *importOptions) run(ctx context.Context, e *env.Env) error {
	if err := o.output.Check(); err != nil {
		return err
	}
	classes, err := pairs("storage-class-map", o.classes, true)
	if err != nil {
		return err
	}
	ids, err := o.identities.read(e)
	if err != nil {
		return err
	}
	docs, err := export.ReadManifests(o.from, e.In, ids)
	if err != nil {
		return err
	}
	client, err := e.OpenCluster()
	if err != nil {
		return err
	}
	bar := e.NewProgress()
	bar.Step("Importing")
	done := 0
	importer := export.Importer{Target: client, Observe: func(report.Item) {
		done++
		bar.Items(done, len(docs))
	}}
	start := e.Now()
	result, err := importer.Run(ctx, docs, export.ImportOptions{
		DryRun: o.dryRun, Atomic: o.atomic, Force: o.force, Namespaces: o.mappings, Into: o.into, Classes: classes,
	})
	bar.Close()
	if o.output.Format != "" {
		if printErr := e.Print(o.output.Format, result); printErr != nil {
			return printErr
		}
	} else if o.dryRun && err == nil {
		if err := e.PrintOutcomes(result); err != nil {
			return err
		}
	}
	for _, line := range env.Worst(result) {
		e.Say("%s", line)
	}
	switch {
	case err != nil:
		return err
	case o.dryRun:
		e.Say("Nothing was changed. %s.", env.Summary(result))
	default:
		e.Say("Import done: %s in %s.", env.Summary(result), e.Now().Sub(start).Round(1e6))
	}
	if failed, _ := result.Totals(); failed > 0 {
		return env.Ended{Code: env.ExitPartial}
	}
	return nil
}
