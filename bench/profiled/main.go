// SPDX-License-Identifier: Apache-2.0

// Command profiled is hozon with a profile of what it does: HOZON_BENCH_PROFILE=x makes it write x.cpu.pprof and
// x.mem.pprof (every allocation, not what is alive in the end). For the benchmark only.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"runtime/pprof"
	"syscall"

	"hozon.dev/hozon/internal/cli"
	"hozon.dev/hozon/internal/cli/env"
)

func main() { os.Exit(run()) }

func run() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	prefix := os.Getenv("HOZON_BENCH_PROFILE")
	if prefix == "" {
		fmt.Fprintln(os.Stderr, "HOZON_BENCH_PROFILE is not set")
		return 2
	}
	end, err := start(prefix)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	code := cli.Run(ctx, env.New("hozon", cli.Version()), os.Args[1:])
	if err := end(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

// start begins the profile of the processor and returns what ends it and writes that of the memory.
func start(prefix string) (func() error, error) {
	runtime.MemProfileRate = 64 << 10
	cpu, err := os.Create(prefix + ".cpu.pprof")
	if err != nil {
		return nil, err
	}
	runtime.SetCPUProfileRate(500) // a backup lasts a second
	if err := pprof.StartCPUProfile(cpu); err != nil {
		return nil, err
	}
	return func() error {
		pprof.StopCPUProfile()
		if err := cpu.Close(); err != nil {
			return err
		}
		memory, err := os.Create(prefix + ".mem.pprof")
		if err != nil {
			return err
		}
		if err := pprof.Lookup("allocs").WriteTo(memory, 0); err != nil {
			return err
		}
		return memory.Close()
	}, nil
}
