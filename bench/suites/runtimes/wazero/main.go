// The core in wazero, from Go: pairs inside wasm, and pairs of calls. Arguments: module, rounds, ms of a sample.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"time"

	"github.com/tetratelabs/wazero"
)

type subject struct {
	name string
	work func(n int)
}

func must[T any](value T, err error) T {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	return value
}

func sample(work func(n int), n int) time.Duration {
	start := time.Now()
	work(n)
	return time.Since(start)
}

func measure(rounds int, least time.Duration, subjects []subject) map[string][]float64 {
	sizes := map[string]int{}
	samples := map[string][]float64{}
	// As many operations as a sample's time takes.
	for _, s := range subjects {
		n := 1
		for sample(s.work, n) < least {
			n *= 2
		}
		sizes[s.name] = n
	}
	for round := 0; round < rounds; round++ {
		for _, s := range subjects {
			n := sizes[s.name]
			samples[s.name] = append(samples[s.name], float64(sample(s.work, n).Nanoseconds())/float64(n))
		}
	}
	return samples
}

func main() {
	ctx := context.Background()
	wasm := must(os.ReadFile(os.Args[1]))
	rounds := must(strconv.Atoi(os.Args[2]))
	least := time.Duration(must(strconv.ParseFloat(os.Args[3], 64)) * float64(time.Millisecond))

	module := must(wazero.NewRuntime(ctx).Instantiate(ctx, wasm))
	module.Memory().Grow(3)
	call := func(name string, args ...uint64) uint64 {
		return must(module.ExportedFunction(name).Call(ctx, args...))[0]
	}
	if call("heap_create", 0, 4*65536, 1<<20, 1) == 0 {
		fmt.Fprintln(os.Stderr, "no heap")
		os.Exit(1)
	}
	pool := call("mempool_create", 32, 16, 4, 0xffffffff, 0)

	inside := module.ExportedFunction("pair")
	// Without garbage: arguments and results in one array.
	stack := make([]uint64, 2)
	two := func(first, second string) func(n int) {
		one, other := module.ExportedFunction(first), module.ExportedFunction(second)
		return func(n int) {
			for i := 0; i < n; i++ {
				stack[0] = pool
				if err := one.CallWithStack(ctx, stack); err != nil {
					panic(err)
				}
				stack[0], stack[1] = pool, stack[0]
				if err := other.CallWithStack(ctx, stack); err != nil {
					panic(err)
				}
			}
		}
	}
	pairsInside := func(n int) { must(inside.Call(ctx, pool, uint64(n))) }
	pairs := two("mempool_alloc", "mempool_free")
	calls := two("load1", "load2")

	version := runtime.Version()
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, dep := range info.Deps {
			if dep.Path == "github.com/tetratelabs/wazero" {
				version = "wazero " + dep.Version + ", " + version
			}
		}
	}
	report := map[string]any{
		"version": version,
		"tables": map[string]any{
			"pair-in-wasm":   measure(rounds, least, []subject{{"ours", pairsInside}, {"same", pairsInside}}),
			"pair-from-host": measure(rounds, least, []subject{{"ours", pairs}, {"same", pairs}, {"calls", calls}}),
		},
	}
	must(0, json.NewEncoder(os.Stdout).Encode(report))
}
