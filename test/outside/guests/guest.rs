// A guest: blocks of std's allocator, in a list through them, each filled with what its number makes.
use std::alloc::{alloc, Layout};

static mut LIST: *mut u32 = std::ptr::null_mut();
static mut MADE: u32 = 0;

unsafe fn block(bytes: u32) -> *mut u32 {
    let at = alloc(Layout::from_size_align_unchecked(bytes as usize, 16)) as *mut u32;
    assert!(!at.is_null());
    at
}

#[no_mangle]
pub unsafe extern "C" fn take(bytes: u32) -> *mut u32 {
    block(bytes)
}

#[no_mangle]
pub unsafe extern "C" fn fill(count: u32, bytes: u32) {
    for _ in 0..count {
        let at = block(bytes);
        std::ptr::write_bytes(at as *mut u8, MADE as u8, bytes as usize);
        *at = LIST as u32;
        *at.add(1) = bytes;
        *at.add(2) = MADE;
        MADE += 1;
        LIST = at;
    }
}

/// How many blocks are not as they were left.
#[no_mangle]
pub unsafe extern "C" fn check() -> u32 {
    let mut bad = 0;
    let mut number = MADE;
    let mut at = LIST;
    while !at.is_null() {
        number -= 1;
        if *at.add(2) != number {
            return bad + 1;
        }
        let bytes = std::slice::from_raw_parts(at as *const u8, *at.add(1) as usize);
        if bytes[12..].iter().any(|&byte| byte != number as u8) {
            bad += 1;
        }
        at = *at as *mut u32;
    }
    bad + number
}
