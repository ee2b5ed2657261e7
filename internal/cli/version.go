// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"
	"time"

	"github.com/spf13/cobra"

	velerov1 "hozon.dev/hozon/api/velero/v1"
	"hozon.dev/hozon/internal/cli/env"
)

// Version is the version of this build: that of the release, or of the commit it was built from.
func Version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" || info.Main.Version == "(devel)" {
		return "v0.1.0-dev"
	}
	return info.Main.Version
}

// commit is the one that this build was made from; "-": it is not known.
func commit() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "-"
	}
	revision, suffix := "-", ""
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision":
			revision = s.Value
		case s.Key == "vcs.modified" && s.Value == "true":
			suffix = "-dirty"
		}
	}
	if revision == "-" {
		return revision
	}
	return revision + suffix
}

func newVersion(e *env.Env) *cobra.Command {
	var clientOnly bool
	var timeout time.Duration
	var output env.Output
	c := &cobra.Command{
		Use:     "version",
		Short:   "Print the version of this program, of the server and of the cluster",
		Example: "  hozon version\n  hozon version --client-only -o json",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := output.Check(); err != nil {
				return err
			}
			v := versions{Client: build{Version: e.Version, Commit: commit(), Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}}
			if !clientOnly {
				v.Cluster = clusterVersion(c.Context(), e)
				v.Server, v.ServerError = serverVersion(c.Context(), e, timeout)
			}
			return v.print(e, output.Format)
		},
	}
	c.Flags().BoolVar(&clientOnly, "client-only", false, "Do not ask the cluster.")
	c.Flags().DurationVar(&timeout, "timeout", 5*time.Second, "How long to wait for the server's answer.")
	output.AddFlag(c.Flags(), "text", "json", "yaml")
	return c
}

type build struct {
	Version  string `json:"version"`
	Commit   string `json:"commit"`
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

type versions struct {
	Client  build  `json:"client"`
	Cluster string `json:"cluster,omitempty"`
	// Of the server in the cluster one is set, unless it was not asked.
	Server      string `json:"server,omitempty"`
	ServerError string `json:"serverError,omitempty"`
}

// serverVersion asks the server, if there is one: a program that works on a store needs none.
func serverVersion(ctx context.Context, e *env.Env, timeout time.Duration) (version, problem string) {
	if e.StoreURL != "" {
		return "", ""
	}
	server, err := e.OpenServer()
	if err == nil {
		var answer *velerov1.ServerStatusRequest
		if answer, err = server.Status(ctx, timeout); err == nil {
			return answer.Status.ServerVersion, ""
		}
	}
	return "", err.Error()
}

func clusterVersion(ctx context.Context, e *env.Env) string {
	client, err := e.OpenCluster()
	if err != nil {
		return "unknown: " + err.Error()
	}
	info, err := client.Version(ctx)
	if err != nil {
		return "unknown: " + err.Error()
	}
	return info.GitVersion
}

func (v versions) print(e *env.Env, format string) error {
	if format != "text" {
		return e.Print(format, v)
	}
	_, err := fmt.Fprintf(e.Out, "Client:\n\tVersion: %s\n\tGit commit: %s\n\tGo: %s %s\n", v.Client.Version, v.Client.Commit, v.Client.Go, v.Client.Platform)
	if err == nil && v.Cluster != "" {
		_, err = fmt.Fprintf(e.Out, "Cluster:\n\tVersion: %s\n", v.Cluster)
	}
	if err == nil && v.Server != "" {
		_, err = fmt.Fprintf(e.Out, "Server:\n\tVersion: %s\n", v.Server)
	}
	if err == nil && v.ServerError != "" {
		e.Say("<error getting server version: %s>", v.ServerError)
	}
	if own, ours := strings.CutPrefix(v.Server, "hozon "); ours && own != v.Client.Version {
		e.Say("# WARNING: the client version does not match the server version. What one of them does not know is refused or left out; install the newer one.")
	}
	return err
}
