// SPDX-License-Identifier: Apache-2.0

// Package client has the commands below `hozon client`.
package client

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"hozon.dev/hozon/internal/cli/env"
)

// New is `hozon client`.
func New(e *env.Env) *cobra.Command {
	c := &cobra.Command{Use: "client", Short: "Look at and change the settings of this program"}
	config := &cobra.Command{Use: "config", Short: "Look at and change the settings kept for this user, which the velero program shares"}
	config.AddCommand(newGet(e), newSet(e))
	c.AddCommand(config)
	return c
}

func newGet(e *env.Env) *cobra.Command {
	return &cobra.Command{
		Use: "get [KEY…]", Short: "Print settings", Example: "  hozon client config get\n  hozon client config get namespace",
		ValidArgs: env.ConfigKeys,
		RunE: func(_ *cobra.Command, keys []string) error {
			config, err := e.ReadConfig()
			if err != nil {
				return err
			}
			if len(keys) == 0 {
				for key := range config {
					keys = append(keys, key)
				}
				slices.Sort(keys)
			}
			for _, key := range keys {
				value, found := config[key]
				if !found {
					value = "<NOT SET>"
				}
				if _, err := fmt.Fprintf(e.Out, "%s: %v\n", key, value); err != nil {
					return err
				}
			}
			return nil
		},
	}
}

func newSet(e *env.Env) *cobra.Command {
	return &cobra.Command{
		Use: "set KEY=VALUE…", Short: "Keep settings; an empty value removes one", Example: "  hozon client config set namespace=backup",
		Args: cobra.MinimumNArgs(1),
		RunE: func(_ *cobra.Command, pairs []string) error {
			config, err := e.ReadConfig()
			if err != nil {
				return err
			}
			for _, pair := range pairs {
				key, value, ok := strings.Cut(pair, "=")
				if !ok || key == "" {
					return env.Usagef("%q is not of the form key=value", pair)
				}
				if !slices.Contains(env.ConfigKeys, key) {
					return env.Usagef("unknown setting %q: there are %s", key, strings.Join(env.ConfigKeys, ", "))
				}
				if value == "" {
					delete(config, key)
				} else {
					config[key] = value
				}
			}
			return e.WriteConfig(config)
		},
	}
}
