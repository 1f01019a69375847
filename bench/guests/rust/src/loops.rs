//! The workloads.

use crate::{layout, ALLOCATOR};
use core::alloc::GlobalAlloc;

const SLOTS: usize = 16384;

static mut ADDRESS: [u32; SLOTS] = [0; SLOTS];
static mut SIZE_OF: [u32; SLOTS] = [0; SLOTS];
static mut SEED: u32 = 1;
static mut SUM: u32 = 0;
static mut CURSOR: u32 = 0;
static mut LOWEST: u32 = 0;
static mut HIGHEST: u32 = 0;

#[inline(always)]
unsafe fn address(slot: u32) -> *mut u32 {
    (&raw mut ADDRESS as *mut u32).add(slot as usize)
}

#[inline(always)]
unsafe fn size_of(slot: u32) -> *mut u32 {
    (&raw mut SIZE_OF as *mut u32).add(slot as usize)
}

#[inline(always)]
unsafe fn next() -> u32 {
    let mut x = SEED;
    x ^= x << 13;
    x ^= x >> 17;
    x ^= x << 5;
    SEED = x;
    x
}

#[inline(always)]
unsafe fn below(limit: u32) -> u32 {
    ((next() as u64 * limit as u64) >> 32) as u32
}

#[inline(always)]
unsafe fn skewed(span: u32) -> u32 {
    let shift = (next() | 64).trailing_zeros();
    16 + below(span << shift)
}

#[inline(always)]
unsafe fn put(slot: u32, size: u32) {
    let block = ALLOCATOR.alloc(layout(size)) as *mut u32;
    if block.is_null() {
        core::arch::wasm32::unreachable()
    }
    *block = size.wrapping_add(slot);
    *block.add((size >> 2) as usize - 1) = size ^ slot;
    *address(slot) = block as u32;
    *size_of(slot) = size;
}

#[inline(always)]
unsafe fn drop(slot: u32) {
    let block = *address(slot) as *mut u32;
    let size = *size_of(slot);
    SUM = SUM.wrapping_add(*block ^ *block.add((size >> 2) as usize - 1));
    ALLOCATOR.dealloc(block as *mut u8, layout(size));
}

#[inline(always)]
unsafe fn swap(a: u32, b: u32) {
    core::ptr::swap(address(a), address(b));
    core::ptr::swap(size_of(a), size_of(b));
}

#[no_mangle]
pub unsafe extern "C" fn setup(first: u32) {
    SEED = first;
}

extern "C" {
    static __heap_base: u8;
}

/// Where the allocator's memory begins.
#[no_mangle]
pub unsafe extern "C" fn base() -> u32 {
    &raw const __heap_base as u32
}

#[no_mangle]
pub unsafe extern "C" fn pair(n: u32) -> u32 {
    for i in 0..n {
        let block = ALLOCATOR.alloc(layout(64)) as *mut u32;
        if block.is_null() {
            core::arch::wasm32::unreachable()
        }
        *block = i;
        *block.add(15) = !SEED;
        SUM = SUM.wrapping_add(*block ^ *block.add(15));
        ALLOCATOR.dealloc(block as *mut u8, layout(64));
    }
    SUM
}

#[no_mangle]
pub unsafe extern "C" fn wave(n: u32) -> u32 {
    for _ in 0..n {
        for slot in 0..1000 {
            put(slot, 64);
        }
        for slot in 0..1000 {
            drop(slot);
        }
    }
    SUM
}

#[no_mangle]
pub unsafe extern "C" fn fill(first: u32, count: u32, low: u32, span: u32) {
    for slot in first..first + count {
        put(slot, low + below(span));
    }
}

#[no_mangle]
pub unsafe extern "C" fn fragment(first: u32, count: u32) {
    for slot in first..first + count {
        put(slot, skewed(32));
    }
    for slot in first..first + count {
        if slot & 3 == 0 {
            continue;
        }
        drop(slot);
        *size_of(slot) = 0;
    }
}

