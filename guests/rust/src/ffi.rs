//! The part of wasm_mempool.h and wasm_mempool_malloc.h that the crate calls. An address is a `u32` there.

extern "C" {
    pub fn malloc(bytes: usize) -> *mut u8;
    pub fn free(block: *mut u8);
    pub fn calloc(count: usize, bytes: usize) -> *mut u8;
    pub fn realloc(block: *mut u8, bytes: usize) -> *mut u8;
    pub fn aligned_alloc(align: usize, bytes: usize) -> *mut u8;

    pub fn malloc_reserve(bytes: usize, count: u32) -> i32;
    pub fn malloc_heap() -> usize;
    #[cfg(wasm_mempool_threads)]
    pub fn heap_thread() -> u32;
    #[cfg(wasm_mempool_threads)]
    pub fn heap_reap(thread: u32, label: u32) -> i32;

    pub fn heap_error() -> i32;
    pub fn heap_trim() -> u32;
    pub fn heap_left() -> u32;

    pub fn mempool_create(size: u32, align: u32, min_nr: u32, max_nr: u32, backend: u32) -> u32;
    pub fn mempool_exit(pool: u32) -> u32;
    pub fn mempool_resize(pool: u32, min_nr: u32) -> i32;
    pub fn mempool_alloc(pool: u32) -> *mut u8;
    pub fn mempool_alloc_bulk(pool: u32, array: *mut *mut u8, count: u32) -> u32;
    pub fn mempool_free(pool: u32, element: *mut u8) -> i32;
    pub fn mempool_curr_nr(pool: u32) -> u32;
    pub fn mempool_min_nr(pool: u32) -> u32;
    pub fn mempool_outstanding(pool: u32) -> u32;
}
