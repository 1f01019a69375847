//! Zig's allocator for WebAssembly, as the functions that ../c/loops.c calls.
const std = @import("std");

/// C's programs expect blocks that any scalar fits.
const alignment: std.mem.Alignment = .@"16";

export fn zig_malloc(bytes: usize) ?[*]u8 {
    return std.heap.wasm_allocator.rawAlloc(bytes, alignment, 0);
}

export fn zig_free(block: [*]u8, bytes: usize) void {
    std.heap.wasm_allocator.rawFree(block[0..bytes], alignment, 0);
}
