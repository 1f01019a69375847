//! An allocator for WebAssembly whose pools keep a reserve: when memory is gone, an element that was set aside is still
//! there.
//!
//! ```
//! use wasm_mempool::Mempool;
//!
//! #[global_allocator]
//! static ALLOCATOR: Mempool = Mempool;
//!
//! fn main() {
//!     let words: Vec<String> = "all of std allocates here".split(' ').map(String::from).collect();
//!     assert_eq!(words.len(), 5);
//! }
//! ```
//!
//! [`Mempool`] serves all that allocates; [`reserve`] sets blocks aside; [`Pool`] has elements of one type. They share one
//! heap, which begins behind the program's data and grows with the memory. Nothing needs to be set up, and no C compiler.
//!
//! The crate is for `wasm32-*` targets, and empty for others: `cargo build --target wasm32-wasip1`. With `atomics`, as in
//! `wasm32-wasip1-threads`, it is for threads, up to 63 at once: `reap` gives the number of one that has ended to the next.
//!
//! With the feature `std`, [`Error`] and [`Full`] are `std::error::Error`s, for `Box<dyn Error>` and the like; without it, the
//! default, the crate is `no_std`.
//!
//! What allocates has only a form that may fail, and none panics: [`Pool::try_new`], [`Pool::try_with_limit`],
//! [`Pool::try_alloc`], [`Pool::try_alloc_uninit`], [`Pool::try_alloc_bulk`]; [`reserve`] and [`Pool::resize`] return a
//! `Result`, too.
#![no_std]
#![warn(missing_docs)]

#[cfg(feature = "std")]
extern crate std;

// Each item has the condition, not the crate: so the compiler shows it to who builds for another target.
#[cfg(target_arch = "wasm32")]
mod error;
#[cfg(target_arch = "wasm32")]
mod ffi;
#[cfg(target_arch = "wasm32")]
mod global;
#[cfg(target_arch = "wasm32")]
mod pool;

#[cfg(target_arch = "wasm32")]
pub use error::{Error, Full};
#[cfg(wasm_mempool_threads)]
pub use global::{reap, thread};
#[cfg(target_arch = "wasm32")]
pub use global::{left, reserve, trim, Mempool};
#[cfg(target_arch = "wasm32")]
pub use pool::{Pool, PoolBox};
