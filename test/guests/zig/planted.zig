//! Plants the fault that its arguments name, under the debug allocator of Zig's library. What that finds, it logs.
const std = @import("std");

var debug: std.heap.DebugAllocator(.{ .safety = true, .never_unmap = true, .retain_metadata = true }) = .{
    .backing_allocator = std.heap.wasm_allocator,
};

var sink: u8 = 0;

pub fn main(init: std.process.Init.Minimal) !void {
    var args = try init.args.iterateAllocator(std.heap.wasm_allocator);
    _ = args.next();
    const fault = args.next().?;
    const by = try std.fmt.parseInt(usize, args.next() orelse "0", 10);
    const eql = std.mem.eql;
    const gpa = debug.allocator();
    const before = try gpa.alloc(u8, 48);
    const element = try gpa.alloc(u8, 48);
    const behind = try gpa.alloc(u8, 48);
    const at: [*]volatile u8 = @ptrCast(element.ptr);
    defer _ = debug.deinit();
    if (eql(u8, fault, "leak")) return;
    const is_freed = eql(u8, fault, "write") or eql(u8, fault, "read") or eql(u8, fault, "double");
    if (is_freed) gpa.free(element);
    if (eql(u8, fault, "forwards")) {
        for (0..by) |i| at[48 + i] = 9;
    } else if (eql(u8, fault, "backwards")) {
        for (1..by + 1) |i| (at - i)[0] = 9;
    } else if (eql(u8, fault, "write")) {
        at[8] = 9;
    } else if (eql(u8, fault, "read")) {
        sink = at[8];
    } else if (eql(u8, fault, "double")) {
        gpa.free(element);
    }
    if (!is_freed) gpa.free(element);
    gpa.free(before);
    gpa.free(behind);
    // What is allocated next may be an element that was freed.
    for (0..100) |_| gpa.free(try gpa.alloc(u8, 48));
}
