// SPDX-License-Identifier: Apache-2.0

package backuplocation

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	velerov1 "hozon.dev/hozon/api/velero/v1"
	"hozon.dev/hozon/internal/cli/env"
	"hozon.dev/hozon/internal/velero"
)

type createOptions struct {
	spec       velerov1.BackupStorageLocationSpec
	bucket     string
	prefix     string
	cacert     string
	access     string
	credential map[string]string
	labels     map[string]string
	sync       time.Duration
	validation time.Duration
	output     env.Output
}

// NewCreate is `hozon backup-location create`, and `hozon create backup-location` under the other name.
func NewCreate(e *env.Env, use string) *cobra.Command {
	o := &createOptions{}
	c := &cobra.Command{
		Use:   use + " NAME --provider PROVIDER --bucket BUCKET",
		Short: "Add a place where backups are kept",
		Example: `  # Amazon S3
  hozon backup-location create default --provider aws --bucket backups --config region=eu-west-1 --default

  # An S3-compatible server, with a Secret of its own
  hozon backup-location create minio --provider aws --bucket backups --credential minio=cloud \
    --config region=minio,s3ForcePathStyle=true,s3Url=https://minio.example.com --cacert ca.pem

  # What would be made
  hozon backup-location create second --provider gcp --bucket backups -o yaml`,
		Args: noun.OneName,
		RunE: func(c *cobra.Command, args []string) error { return o.run(c.Context(), e, c.Flags(), args[0]) },
	}
	o.addFlags(c.Flags())
	return c
}

func (o *createOptions) addFlags(f *pflag.FlagSet) {
	f.StringVar(&o.spec.Provider, "provider", "", "Kind of store: aws (and all that speaks S3), gcp, azure, file.")
	f.StringVar(&o.bucket, "bucket", "", "Bucket, container or folder.")
	f.StringVar(&o.prefix, "prefix", "", "Folder in it.")
	f.StringToStringVar(&o.spec.Config, "config", nil, "The provider's settings: key=value,…")
	f.StringToStringVar(&o.credential, "credential", nil, "Secret, and key in it, with the credentials: secret=key (default: those of the server).")
	f.BoolVar(&o.spec.Default, "default", false, "Make it the location of backups that name none.")
	f.DurationVar(&o.sync, "backup-sync-period", 0, "Time between two looks at which backups are there (0: never; default: the server's).")
	f.DurationVar(&o.validation, "validation-frequency", 0, "Time between two looks at whether it can be used (0: never; default: the server's).")
	f.StringToStringVar(&o.labels, "labels", nil, "Labels of the location.")
	f.StringVar(&o.cacert, "cacert", "", "File with the CA of the store, in PEM form.")
	f.StringVar(&o.access, "access-mode", string(velerov1.BackupStorageLocationAccessModeReadWrite), "ReadWrite or ReadOnly.")
	o.output.AddTableFlags(f, "", "json", "yaml")
	f.Lookup("output").Usage = "Print the location as json or yaml and do not make it."
}

func (o *createOptions) run(ctx context.Context, e *env.Env, f *pflag.FlagSet, name string) error {
	l, err := o.complete(e, f, name)
	if err != nil {
		return err
	}
	if o.output.Format != "" {
		return e.Print(o.output.Format, l)
	}
	server, err := e.OpenServer()
	if err != nil {
		return err
	}
	if l.Spec.Default {
		if err := otherDefault(ctx, server, name); err != nil {
			return err
		}
	}
	if _, err := velero.StorageLocations.Create(ctx, server, l); err != nil {
		return err
	}
	return configured(e, name)
}

func configured(e *env.Env, name string) error {
	_, err := fmt.Fprintf(e.Out, "Backup storage location %q configured successfully.\n", name)
	return err
}

func (o *createOptions) complete(e *env.Env, f *pflag.FlagSet, name string) (*velerov1.BackupStorageLocation, error) {
	if err := o.output.Check(); err != nil {
		return nil, err
	}
	if o.spec.Provider == "" || o.bucket == "" {
		return nil, env.Usagef("--provider and --bucket are required")
	}
	s := o.spec
	switch s.AccessMode = velerov1.BackupStorageLocationAccessMode(o.access); s.AccessMode {
	case velerov1.BackupStorageLocationAccessModeReadWrite, velerov1.BackupStorageLocationAccessModeReadOnly:
	default:
		return nil, env.Usagef("--access-mode %q: use ReadWrite or ReadOnly", o.access)
	}
	if o.sync < 0 || o.validation < 0 {
		return nil, env.Usagef("--backup-sync-period and --validation-frequency must not be negative")
	}
	s.ObjectStorage = &velerov1.ObjectStorageLocation{Bucket: o.bucket, Prefix: o.prefix}
	var err error
	if s.ObjectStorage.CACert, err = readCA(o.cacert); err != nil {
		return nil, err
	}
	if s.Credential, err = env.SecretKey("credential", o.credential); err != nil {
		return nil, err
	}
	if f.Changed("backup-sync-period") {
		s.BackupSyncPeriod = &velerov1.Duration{Duration: o.sync}
	}
	if f.Changed("validation-frequency") {
		s.ValidationFrequency = &velerov1.Duration{Duration: o.validation}
	}
	return &velerov1.BackupStorageLocation{
		TypeMeta:   velero.StorageLocations.TypeMeta(),
		ObjectMeta: metav1.ObjectMeta{Namespace: e.Namespace, Name: name, Labels: o.labels},
		Spec:       s,
	}, nil
}

func readCA(file string) ([]byte, error) {
	if file == "" {
		return nil, nil
	}
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("--cacert: %w", err)
	}
	return pem, nil
}

// otherDefault refuses a second default: the server would not know which to take.
func otherDefault(ctx context.Context, c velero.Client, name string) error {
	all, err := velero.StorageLocations.List(ctx, c, "")
	if err != nil {
		return err
	}
	for _, l := range all {
		if l.Spec.Default && l.Name != name {
			return fmt.Errorf("%s is the default location already; make it an ordinary one first: `%s`",
				l.Name, "hozon backup-location set "+l.Name+" --default=false")
		}
	}
	return nil
}
