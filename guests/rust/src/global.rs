use crate::{ffi, Error};
use core::alloc::{GlobalAlloc, Layout};

/// The allocator of everything: `#[global_allocator] static ALLOCATOR: Mempool = Mempool;`.
///
/// A block of up to 8,192 bytes is an element of a size class, at most a quarter longer than what was asked for, without a
/// header; a longer one is whole pages of 4 KiB, and grows in place while the pages behind it are free. Any alignment is
/// met. A free of an address at which no block begins traps; a program that defines `wasm_mempool_bad_free(address: *mut u8,
/// code: i32)` gets it told instead.
#[derive(Clone, Copy, Debug, Default)]
pub struct Mempool;

/// Up to this, every block of as many bytes is aligned.
const DEFAULT_ALIGN: usize = 8;
/// A longer block is whole pages, and aligned to them.
const SMALL: usize = 8192;
const PAGE: usize = 4096;

// SAFETY: the archive's malloc keeps blocks disjoint, aligned and where they are; with `atomics` on all threads.
unsafe impl GlobalAlloc for Mempool {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if layout.align() <= DEFAULT_ALIGN {
            ffi::malloc(layout.size())
        } else {
            ffi::aligned_alloc(layout.align(), layout.size())
        }
    }

    unsafe fn dealloc(&self, block: *mut u8, _: Layout) {
        ffi::free(block);
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, bytes: usize) -> *mut u8 {
        let align = layout.align();
        if align <= DEFAULT_ALIGN || (align <= PAGE && bytes > SMALL) {
            return ffi::realloc(block, bytes);
        }
        if bytes <= layout.size() && bytes > layout.size() / 2 {
            return block;
        }
        let moved = ffi::aligned_alloc(align, bytes);
        if !moved.is_null() {
            moved.copy_from_nonoverlapping(block, bytes.min(layout.size()));
            ffi::free(block);
        }
        moved
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if layout.align() <= DEFAULT_ALIGN {
            return ffi::calloc(1, layout.size());
        }
        let block = self.alloc(layout);
        if !block.is_null() {
            block.write_bytes(0, layout.size());
        }
        block
    }
}

/// Sets `count` blocks of `bytes` (1 to 2^24) aside, for allocations of as many bytes, or of fewer that the same class or
/// the same pages serve: they are given when all other memory is gone, and frees of such blocks set new ones aside first. 0
/// gives the blocks back. Up to 30 sizes above 8,192 bytes.
///
/// ```
/// # #[global_allocator] static ALLOCATOR: wasm_mempool::Mempool = wasm_mempool::Mempool;
/// wasm_mempool::reserve(4096, 8)?;
/// # Ok::<(), wasm_mempool::Error>(())
/// ```
pub fn reserve(bytes: usize, count: u32) -> Result<(), Error> {
    Error::check(unsafe { ffi::malloc_reserve(bytes, count) })
}

/// Returns unused memory of pools and size classes to the free pages, for allocations of other sizes; the bytes that became
/// free. The memory itself never shrinks. O(pools).
pub fn trim() -> usize {
    unsafe { ffi::heap_trim() as usize }
}

/// The pages of 4 KiB that are free or that the memory may still grow by, as far as is known: a limit of the host's shows
/// when the memory meets it. O(memory).
pub fn left() -> usize {
    unsafe {
        ffi::malloc_heap();
        ffi::heap_left() as usize
    }
}

/// With threads: the calling thread's number in the heap, 0 to 62, for [`reap`].
#[cfg(wasm_mempool_threads)]
pub fn thread() -> u32 {
    unsafe {
        ffi::malloc_heap();
        ffi::heap_thread()
    }
}

/// With threads: has the number of a thread that has ended, and what it had cached, be for others. A heap has 63 numbers. A
/// thread cannot give up its own: std frees memory after the thread's last line.
///
/// ```no_run
/// # #[cfg(any())] {
/// let (answer, number) = std::thread::spawn(|| (work(), wasm_mempool::thread())).join().unwrap();
/// unsafe { wasm_mempool::reap(number)? };
/// # }
/// ```
///
/// # Safety
/// The thread with this number has been joined, and dropped its pools and the elements of them. Blocks are no thread's.
#[cfg(wasm_mempool_threads)]
pub unsafe fn reap(thread: u32) -> Result<(), Error> {
    // 0: it has no number any more.
    match ffi::heap_reap(thread, 0) {
        -1 => Err(Error::Busy),
        _ => Ok(()),
    }
}
