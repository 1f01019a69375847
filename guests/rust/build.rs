//! Links the archive with the allocator. No compiler is needed: it is an object for the wasm linker.
use std::env;
use std::path::Path;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rustc-check-cfg=cfg(wasm_mempool_threads)");
    let var = |name: &str| env::var(name).unwrap_or_default();
    if var("CARGO_CFG_TARGET_ARCH") != "wasm32" {
        let advice = "build with --target wasm32-unknown-unknown or wasm32-wasip1";
        println!("cargo:warning=wasm-mempool is empty for {}: {advice}", var("TARGET"));
        return;
    }
    // Only a nightly compiler lists `atomics` among the features of a target.
    let has_threads = var("CARGO_CFG_TARGET_FEATURE").split(',').any(|feature| feature == "atomics")
        || var("CARGO_ENCODED_RUSTFLAGS").contains("+atomics")
        || var("TARGET").ends_with("-threads");
    if has_threads {
        println!("cargo:rustc-cfg=wasm_mempool_threads");
    }
    let archive = if has_threads { "wasm_mempool_malloc_shared" } else { "wasm_mempool_malloc" };
    let root = var("CARGO_MANIFEST_DIR");
    // The crate has the archives in lib/; in the repository and the npm package they are where the build leaves them.
    let folder = ["lib", "../../build"]
        .iter()
        .map(|folder| Path::new(&root).join(folder))
        .find(|folder| folder.join(format!("lib{archive}.a")).exists())
        .unwrap_or_else(|| {
            panic!(
                "lib{archive}.a is neither in {root}/lib, where the published crate has it, nor in {root}/../../build, where \
                 the npm package has it; in a clone of the repository, `npm ci && npm run build` makes it"
            )
        });
    println!("cargo:rerun-if-changed={}", folder.join(format!("lib{archive}.a")).display());
    println!("cargo:rustc-link-search=native={}", folder.display());
    println!("cargo:rustc-link-lib=static={archive}");
}
