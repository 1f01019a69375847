//! A guest: blocks of Zig's own allocator, in a list through them, each filled with what its number makes.
const std = @import("std");

const Block = extern struct { next: ?*Block, bytes: u32, number: u32 };

var list: ?*Block = null;
var made: u32 = 0;

fn block(bytes: u32) []align(16) u8 {
    return std.heap.wasm_allocator.alignedAlloc(u8, .@"16", bytes) catch unreachable;
}

export fn take(bytes: u32) [*]u8 {
    return block(bytes).ptr;
}

export fn fill(count: u32, bytes: u32) void {
    for (0..count) |_| {
        const at = block(bytes);
        @memset(at, @truncate(made));
        const head: *Block = @ptrCast(at.ptr);
        head.* = .{ .next = list, .bytes = bytes, .number = made };
        made += 1;
        list = head;
    }
}

/// How many blocks are not as they were left.
export fn check() u32 {
    var bad: u32 = 0;
    var number = made;
    var next = list;
    while (next) |at| : (next = at.next) {
        number -%= 1;
        if (at.number != number) return bad + 1;
        const bytes = @as([*]u8, @ptrCast(at))[@sizeOf(Block)..at.bytes];
        for (bytes) |byte| if (byte != @as(u8, @truncate(number))) {
            bad += 1;
            break;
        };
    }
    return bad + number;
}
