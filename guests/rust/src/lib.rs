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
//! The crate is for `wasm32-*` targets, and empty for others. With `atomics`, as in `wasm32-wasip1-threads`, it is for
//! threads, up to 63 at once: `reap` gives the number of one that has ended to the next.
#![no_std]
#![cfg(target_arch = "wasm32")]
#![warn(missing_docs)]

#[cfg(feature = "std")]
extern crate std;

mod error;
mod ffi;
mod global;
mod pool;

pub use error::{Error, Full};
#[cfg(wasm_mempool_threads)]
pub use global::{reap, thread};
pub use global::{left, reserve, trim, Mempool};
pub use pool::{Pool, PoolBox};
