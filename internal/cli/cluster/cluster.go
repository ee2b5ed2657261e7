// SPDX-License-Identifier: Apache-2.0

// Package cluster has the commands below `hozon cluster`, one file each: what was saved of a control plane is opened, not restored.
package cluster

import (
	"context"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"hozon.dev/hozon/internal/cli/env"
	"hozon.dev/hozon/internal/dr"
	"hozon.dev/hozon/internal/dr/bundle"
	"hozon.dev/hozon/internal/dr/decode"
	"hozon.dev/hozon/internal/fail"
)

// New is `hozon cluster`.
func New(e *env.Env) *cobra.Command {
	c := &cobra.Command{Use: "cluster", Short: "Open what was saved of a control plane"}
	c.AddCommand(newInspect(e), newExtract(e))
	return c
}

// maxConfig bounds files that are written by hand.
const maxConfig = 1 << 20

// Source are the flags that say how an etcd snapshot, or an archive with one, is read.
type Source struct {
	env        *env.Env
	prefixes   []string
	encryption string
	identity   string
}

func (s *Source) AddFlags(e *env.Env, f *pflag.FlagSet) {
	s.env = e
	f.StringSliceVar(&s.prefixes, "etcd-prefix", nil, "The API server's --etcd-prefix; may be given twice (default: found out by looking).")
	f.StringVar(&s.encryption, "encryption-provider-config", "", "The API server's file of that name, for values that are encrypted in etcd.")
	f.StringVar(&s.identity, "identity", e.Getenv("HOZON_IDENTITY"), "File with the age identity that opens a sealed FILE (default: $HOZON_IDENTITY).")
}

// oneFile is the check of arguments.
func oneFile(_ *cobra.Command, args []string) error {
	if len(args) != 1 {
		return env.Usagef("give one file, not %d", len(args))
	}
	return nil
}

// Open opens the file and calls use with what is in it.
func (s *Source) Open(ctx context.Context, name string, use func(*dr.Image) error) error {
	var o dr.Options
	o.Prefixes = s.prefixes
	if s.encryption != "" {
		keys, err := readKeyring(s.encryption)
		if err != nil {
			return err
		}
		o.Keys = keys
	}
	f, err := s.env.OpenArchive(ctx, name, s.identity)
	if err != nil {
		return err
	}
	defer f.Close()
	var r io.ReaderAt = f
	size := f.Size
	var head [2]byte
	if _, err := r.ReadAt(head[:], 0); err != nil && err != io.EOF {
		return fmt.Errorf("open %s: %w", name, err)
	}
	var image *dr.Image
	if bundle.Is(head[:]) {
		image, _, err = dr.OpenArchive(ctx, r, size, o)
	} else {
		image, err = dr.Open(ctx, r, size, o)
	}
	if err != nil {
		return fmt.Errorf("open %s: %w", name, err)
	}
	return use(image)
}

// readSmall reads a file that somebody wrote by hand.
func readSmall(what, name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, env.UsageError(err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxConfig+1))
	if err != nil {
		return nil, fmt.Errorf("read %s %s: %w", what, name, err)
	}
	if len(text) > maxConfig {
		return nil, env.Usagef("read %s %s: larger than %d bytes", what, name, maxConfig)
	}
	return text, nil
}

func readKeyring(name string) (*decode.Keyring, error) {
	text, err := readSmall("encryption configuration", name)
	if err != nil {
		return nil, err
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