#[no_mangle]
pub unsafe extern "C" fn churn(n: u32, count: u32, low: u32, span: u32) -> u32 {
    for _ in 0..n {
        let slot = below(count);
        drop(slot);
        put(slot, low + below(span));
    }
    SUM
}

#[no_mangle]
pub unsafe extern "C" fn larson(n: u32) -> u32 {
    for _ in 0..n {
        let first = CURSOR * 1000;
        CURSOR = if CURSOR == 4 { 0 } else { CURSOR + 1 };
        for _ in 0..1000 {
            let slot = first + below(1000);
            drop(slot);
            put(slot, 16 + below(496));
        }
    }
    SUM
}

#[no_mangle]
pub unsafe extern "C" fn xmalloc(n: u32) -> u32 {
    for _ in 0..n {
        let first = CURSOR * 120;
        CURSOR = (CURSOR + 1) & 63;
        for slot in first..first + 120 {
            drop(slot);
        }
        for slot in first..first + 120 {
            put(slot, 16 + below(512));
        }
    }
    SUM
}

#[no_mangle]
pub unsafe extern "C" fn sh6(n: u32) -> u32 {
    for _ in 0..n {
        for batch in 0..40 {
            let size = skewed(16);
            for slot in batch * 50..batch * 50 + 50 {
                put(slot, size);
            }
        }
        for slot in 0..1000 {
            drop(slot);
        }
        for slot in (1000..2000).rev() {
            drop(slot);
        }
    }
    SUM
}

#[no_mangle]
pub unsafe extern "C" fn sh8(n: u32) -> u32 {
    for _ in 0..n {
        let first = below(2000 - 32);
        if first & 1 != 0 {
            for slot in first..first + 32 {
                drop(slot);
            }
        } else {
            for slot in (first..first + 32).rev() {
                drop(slot);
            }
        }
        for slot in first..first + 32 {
            put(slot, skewed(16));
        }
    }
    SUM
}

#[no_mangle]
pub unsafe extern "C" fn mstress(n: u32) -> u32 {
    for _ in 0..n {
        for slot in 0..100 {
            put(slot, skewed(32));
            let dice = next();
            if dice & 3 == 0 {
                swap(slot, 100 + below(4000));
            } else if dice & 12 == 0 {
                swap(slot, 4100 + below(1000));
            }
        }
        for slot in 0..100 {
            drop(slot);
        }
    }
    SUM
}

#[no_mangle]
pub unsafe extern "C" fn scratch(n: u32) -> u32 {
    for i in 0..n {
        let slot = i & 7;
        drop(slot);
        put(slot, 16);
        let word = (*address(slot) as *mut u32).add(1);
        for j in 0..50 {
            word.write_volatile(word.read_volatile().wrapping_add(j));
        }
    }
    SUM
}

#[no_mangle]
pub unsafe extern "C" fn toggle(n: u32) -> u32 {
    for _ in 0..n {
        let slot = below(below(4096) + 1);
        if *size_of(slot) != 0 {
            drop(slot);
            *size_of(slot) = 0;
        } else {
            put(slot, skewed(32));
        }
    }
    SUM
}

#[no_mangle]
pub unsafe extern "C" fn payload(first: u32, count: u32) -> u32 {
    let mut bytes = 0;
    LOWEST = u32::MAX;
    HIGHEST = 0;
    for slot in first..first + count {
        let (at, size) = (*address(slot), *size_of(slot));
        if size == 0 {
            continue;
        }
        bytes += size;
        LOWEST = LOWEST.min(at);
        HIGHEST = HIGHEST.max(at + size);
    }
    bytes
}

#[no_mangle]
pub unsafe extern "C" fn lowest() -> u32 {
    LOWEST
}

#[no_mangle]
pub unsafe extern "C" fn highest() -> u32 {
    HIGHEST
}
