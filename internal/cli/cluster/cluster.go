// SPDX-License-Identifier: Apache-2.0

// Package cluster has the commands below `hozon cluster`, one file each: what was saved of a control plane is opened, not restored.
package cluster

import (
	"context"
	"fmt"
	"os"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"hozon.dev/hozon/internal/cli/env"
	"hozon.dev/hozon/internal/dr"
	"hozon.dev/hozon/internal/dr/decode"
	"hozon.dev/hozon/internal/fail"
)

// New is `hozon cluster`.
func New(e *env.Env) *cobra.Command {
	c := &cobra.Command{Use: "cluster", Short: "Open what was saved of a control plane"}
	c.AddCommand(newInspect(e), newExtract(e))
	return c
}

// maxConfig bounds the encryption configuration.
const maxConfig = 1 << 20

// source are the flags that say how a file is read.
type source struct {
	prefixes   []string
	encryption string
}

func (s *source) addFlags(f *pflag.FlagSet) {
	f.StringSliceVar(&s.prefixes, "etcd-prefix", nil, "The API server's --etcd-prefix; may be given twice (default: found out by looking).")
	f.StringVar(&s.encryption, "encryption-provider-config", "", "The API server's file of that name, for values that are encrypted in etcd.")
}

// oneFile is the check of arguments.
func oneFile(_ *cobra.Command, args []string) error {
	if len(args) != 1 {
		return env.Usagef("give one file, not %d", len(args))
	}
	return nil
}

// open opens the file and calls use with what is in it.
func (s *source) open(ctx context.Context, name string, use func(*dr.Image) error) error {
	var o dr.Options
	o.Prefixes = s.prefixes
	if s.encryption != "" {
		keys, err := readKeyring(s.encryption)
		if err != nil {
			return err
		}
		o.Keys = keys
	}
	f, err := os.Open(name)
	if err != nil {
		return env.UsageError(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return env.Usagef("%s is not a file", name)
	}
	image, err := dr.Open(ctx, f, info.Size(), o)
	if err != nil {
		return fmt.Errorf("open etcd snapshot %s: %w", name, err)
	}
	return use(image)
}

func readKeyring(name string) (*decode.Keyring, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, env.UsageError(err)
	}
	if info.Size() > maxConfig {
		return nil, env.Usagef("read encryption configuration %s: larger than %d bytes", name, maxConfig)
	}
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, env.UsageError(err)
	}
	keys, err := decode.ReadKeyring(text)
	if err == nil && keys.Len() == 0 {
		err = fail.Errorf(fail.Invalid, "it has no key of aescbc, aesgcm or secretbox")
	}
	if err != nil {
		return nil, fmt.Errorf("read encryption configuration %s: %w", name, err)
	}
	return keys, nil
}
