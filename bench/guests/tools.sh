#!/bin/sh
# Installs the compilers of the other allocators, on Debian: a clang for WebAssembly with WASI's C library, emscripten, and
# Rust with its wasm32 target (rustup's if there is one; Debian's own needs Debian 13 or newer). The allocators of a missing
# compiler are listed as not run.
set -eu
sudo=
[ "$(id -u)" = 0 ] || sudo=sudo
install() { $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@"; }
$sudo apt-get update -qq
install clang-19 lld-19 wasi-libc libclang-rt-19-dev-wasm32 emscripten
if command -v rustup >/dev/null; then rustup target add wasm32-unknown-unknown; else install cargo libstd-rust-dev-wasm32; fi
