// SPDX-License-Identifier: Apache-2.0

package nodeagent

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"hozon.dev/hozon/internal/agent"
	"hozon.dev/hozon/internal/cli/env"
)

// HelperName is what the helper is called in pods: Velero's name. The image has it as a link to the program.
const HelperName = "velero-restore-helper"

// NewHelper is `hozon restore-helper`, the init container of pods whose volumes are being filled.
func NewHelper(e *env.Env) *cobra.Command {
	var restores string
	c := &cobra.Command{
		Use: "restore-helper RESTORE-UID", Short: "Wait until a node agent has filled all volumes of this pod", Hidden: true,
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) != 1 || args[0] == "" || args[0] != filepath.Base(args[0]) {
				return env.Usagef("give one argument: the UID of the restore")
			}
			return waitFilled(c.Context(), e, restores, args[0])
		},
	}
	c.Flags().StringVar(&restores, "volumes", "/restores", "Folder with the volumes.")
	return c
}

// helperLook is the time between two looks. File systems of all sorts are mounted here, and not all of them tell of changes.
const helperLook = 200 * time.Millisecond

func waitFilled(ctx context.Context, e *env.Env, restores, uid string) error {
	told := ""
	for {
		missing, err := unfilled(restores, uid)
		if err != nil {
			return err
		}
		if len(missing) == 0 {
			break
		}
		if text := strings.Join(missing, ", "); text != told {
			e.Say("Waiting for the data of %s.", text)
			told = text
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(helperLook):
		}
	}
	e.Say("All volumes are filled.")
	tidy(e, restores)
	return nil
}

// unfilled are the volumes that no agent is done with.
func unfilled(restores, uid string) ([]string, error) {
	volumes, err := os.ReadDir(restores)
	if err != nil {
		return nil, fmt.Errorf("read what volumes there are: %w", err)
	}
	var missing []string
	for _, v := range volumes {
		if !v.IsDir() {
			continue
		}
		filled, err := agent.Filled(filepath.Join(restores, v.Name()), uid)
		if err != nil {
			return nil, err
		}
		if !filled {
			missing = append(missing, v.Name())
		}
	}
	return missing, nil
}

// tidy removes the marks. Who runs as nobody may not; then the agent does.
func tidy(e *env.Env, restores string) {
	volumes, _ := os.ReadDir(restores) // it was read just now
	for _, v := range volumes {
		if err := os.RemoveAll(filepath.Join(restores, v.Name(), agent.DoneFolder)); err != nil {
			e.Say("The mark of volume %s is left to the node agent: %v.", v.Name(), err)
		}
	}
}
