// SPDX-License-Identifier: Apache-2.0

package schedule

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	velerov1 "hozon.dev/hozon/api/velero/v1"
	"hozon.dev/hozon/internal/cli/backup"
	"hozon.dev/hozon/internal/cli/env"
	"hozon.dev/hozon/internal/filter"
	"hozon.dev/hozon/internal/velero"
)

type createOptions struct {
	cron   string
	owner  bool
	paused bool
	skip   env.OptionalBool
	spec   backup.SpecFlags
	output env.Output
}

// NewCreate is `hozon schedule create`, and `hozon create schedule` under the other name.
func NewCreate(e *env.Env, use string) *cobra.Command {
	o := &createOptions{}
	c := &cobra.Command{
		Use:   use + " NAME --schedule CRON",
		Short: "Have the server make a backup again and again",
		Long: `Have the server make a backup again and again. The time is given as cron does, in the server's time zone unless it says otherwise:

  minute hour day-of-month month day-of-week     0 7 * * *
  @yearly @monthly @weekly @daily @hourly        @daily
  @every DURATION                                @every 6h
  CRON_TZ=ZONE before any of them                CRON_TZ=Asia/Tokyo 0 7 * * *

Backups are called NAME-YYYYMMDDhhmmss.`,
		Example: `  # Every six hours, kept for a day
  hozon schedule create often --schedule="@every 6h" --ttl 24h

  # One namespace, at seven in the morning
  hozon schedule create shop --schedule="0 7 * * *" --include-namespaces shop

  # What would be made
  hozon schedule create shop --schedule="0 7 * * *" -o yaml`,
		Args: noun.OneName,
		RunE: func(c *cobra.Command, args []string) error { return o.run(c.Context(), e, args[0]) },
	}
	o.addFlags(c.Flags())
	return c
}

func (o *createOptions) addFlags(f *pflag.FlagSet) {
	o.spec.AddFlags(f, "schedule, and of the backups that it makes")
	f.StringVar(&o.cron, "schedule", "", "When: a cron expression.")
	f.BoolVar(&o.owner, "use-owner-references-in-backup", false, "Make the schedule the owner of its backups, so that they go with it.")
	f.BoolVar(&o.paused, "paused", false, "Make no backups until `hozon schedule unpause`.")
	o.skip.AddFlag(f, "skip-immediately", "Do not make up for a time that has passed when the schedule is made.")
	o.output.AddTableFlags(f, "", "json", "yaml")
	f.Lookup("output").Usage = "Print the Schedule as json or yaml and do not make it."
}

func (o *createOptions) run(ctx context.Context, e *env.Env, name string) error {
	s, err := o.complete(e, name)
	if err != nil {
		return err
	}
	if o.output.Format != "" {
		return e.Print(o.output.Format, s)
	}
	server, err := e.OpenServer()
	if err != nil {
		return err
	}
	if _, err := velero.Schedules.Create(ctx, server, s); err != nil {
		return err
	}
	_, err = fmt.Fprintf(e.Out, "Schedule %q created successfully.\n", s.Name)
	return err
}

func (o *createOptions) complete(e *env.Env, name string) (*velerov1.Schedule, error) {
	if err := o.output.Check(); err != nil {
		return nil, err
	}
	if o.cron == "" {
		return nil, env.Usagef("--schedule is required: say when, for example --schedule='0 7 * * *'")
	}
	template, err := o.spec.Spec()
	if err != nil {
		return nil, err
	}
	if texts := filter.ValidateBackup(template); len(texts) > 0 {
		return nil, env.Usagef("%s", strings.Join(texts, "; "))
	}
	return &velerov1.Schedule{
		TypeMeta:   velero.Schedules.TypeMeta(),
		ObjectMeta: metav1.ObjectMeta{Namespace: e.Namespace, Name: name, Labels: o.spec.Labels, Annotations: o.spec.Annotations},
		Spec: velerov1.ScheduleSpec{
			Template: template, Schedule: o.cron, UseOwnerReferencesInBackup: &o.owner, Paused: o.paused, SkipImmediately: o.skip.Value,
		},
	}, nil
}
