// SPDX-License-Identifier: Apache-2.0

package volume

import (
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"hozon.dev/hozon/internal/cli/env"
	"hozon.dev/hozon/internal/transfer"
	"hozon.dev/hozon/internal/transfer/pod"
)

// newHelper is what runs inside of pods. It is not for people.
func newHelper(e *env.Env) *cobra.Command {
	c := &cobra.Command{Use: "helper", Short: "The end inside a pod of pull and push", Hidden: true}
	c.AddCommand(newServe(e), newWait())
	return c
}

func newServe(e *env.Env) *cobra.Command {
	var container, root string
	c := &cobra.Command{
		Use: "serve", Short: "Carry out one request over standard input and output", Args: exactly(0, "no arguments"),
		RunE: func(c *cobra.Command, _ []string) error {
			if container != "" {
				root = pod.Root(container)
			}
			err := transfer.Serve(c.Context(), &ending{r: e.In}, e.Out, root)
			if err != nil {
				return env.Ended{Code: env.ExitFailed} // the client was told
			}
			return nil
		},
	}
	c.Flags().StringVar(&container, "container-id", "", "Work in the file system of this container, whose processes are seen from here.")
	c.Flags().StringVar(&root, "root", "/", "Work below this folder.")
	return c
}

// ending ends the process soon after its input did: whoever asked is gone, and a write to nobody may take for ever.
type ending struct{ r io.Reader }

func (s *ending) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	if err != nil {
		time.AfterFunc(10*time.Second, func() { os.Exit(env.ExitFailed) })
	}
	return n, err
}

func newWait() *cobra.Command {
	var idle time.Duration
	c := &cobra.Command{
		Use: "wait", Short: "Keep the container of helpers alive while they are used", Args: exactly(0, "no arguments"),
		RunE: func(c *cobra.Command, _ []string) error {
			pod.Wait(c.Context(), idle)
			return nil
		},
	}
	c.Flags().DurationVar(&idle, "idle", 10*time.Minute, "End when nothing was copied for so long.")
	return c
}
