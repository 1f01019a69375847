#!/bin/sh
# What bench/allocators compiles other allocators with, on Debian: a clang for WebAssembly with WASI's C library, emscripten,
# and Rust's target. Where one of them is missing, its allocators are listed as not run.
set -eu
sudo=
[ "$(id -u)" = 0 ] || sudo=sudo
$sudo apt-get update -qq
$sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
  clang-19 lld-19 wasi-libc libclang-rt-19-dev-wasm32 emscripten
if command -v rustup >/dev/null; then rustup target add wasm32-unknown-unknown; fi
