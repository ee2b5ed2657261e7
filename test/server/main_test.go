// SPDX-License-Identifier: Apache-2.0

package server

import (
	"cmp"
	"context"
	"os"
	"os/signal"
	"syscall"
	"testing"

	"hozon.dev/hozon/internal/cli"
	"hozon.dev/hozon/internal/cli/env"
	"hozon.dev/hozon/internal/cluster/clustertest"
)

// programEnv makes this test binary the program itself, versionEnv says in which version.
const (
	programEnv = "HOZON_TEST_PROGRAM"
	versionEnv = "HOZON_TEST_VERSION"
)

func TestMain(m *testing.M) {
	if os.Getenv(programEnv) != "" {
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
		code := cli.Run(ctx, env.New("hozon", cmp.Or(os.Getenv(versionEnv), "v0.0.0-test")), os.Args[1:])
		stop()
		os.Exit(code)
	}
	clustertest.Main(m)
}
