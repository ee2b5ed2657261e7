// SPDX-License-Identifier: Apache-2.0

package schedule

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	velerov1 "hozon.dev/hozon/api/velero/v1"
	"hozon.dev/hozon/internal/cli/env"
	"hozon.dev/hozon/internal/velero"
)

type pauseOptions struct {
	all      bool
	selector string
	skip     env.OptionalBool
	paused   bool // what is wanted
}

func newPause(e *env.Env) *cobra.Command {
	return pauseCommand(e, "pause", "Hold schedules back", "  hozon schedule pause nightly\n  hozon schedule pause --all", true)
}

func newUnpause(e *env.Env) *cobra.Command {
	return pauseCommand(e, "unpause", "Let schedules go on", "  hozon schedule unpause nightly\n  hozon schedule unpause --all --skip-immediately", false)
}

func pauseCommand(e *env.Env, use, short, example string, paused bool) *cobra.Command {
	o := &pauseOptions{paused: paused}
	c := &cobra.Command{
		Use: use + " [NAMES]", Short: short, Example: example, ValidArgsFunction: noun.Complete(e),
		RunE: func(c *cobra.Command, names []string) error { return o.run(c.Context(), e, names) },
	}
	c.Flags().BoolVar(&o.all, "all", false, "All schedules.")
	c.Flags().StringVarP(&o.selector, "selector", "l", "", "The schedules that match this label selector.")
	o.skip.AddFlag(c.Flags(), "skip-immediately", "Do not make up for a time that has passed when the schedule goes on.")
	return c
}

func (o *pauseOptions) run(ctx context.Context, e *env.Env, names []string) error {
	if err := (&env.DeleteOptions{All: o.all, Selector: o.selector}).Check(names); err != nil {
		return err
	}
	server, err := e.OpenServer()
	if err != nil {
		return err
	}
	schedules, err := o.find(ctx, server, names)
	if err != nil {
		return err
	}
	if len(schedules) == 0 {
		_, err := fmt.Fprintln(e.Out, "No schedules found")
		return err
	}
	var errs []error
	for _, s := range schedules {
		errs = append(errs, o.set(ctx, e, server, s))
	}
	return errors.Join(errs...)
}

func (o *pauseOptions) find(ctx context.Context, c velero.Client, names []string) ([]*velerov1.Schedule, error) {
	if len(names) == 0 {
		return velero.Schedules.List(ctx, c, o.selector)
	}
	var found []*velerov1.Schedule
	for _, name := range names {
		s, err := velero.Schedules.Get(ctx, c, name)
		if err != nil {
			return nil, err
		}
		found = append(found, s)
	}
	return found, nil
}

func (o *pauseOptions) set(ctx context.Context, e *env.Env, c velero.Client, s *velerov1.Schedule) error {
	word := map[bool]string{true: "paused", false: "unpaused"}[o.paused]
	if s.Spec.Paused == o.paused {
		_, err := fmt.Fprintf(e.Out, "Schedule %s is already %s, skip\n", s.Name, word)
		return err
	}
	spec := map[string]any{"paused": o.paused}
	if o.skip.Value != nil {
		spec["skipImmediately"] = *o.skip.Value
	}
	if _, err := velero.Schedules.Patch(ctx, c, s.Name, map[string]any{"spec": spec}); err != nil {
		return err
	}
	_, err := fmt.Fprintf(e.Out, "Schedule %s %s successfully\n", s.Name, word)
	return err
}
