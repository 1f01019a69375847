//! The workloads of the allocators suite, step by step those of ../../c/loops.c, which explains them. A feature selects the
//! allocator; `bare` leaves out the workloads, to weigh the allocator alone.
#![no_std]

#[cfg(not(feature = "bare"))]
mod loops;

use core::alloc::{GlobalAlloc, Layout};

#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    core::arch::wasm32::unreachable()
}

#[cfg(feature = "rlsf")]
static ALLOCATOR: rlsf::GlobalTlsf = rlsf::GlobalTlsf::new();
// It wants one in any case.
#[cfg(feature = "talc")]
#[global_allocator]
static ALLOCATOR: talc::wasm::WasmDynamicTalc = talc::wasm::new_wasm_dynamic_allocator();
#[cfg(feature = "lol")]
static ALLOCATOR: lol_alloc::AssumeSingleThreaded<lol_alloc::FreeListAllocator> =
    unsafe { lol_alloc::AssumeSingleThreaded::new(lol_alloc::FreeListAllocator::new()) };
#[cfg(feature = "dlmalloc")]
static ALLOCATOR: dlmalloc::GlobalDlmalloc = dlmalloc::GlobalDlmalloc;
#[cfg(feature = "bump")]
static ALLOCATOR: Bump = Bump;

/// A bump allocator that reuses nothing.
#[cfg(feature = "bump")]
struct Bump;

#[cfg(feature = "bump")]
static mut TOP: usize = 0;
#[cfg(feature = "bump")]
static mut END: usize = 0;

#[cfg(feature = "bump")]
unsafe impl GlobalAlloc for Bump {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let at = TOP;
        let next = at + ((layout.size() + 15) & !15);
        if next > END {
            let pages = (next - END + 65535) >> 16;
            let page = core::arch::wasm32::memory_grow::<0>(pages);
            if page == usize::MAX {
                return core::ptr::null_mut();
            }
            END = (page + pages) << 16;
            if at == 0 {
                TOP = page << 16;
                return self.alloc(layout);
            }
        }
        TOP = next;
        at as *mut u8
    }
    unsafe fn dealloc(&self, _: *mut u8, _: Layout) {}
}

/// The layout of a box of numbers.
#[inline(always)]
unsafe fn layout(size: u32) -> Layout {
    Layout::from_size_align_unchecked(size as usize, 8)
}

#[no_mangle]
pub unsafe extern "C" fn allocate(size: u32) -> *mut u8 {
    ALLOCATOR.alloc(layout(size))
}

/// Rust's allocators are told the size again.
#[no_mangle]
pub unsafe extern "C" fn release(block: *mut u8, size: u32) {
    ALLOCATOR.dealloc(block, layout(size))
}
