// SPDX-License-Identifier: Apache-2.0

// Package project has the commands below `hozon project`, one file each.
package project

import (
	"bytes"
	"os"
	"strings"

	"filippo.io/age"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"hozon.dev/hozon/internal/cli/env"
)

// New is `hozon project`.
func New(e *env.Env) *cobra.Command {
	c := &cobra.Command{
		Use:     "project",
		Aliases: []string{"projects"},
		Short:   "Take namespaces out of a cluster as clean manifests, bring manifests in, compare",
	}
	c.AddCommand(newExport(e), newImport(e), newDiff(e))
	return c
}

// identities are the flag --age-identity.
type identities struct{ files []string }

func (i *identities) addFlag(f *pflag.FlagSet) {
	f.StringSliceVar(&i.files, "age-identity", nil, "Files with age identities, to open encrypted Secrets (default: $SOPS_AGE_KEY_FILE).")
}

func (i *identities) read(e *env.Env) ([]age.Identity, error) {
	files := i.files
	if file := e.Getenv("SOPS_AGE_KEY_FILE"); len(files) == 0 && file != "" {
		files = []string{file}
	}
	var out []age.Identity
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			return nil, env.Usagef("--age-identity: %w", err)
		}
		found, err := age.ParseIdentities(bytes.NewReader(data))
		if err != nil { // its text may quote the file
			return nil, env.Usagef("--age-identity %s: not a file as `age-keygen` writes it", file)
		}
		out = append(out, found...)
	}
	return out, nil
}

// pairs reads the values from=to of a flag.
func pairs(flag string, values []string, mayBeEmpty bool) (map[string]string, error) {
	out := map[string]string{}
	for _, v := range values {
		from, to, ok := strings.Cut(v, "=")
		if !ok || from == "" || to == "" && !mayBeEmpty {
			return nil, env.Usagef("--%s %q is not of the form from=to", flag, v)
		}
		out[from] = to
	}
	return out, nil
}

// isFile reports whether a name is of something on disk.
func isFile(name string) bool {
	_, err := os.Stat(name)
	return err == nil
}
