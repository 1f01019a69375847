//! Checks of the Zig wrapper, each an export; it answers 0, or with the number of the first thing that is wrong.
const std = @import("std");
const mempool = @import("wasm_mempool");
const gpa = mempool.allocator;

fn random(seed: *u32) u32 {
    seed.* ^= seed.* << 13;
    seed.* ^= seed.* >> 17;
    seed.* ^= seed.* << 5;
    return seed.*;
}

fn answer(outcome: anyerror!u32) u32 {
    return outcome catch |err| 1000 + @intFromError(err);
}

export fn lists() u32 {
    return answer(listsChecked());
}
fn listsChecked() !u32 {
    var list: std.ArrayList(u32) = .empty;
    var others: std.ArrayList([]u8) = .empty;
    for (0..5_000_000) |i| {
        try list.append(gpa, @intCast(i));
        if (i % 1000 == 0) try others.append(gpa, try std.fmt.allocPrint(gpa, "{d}", .{i}));
    }
    for (list.items, 0..) |each, i| if (each != i) return 1;
    for (others.items, 0..) |each, i| if (try std.fmt.parseInt(u32, each, 10) != 1000 * i) return 2;
    // Above 2^24 bytes.
    if (list.capacity < 5_000_000) return 3;
    list.shrinkAndFree(gpa, 10);
    if (list.capacity != 10 or list.items[9] != 9) return 4;
    for (others.items) |each| gpa.free(each);
    others.deinit(gpa);
    list.deinit(gpa);
    return 0;
}

export fn maps() u32 {
    return answer(mapsChecked());
}
fn mapsChecked() !u32 {
    var map = std.AutoHashMap(u32, []u8).init(gpa);
    defer map.deinit();
    var counts: [5000]u8 = @splat(0);
    var seed: u32 = 5;
    for (0..60_000) |i| {
        const key = random(&seed) % 5000;
        if (i % 2 == 0) {
            const text = try gpa.alloc(u8, key % 700 + 1);
            @memset(text, @truncate(key));
            if (try map.fetchPut(key, text)) |old| gpa.free(old.value);
            counts[key] = 1;
        } else {
            if (map.fetchRemove(key)) |old| gpa.free(old.value);
            counts[key] = 0;
        }
    }
    for (counts, 0..) |count, i| {
        const key: u32 = @intCast(i);
        const text = map.get(key) orelse if (count == 0) continue else return 1;
        if (count == 0 or text.len != key % 700 + 1) return 2;
        for (text) |byte| if (byte != @as(u8, @truncate(key))) return 3;
        gpa.free(text);
    }
    return 0;
}

export fn alignments() u32 {
    return answer(alignmentsChecked());
}
fn alignmentsChecked() !u32 {
    inline for (.{ 1, 2, 4, 8, 16, 32, 64, 512, 1024, 4096, 65536 }) |alignment| {
        for ([_]usize{ 1, 7, 8, 9, 16, 100, 1000, 8192, 8193, 40_000 }) |bytes| {
            var blocks: [6][]align(alignment) u8 = undefined;
            for (&blocks, 0..) |*block, i| {
                block.* = try gpa.alignedAlloc(u8, .fromByteUnits(alignment), bytes);
                @memset(block.*, @intCast(i));
            }
            for (&blocks, 0..) |*block, i| {
                block.* = try gpa.realloc(block.*, bytes * 3);
                for (block.*[0..bytes]) |byte| if (byte != i) return 1;
                if (@intFromPtr(block.ptr) % alignment != 0) return 2;
                block.* = try gpa.realloc(block.*, bytes);
                if (@intFromPtr(block.ptr) % alignment != 0) return 3;
                for (block.*) |byte| if (byte != i) return 4;
            }
            for (blocks) |block| gpa.free(block);
        }
    }
    return 0;
}

export fn resizes() u32 {
    return answer(resizesChecked());
}
fn resizesChecked() !u32 {
    var block = try gpa.alloc(u8, 100_000);
    if (!gpa.resize(block, 20_000)) return 1;
    block.len = 20_000;
    if (!gpa.resize(block, 20_100)) return 2;
    block.len = 20_100;
    if (gpa.resize(block, 10)) return 3;
    if (gpa.resize(block, 1 << 31)) return 4;
    @memset(block, 7);
    for (0..40) |_| {
        const beside = try gpa.alloc(u8, 5000);
        block = gpa.remap(block, block.len + 9000) orelse return 5;
        for (block[0..20_100]) |byte| if (byte != 7) return 6;
        gpa.free(beside);
    }
    block = gpa.remap(block, 50) orelse return 7;
    for (block) |byte| if (byte != 7) return 8;
    // 50 bytes are in a block of 64.
    if (!gpa.resize(block, 64) or gpa.resize(block, 65)) return 9;
    block.len = 64;
    gpa.free(block);
    return 0;
}

