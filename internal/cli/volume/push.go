// SPDX-License-Identifier: Apache-2.0

package volume

import (
	"strings"

	"github.com/spf13/cobra"

	"hozon.dev/hozon/internal/cli/env"
	"hozon.dev/hozon/internal/transfer"
	"hozon.dev/hozon/internal/transfer/pod"
)

func newPush(e *env.Env) *cobra.Command {
	var o options
	var claim string
	c := &cobra.Command{
		Use:   "push DIR NAMESPACE/POD[:CONTAINER]:PATH",
		Short: "Copy files into a pod or claim",
		Long: `Copy what is in a folder of this machine to below a path of a pod or claim. It is the reverse of pull, and has the same rules.

With --create-claim the claim is made first, and a pod of our own fills it.`,
		Example: `  hozon volume push ./uploaded test/demo-2-fxx6d:/opt/app-root/src/uploaded

  # A new claim of 10 GiB, of the class fast
  hozon volume push ./jenkins-home jenkins/jenkins-home:/ --create-claim 10Gi,fast`,
		Args: exactly(2, "a folder and a place in a cluster"),
		RunE: func(c *cobra.Command, args []string) error {
			if err := o.check(); err != nil {
				return err
			}
			place, err := pod.Parse(args[1])
			if err != nil {
				return err
			}
			opener, err := o.opener(e)
			if err != nil {
				return err
			}
			if claim != "" {
				if o.DryRun {
					return env.Usagef("--create-claim makes a claim: it does not go with --dry-run")
				}
				if o.image == "" {
					return env.Usagef("--create-claim needs a pod of our own to fill the claim: name an image with Hozon by --helper-image")
				}
				size, class, _ := strings.Cut(claim, ",")
				if err := opener.CreateClaim(c.Context(), place.Namespace, place.Name, size, class); err != nil {
					return err
				}
			}
			return o.run(c.Context(), e, opener, place, transfer.Request{Push: true, Local: args[0]})
		},
	}
	o.addFlags(e, c)
	c.Flags().StringVar(&claim, "create-claim", "", "Make the claim first: SIZE, or SIZE,CLASS (10Gi,fast).")
	return c
}
