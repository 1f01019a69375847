//! Plants the fault that its arguments name (test/debug/faults.ts has the list), under the debug allocator of Zig's library, which
//! logs what it finds. A comment at a line's end names the step, by which the test knows the line again.
const std = @import("std");

var debug: std.heap.DebugAllocator(.{ .safety = true, .never_unmap = true, .retain_metadata = true }) = .{
    .backing_allocator = std.heap.wasm_allocator,
};

const SIZE = 48;

var sink: u8 = 0;

fn write(at: [*]volatile u8, by: usize) void {
    for (0..by) |i| at[i] = 9; // write
}

pub fn main(init: std.process.Init.Minimal) !void {
    var args = try init.args.iterateAllocator(std.heap.wasm_allocator);
    _ = args.next();
    const fault = args.next().?;
    const by = try std.fmt.parseInt(usize, args.next() orelse "0", 10);
    const eql = std.mem.eql;
    const gpa = debug.allocator();
    defer _ = debug.deinit();
    const before = try gpa.alloc(u8, SIZE);
    const element = try gpa.alloc(u8, SIZE); // alloc
    const behind = try gpa.alloc(u8, SIZE);
    const at: [*]volatile u8 = @ptrCast(element.ptr);
    if (eql(u8, fault, "leak")) return;
    const is_freed = eql(u8, fault, "write") or eql(u8, fault, "read") or eql(u8, fault, "free");
    if (is_freed) gpa.free(element); // free
    if (eql(u8, fault, "behind-free")) gpa.free(behind); // other free
    if (eql(u8, fault, "before-free")) gpa.free(before); // other free
    if (eql(u8, fault, "behind")) {
        write(at + SIZE, by);
    } else if (eql(u8, fault, "before")) {
        write(at - by, by);
    } else if (eql(u8, fault, "behind-live") or eql(u8, fault, "behind-free")) {
        write(behind.ptr, @min(by, SIZE));
    } else if (eql(u8, fault, "before-live") or eql(u8, fault, "before-free")) {
        write(before.ptr + SIZE - @min(by, SIZE), @min(by, SIZE));
    } else if (eql(u8, fault, "write")) {
        write(at + 8, 1);
    } else if (eql(u8, fault, "read")) {
        sink = at[8]; // read
    } else if (eql(u8, fault, "free")) {
        gpa.free(element); // second free
    } else if (eql(u8, fault, "inside")) {
        gpa.free(element[16..]); // free
    } else return error.NoSuchFault;
    if (!is_freed) gpa.free(element);
    if (!eql(u8, fault, "before-free")) gpa.free(before);
    if (!eql(u8, fault, "behind-free")) gpa.free(behind);
    // What is allocated next may be an element that was freed.
    for (0..100) |_| gpa.free(try gpa.alloc(u8, SIZE));
}
