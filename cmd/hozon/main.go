// SPDX-License-Identifier: Apache-2.0

// Command hozon saves Kubernetes clusters. See `hozon --help`.
package main

import (
	"context"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	_ "time/tzdata" // schedules name time zones, and the image has no files

	_ "golang.org/x/crypto/x509roots/fallback" // where the system has no certificates: the image

	"hozon.dev/hozon/internal/cli"
	"hozon.dev/hozon/internal/cli/env"
)

func main() { os.Exit(run()) }

// run ends on the first signal by cancelling what is under way; a second one kills the process.
func run() int {
	tuneMemory()
	trim := trimmer()
	trim()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop)
	name := strings.TrimSuffix(filepath.Base(os.Args[0]), ".exe")
	e := env.New(name, cli.Version())
	e.Trim, e.Yield = trim, yield
	return cli.Run(ctx, e, os.Args[1:])
}
