//! An allocator for WebAssembly with memory pools that keep a reserve: `allocator` serves everything, `Pool(T)` has elements
//! of one type. They share one heap, which begins behind the program's data and grows with the memory.
//!
//! Link libwasm_mempool_malloc.a, or libwasm_mempool_malloc_shared.a into a program with threads.
const std = @import("std");
const Alignment = std.mem.Alignment;

/// Blocks of any size and alignment. Up to 8,192 bytes a block is at most a quarter longer than what was asked for, without
/// a header; longer ones are whole pages of 4 KiB. A free of what is no block traps; a program that exports
/// `wasm_mempool_bad_free(address: usize, code: i32) void` gets it told instead.
pub const allocator: std.mem.Allocator = .{ .ptr = undefined, .vtable = &.{
    .alloc = alloc,
    .resize = resize,
    .remap = remap,
    .free = free,
} };

pub const Error = error{
    /// Memory, or the pool's limit, is used up.
    OutOfMemory,
    /// The reserve has its new target, but memory is short: frees fill the reserve before anything else.
    Short,
    /// An argument is out of range: see the call.
    BadArgument,
    /// Another thread is in the way for now: try again.
    Busy,
};

/// Sets `count` blocks of `bytes` (1 to 2^24) aside, for allocations of as many bytes, or of fewer that the same class or the
/// same pages serve: they are given when all other memory is gone, and frees of such blocks set new ones aside first. 0 gives
/// the blocks back.
pub fn reserve(bytes: usize, count: u32) Error!void {
    return check(c.malloc_reserve(bytes, count));
}

/// Returns unused memory of pools and size classes to the free pages; the bytes that became free.
pub fn trim() usize {
    return c.heap_trim();
}

/// The pages of 4 KiB that are free or that the memory may still grow by, as far as is known: a limit of the host's shows when
/// the memory meets it.
pub fn left() usize {
    _ = c.malloc_heap();
    return c.heap_left();
}

/// A pool of values of one type, with a reserve: elements that are set aside, and given when memory is gone. It belongs to the
/// thread that made it.
pub fn Pool(comptime T: type) type {
    return struct {
        handle: u32,

        const Self = @This();
        pub const Options = struct {
            /// Elements in the reserve, up to 2^28.
            reserve: u32 = 0,
            /// The most elements in the reserve, cached and outstanding together.
            limit: u32 = std.math.maxInt(u32),
        };

        /// BadArgument also if a T has more than 2^24 bytes, or an alignment above 4,096.
        pub fn init(options: Options) Error!Self {
            const handle = c.mempool_create(@max(1, @sizeOf(T)), @alignOf(T), options.reserve, options.limit, 0);
            if (handle == 0) return refusal(c.heap_error());
            return .{ .handle = handle };
        }

        /// The pool allocates nothing more; its elements stay valid, and may be destroyed, by a copy of the pool.
        pub fn deinit(pool: Self) void {
            _ = c.mempool_exit(pool.handle);
        }

        /// An element, undefined. O(1).
        pub fn create(pool: Self) error{OutOfMemory}!*T {
            return @ptrCast(@alignCast(c.mempool_alloc(pool.handle) orelse return error.OutOfMemory));
        }

        /// Fills `elements`; or gets none.
        pub fn createBulk(pool: Self, elements: []*T) error{OutOfMemory}!void {
            if (c.mempool_alloc_bulk(pool.handle, @ptrCast(elements.ptr), elements.len) == 0) return error.OutOfMemory;
        }

        /// Frees an element: O(1). A pointer that is none panics, and has changed nothing.
        pub fn destroy(pool: Self, element: *T) void {
            switch (c.mempool_free(pool.handle, element)) {
                -1 => @panic("free of another pool's element"),
                -2 => @panic("double free"),
                std.math.minInt(i32)...-3 => @panic("free of no element"),
                else => {},
            }
        }

        /// Sets the reserve's target. O(change).
        pub fn resizeReserve(pool: Self, count: u32) Error!void {
            return check(c.mempool_resize(pool.handle, count));
        }

        /// Elements in the reserve.
        pub fn reserved(pool: Self) u32 {
            return c.mempool_curr_nr(pool.handle);
        }

        /// Elements outstanding.
        pub fn outstanding(pool: Self) u32 {
            return c.mempool_outstanding(pool.handle);
        }
    };
}

/// Up to this, every block of as many bytes is aligned.
const default_align = 8;
/// A longer block is whole pages, and aligned to them.
const small = 8192;
const page = 4096;

fn alloc(_: *anyopaque, len: usize, alignment: Alignment, _: usize) ?[*]u8 {
    const bytes = alignment.toByteUnits();
    return if (bytes <= default_align) c.malloc(len) else c.aligned_alloc(bytes, len);
}

fn resize(_: *anyopaque, memory: []u8, _: Alignment, new_len: usize, _: usize) bool {
    const has = c.malloc_usable_size(memory.ptr);
    if (new_len > has) return false;
    if (new_len > has / 2 or new_len == memory.len) return true;
    // Whole pages that become fewer stay where they are.
    return new_len > small and c.realloc(memory.ptr, new_len) == memory.ptr;
}

fn remap(ctx: *anyopaque, memory: []u8, alignment: Alignment, new_len: usize, ret_addr: usize) ?[*]u8 {
    const bytes = alignment.toByteUnits();
    if (bytes <= default_align or (bytes <= page and new_len > small)) return c.realloc(memory.ptr, new_len);
    return if (resize(ctx, memory, alignment, new_len, ret_addr)) memory.ptr else null;
}

fn free(_: *anyopaque, memory: []u8, _: Alignment, _: usize) void {
    c.free(memory.ptr);
}

fn check(code: i32) Error!void {
    return switch (code) {
        1 => {},
        0 => error.Short,
        else => refusal(code),
    };
}

fn refusal(code: i32) Error {
    return switch (code) {
        -9 => error.BadArgument,
        -7 => error.Busy,
        else => error.OutOfMemory,
    };
}

/// The part of wasm_mempool.h and wasm_mempool_malloc.h that is called here.
const c = struct {
    extern fn malloc(bytes: usize) ?[*]u8;
    extern fn free(block: [*]u8) void;
    extern fn realloc(block: [*]u8, bytes: usize) ?[*]u8;
    extern fn aligned_alloc(alignment: usize, bytes: usize) ?[*]u8;
    extern fn malloc_usable_size(block: [*]u8) usize;
    extern fn malloc_reserve(bytes: usize, count: u32) i32;
    extern fn malloc_heap() usize;
    extern fn heap_error() i32;
    extern fn heap_trim() u32;
    extern fn heap_left() u32;
    extern fn mempool_create(size: u32, alignment: u32, min_nr: u32, max_nr: u32, backend: u32) u32;
    extern fn mempool_exit(pool: u32) u32;
    extern fn mempool_resize(pool: u32, min_nr: u32) i32;
    extern fn mempool_alloc(pool: u32) ?*anyopaque;
    extern fn mempool_alloc_bulk(pool: u32, array: [*]*anyopaque, count: u32) u32;
    extern fn mempool_free(pool: u32, element: *anyopaque) i32;
    extern fn mempool_curr_nr(pool: u32) u32;
    extern fn mempool_outstanding(pool: u32) u32;
};
