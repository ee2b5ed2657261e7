// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"fmt"
	"runtime"
	"time"

	"github.com/spf13/cobra"

	"hozon.dev/hozon/internal/cli/env"
)

// bugForm asks what whoever helps will ask first.
const bugForm = `**What happened, step by step**

**What should have happened**

**What helps to understand it**
(the file that ` + "`%s debug --backup NAME --restore NAME`" + ` writes: look into it before you give it away; it has no Secrets)

**Versions**
- program: %s (%s, %s/%s)
- server: %s
- cluster: %s
- where the cluster runs, and how it was installed:

`

func newBug(e *env.Env) *cobra.Command {
	return &cobra.Command{
		Use:     "bug",
		Short:   "Print a form to report what went wrong, with the versions filled in",
		Example: "  hozon bug > report.md",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			server, problem := serverVersion(c.Context(), e, 5*time.Second)
			if problem != "" {
				server = "unknown: " + problem
			}
			_, err := fmt.Fprintf(e.Out, bugForm, e.Name, e.Version, runtime.Version(), runtime.GOOS, runtime.GOARCH, server, clusterVersion(c.Context(), e))
			return err
		},
	}
}