const Block = struct { next: ?*Block, bytes: []u8 };
fn takeAll(list: ?*Block, bytes: usize) struct { ?*Block, u32 } {
    var head = list;
    var count: u32 = 0;
    while (true) : (count += 1) {
        const block = gpa.alloc(u8, bytes) catch return .{ head, count };
        const at: *Block = @ptrCast(@alignCast(block.ptr));
        at.* = .{ .next = head, .bytes = block };
        head = at;
    }
}
fn freeAll(list: ?*Block) void {
    var next = list;
    while (next) |at| {
        next = at.next;
        gpa.free(at.bytes);
    }
}

export fn full() u32 {
    return answer(fullChecked());
}
fn fullChecked() !u32 {
    if (gpa.alloc(u8, 1 << 31)) |_| return 1 else |_| {}
    var before: u32 = 0;
    for (0..3) |round| {
        const list, const count = takeAll(null, 1 << 20);
        const all, _ = takeAll(list, 1000);
        if (gpa.create(Block)) |block| gpa.destroy(block) else |_| {}
        if (mempool.left() > 300) return 2;
        freeAll(all);
        _ = mempool.trim();
        // All memory can be had again.
        if (round > 0 and count < before or count < 20) return 3;
        before = count;
    }
    return 0;
}

export fn reserves() u32 {
    return answer(reservesChecked());
}
fn reservesChecked() !u32 {
    try mempool.reserve(600, 40);
    try mempool.reserve(50_000, 2);
    var all: ?*Block = null;
    for ([_]usize{ 1 << 20, 1 << 16, 4096, 1000, 100 }) |bytes| all = takeAll(all, bytes)[0];
    const large, const large_count = takeAll(null, 50_000);
    const some, const small_count = takeAll(null, 600);
    if (large_count != 2 or small_count < 40) return 1;
    freeAll(some);
    const again, const count = takeAll(null, 600);
    if (count != small_count) return 2;
    for ([_]?*Block{ large, again, all }) |list| freeAll(list);
    try mempool.reserve(600, 0);
    try mempool.reserve(50_000, 0);
    if (mempool.reserve(0, 1) != error.BadArgument) return 3;
    if (mempool.reserve(1 << 25, 1) != error.BadArgument) return 4;
    return 0;
}

export fn pools() u32 {
    return answer(poolsChecked());
}
fn poolsChecked() !u32 {
    const Wide = struct { number: u64, rest: [3]u32 align(64) };
    const pool: mempool.Pool(Wide) = try .init(.{ .reserve = 4, .limit = 300 });
    var elements: [301]*Wide = undefined;
    for (elements[0..100], 0..) |*element, i| {
        element.* = try pool.create();
        element.*.* = .{ .number = i, .rest = @splat(5) };
        if (@intFromPtr(element.*) % 64 != 0) return 1;
    }
    if (pool.createBulk(elements[100..])) |_| return 2 else |_| {}
    if (pool.outstanding() != 100) return 3;
    try pool.resizeReserve(0);
    try pool.createBulk(elements[100..300]);
    for (elements[100..300], 100..) |element, i| element.number = i;
    if (pool.create()) |_| return 4 else |_| {}
    for (elements[0..300], 0..) |element, i| if (element.number != i) return 5;
    for (elements[1..300]) |element| pool.destroy(element);
    try pool.resizeReserve(9);
    if (pool.outstanding() != 1 or pool.reserved() != 9) return 6;
    pool.deinit();
    pool.destroy(elements[0]);
    const empty: mempool.Pool(void) = try .init(.{});
    empty.destroy(try empty.create());
    empty.deinit();
    if (mempool.Pool([(1 << 24) + 1]u8).init(.{}) != error.BadArgument) return 7;
    if (mempool.Pool(u8).init(.{ .reserve = 2, .limit = 1 }) != error.BadArgument) return 8;
    return 0;
}

/// With all memory taken, a pool still gives its reserve.
export fn poolsFull() u32 {
    return answer(poolsFullChecked());
}
fn poolsFullChecked() !u32 {
    const pool: mempool.Pool([400]u8) = try .init(.{ .reserve = 5 });
    defer pool.deinit();
    var all: ?*Block = null;
    for ([_]usize{ 1 << 20, 1 << 16, 4096, 100 }) |bytes| all = takeAll(all, bytes)[0];
    var held: [100]*[400]u8 = undefined;
    var count: u32 = 0;
    while (count < 100) : (count += 1) held[count] = pool.create() catch break;
    if (count < 5 or count == 100 or pool.reserved() != 0) return 1;
    if (mempool.Pool([900]u8).init(.{ .reserve = 1000 }) != error.OutOfMemory) return 2;
    for (held[0..count]) |element| pool.destroy(element);
    if (pool.reserved() != 5) return 3;
    freeAll(all);
    return 0;
}

export fn badFree(kind: u32) void {
    const pool: mempool.Pool([400]u8) = mempool.Pool([400]u8).init(.{}) catch unreachable;
    const element = pool.create() catch unreachable;
    const block = gpa.alloc(u8, 100) catch unreachable;
    switch (kind) {
        0 => gpa.free(block),
        1 => gpa.free(block[16..]),
        2 => pool.destroy(element),
        3 => pool.destroy(@ptrCast(block.ptr)),
        else => {},
    }
    if (kind == 2) pool.destroy(element) else gpa.free(block);
}
