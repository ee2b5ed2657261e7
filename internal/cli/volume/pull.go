// SPDX-License-Identifier: Apache-2.0

package volume

import (
	"github.com/spf13/cobra"

	"hozon.dev/hozon/internal/cli/env"
	"hozon.dev/hozon/internal/transfer"
	"hozon.dev/hozon/internal/transfer/pod"
)

func newPull(e *env.Env) *cobra.Command {
	var o options
	c := &cobra.Command{
		Use:   "pull NAMESPACE/POD[:CONTAINER]:PATH DIR",
		Short: "Copy files out of a pod or claim",
		Long: `Copy what is below a path of a pod, or of a claim, into a folder of this machine.

Only what differs in size or time is sent. A file is moved to its place when it is whole; what a broken connection leaves is gone on
from. Nothing outside of DIR is written, whatever is in the pod. The pod's image needs neither tar nor rsync nor a shell if --helper-image
names an image with Hozon. In place of a pod, a claim may be named: PATH is then from its root.`,
		Example: `  # What an application has uploaded to it
  hozon volume pull test/demo-2-fxx6d:/opt/app-root/src/uploaded ./uploaded

  # A claim, as it is now, without what was there before
  hozon volume pull jenkins/jenkins-home:/ ./jenkins-home --delete --exclude '/caches'`,
		Args: exactly(2, "a place in a cluster and a folder"),
		RunE: func(c *cobra.Command, args []string) error {
			if err := o.check(); err != nil {
				return err
			}
			place, err := pod.Parse(args[0])
			if err != nil {
				return err
			}
			opener, err := o.opener(e)
			if err != nil {
				return err
			}
			return o.run(c.Context(), e, opener, place, transfer.Request{Local: args[1]})
		},
	}
	o.addFlags(e, c)
	return c
}
