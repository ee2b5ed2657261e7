// SPDX-License-Identifier: Apache-2.0

// Command profiled is hozon with a profile of what it does: HOZON_BENCH_PROFILE=x makes it write x.cpu.pprof, x.mem.pprof
// (every allocation; and what was alive in the end) and x.peak.pprof (what was alive when most was). For the benchmark only.
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"runtime/metrics"
	"runtime/pprof"
	"syscall"
	"time"

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

// start begins the profiles and returns what ends and writes them.
func start(prefix string) (func() error, error) {
	runtime.MemProfileRate = 64 << 10
	var cpu, memory bytes.Buffer
	runtime.SetCPUProfileRate(250) // a backup lasts a second; more than the kernel ticks would count too little
	if err := pprof.StartCPUProfile(&cpu); err != nil {
		return nil, err
	}
	peak, done := make(chan []byte), make(chan struct{})
	go func() { peak <- highest(done) }()
	return func() error {
		pprof.StopCPUProfile()
		close(done)
		top := <-peak
		if err := pprof.Lookup("allocs").WriteTo(&memory, 0); err != nil {
			return err
		}
		return errors.Join(
			os.WriteFile(prefix+".cpu.pprof", cpu.Bytes(), 0o644),
			os.WriteFile(prefix+".mem.pprof", memory.Bytes(), 0o644),
			os.WriteFile(prefix+".peak.pprof", top, 0o644),
		)
	}, nil
}

// highest returns the heap profile of the collection that left most alive.
func highest(done <-chan struct{}) []byte {
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	var most uint64
	var profile bytes.Buffer
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-done:
			return profile.Bytes()
		case <-tick.C:
		}
		metrics.Read(live)
		if n := live[0].Value.Uint64(); n > most {
			most = n
			profile.Reset()
			_ = pprof.Lookup("heap").WriteTo(&profile, 0) // to memory: cannot fail
		}
	}
}
