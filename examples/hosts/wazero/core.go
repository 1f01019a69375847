package main

import (
	"context"
	"os"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"
)

var ctx = context.Background()

// Host has the modules of an instance, and the memory that all instances import.
type Host struct {
	runtime wazero.Runtime
	modules []wazero.CompiledModule
}

func NewHost(shared, initial, maximum byte, files []string) *Host {
	features := api.CoreFeaturesV2 | experimental.CoreFeaturesThreads
	h := &Host{runtime: wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfig().WithCoreFeatures(features))}
	if initial > 0 {
		// No memory is made by a Go program: a module "env" exports one. Below 128 pages a number takes one byte.
		memory := []byte{5, 4, 1, 1 + 2*shared, initial, maximum}
		env := "\x00asm\x01\x00\x00\x00" + string(memory) + "\x07\x0a\x01\x06memory\x02\x00"
		must(h.runtime.InstantiateWithConfig(ctx, []byte(env), wazero.NewModuleConfig().WithName("env")))
	}
	for _, file := range files {
		h.modules = append(h.modules, must(h.runtime.CompileModule(ctx, must(os.ReadFile(file)))))
	}
	return h
}

// Instance has the one module of a core, or the two halves of core.shared.wasm: the second imports the first as "core".
type Instance []api.Module

func (h *Host) Instantiate() (halves Instance) {
	resolve := experimental.WithImportResolver(ctx, func(name string) api.Module {
		if name == "core" {
			return halves[0]
		}
		return nil
	})
	for _, module := range h.modules {
		halves = append(halves, must(h.runtime.InstantiateModule(resolve, module, wazero.NewModuleConfig().WithName(""))))
	}
	return halves
}

func (halves Instance) Function(name string) (found api.Function) {
	for _, half := range halves {
		if function := half.ExportedFunction(name); function != nil {
			found = function
		}
	}
	return found
}
