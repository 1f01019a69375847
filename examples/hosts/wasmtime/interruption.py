"""
Cuts off an instance in the middle of a call, by budgets of fuel, and checks the heap after that: a heap of
core.shared.wasm after another instance has reaped the one that was cut off. Arguments: the folder of the modules; how many
budgets there are at most for each call. Prints JSON.
"""
import json
import sys
from ctypes import memmove, string_at
from hashlib import sha256

from wasmtime import Config, Engine, Instance, Limits, Memory, MemoryType, Module, SharedMemory, Store, Trap
from wasmtime import _ffi as ffi

SharedMemory._as_extern = lambda self: ffi.wasmtime_extern_t(
    ffi.WASMTIME_EXTERN_SHAREDMEMORY, ffi.wasmtime_extern_union(sharedmemory=self.ptr())
)

BYTES, PAGES, LABEL, PLENTY, MOST = 4 * 65536, 64, 7, 10**9, int(sys.argv[2])
config = Config()
config.shared_memory = True
config.consume_fuel = True
engine = Engine(config)

# Each case: calls that come before, and the call that is cut off. "pool" is a handle, "x" and "arena" are earlier answers.
CASES = {
    "mempool_alloc, the first": ([], ("mempool_alloc", "pool")),
    "mempool_alloc_bulk": ([], ("mempool_alloc_bulk", "pool", "scratch", 40)),
    "mempool_free": ([("x", "mempool_alloc", "pool")], ("mempool_free", "pool", "x")),
    "mempool_create": ([], ("mempool_create", 48, 16, 20, -1, 0)),
    "mempool_resize, more": ([], ("mempool_resize", "pool", 60)),
    "mempool_resize, fewer": ([("x", "mempool_alloc", "pool")], ("mempool_resize", "pool", 1)),
    "mempool_reshape": ([("x", "mempool_alloc", "pool")], ("mempool_reshape", "pool", 200, 8)),
    "mempool_exit": ([("x", "mempool_alloc", "pool")], ("mempool_exit", "pool")),
    "arena_create": ([], ("arena_create", 5000)),
    "arena_alloc": ([("arena", "arena_create", 1000)], ("arena_alloc", "arena", 9000, 8)),
    "arena_exit": ([("arena", "arena_create", 9000)], ("arena_exit", "arena")),
    "heap_trim": ([("x", "mempool_alloc", "pool"), ("_", "mempool_free", "pool", "x")], ("heap_trim",)),
}
# Before "attach" the instance is no thread yet.
OF_THREADS = {
    "heap_attach": ("attach", ("heap_attach", "heap", LABEL)),
    "heap_detach": ([("x", "mempool_alloc", "pool")], ("heap_detach",)),
    "mempool_detach": ([("x", "mempool_alloc", "pool")], ("mempool_detach", "pool")),
}


class Core:
    def __init__(self, store, modules, memory):
        self.store, self.exports = store, {}
        for module in modules:
            imports = [memory if i.module == "env" else self.exports[i.name] for i in module.imports]
            self.exports.update(Instance(store, module, imports).exports(store))

    def __call__(self, name, *args):
        self.store.set_fuel(PLENTY)
        return self.exports[name](self.store, *args)

    def cut(self, fuel, name, *args):
        """Whether the fuel was too little."""
        self.store.set_fuel(fuel)
        try:
            self.exports[name](self.store, *args)
            return False
        except Trap:
            return True


class Heaps:
    """A memory, with an instance that keeps the heap, an inspector, and others that are cut off."""

    def __init__(self, folder, names, inspector):
        module = lambda name: Module.from_file(engine, f"{folder}/{name}.wasm")
        self.shared = len(names) > 1
        self.store = Store(engine)
        self.store.set_fuel(PLENTY)
        kind = MemoryType(Limits(BYTES // 65536, BYTES // 65536), shared=self.shared)
        self.memory = SharedMemory(engine, kind) if self.shared else Memory(self.store, kind)
        self.data = self.memory.data_ptr() if self.shared else self.memory.data_ptr(self.store)
        self.modules = [module(name) for name in names]
        self.keeper = Core(self.store, self.modules, self.memory)
        self.inspect = Core(self.store, [module(inspector)], self.memory)
        # The inspector writes to the last page of the memory, which is not the heap's.
        self.heap = self.keeper("heap_create", 0, BYTES - 65536, PAGES - 16, 0)
        self.pool = self.keeper("mempool_create", 64, 16, 10, -1, 0)
        self.key = self.keeper("mempool_share", self.pool) if self.shared else 0
        self.held = self.keeper("mempool_alloc", self.pool)
        self.image = string_at(self.data, BYTES)

    def started(self, before):
        """Everything as it was, and the instance to be cut off; with threads a new one."""
        memmove(self.data, self.image, BYTES)
        core = self.keeper
        if self.shared:
            store = Store(engine)
            store.set_fuel(PLENTY)
            core = Core(store, self.modules, self.memory)
            if before == "attach":
                return core, {"heap": self.heap}
            if core("heap_attach", self.heap, LABEL) != 1:
                sys.exit("not attached")
        pool = core("mempool_attach", self.key, 0) if self.shared else self.pool
        names = {"pool": pool, "scratch": core("heap_scratch")}
        for name, *call in before:
            names[name] = core(*(names.get(word, word) for word in call))
        return core, names

    def is_sound(self):
        """After the reaping, if there are threads: the checker has no complaint, and the heap goes on and ends."""
        try:
            if self.shared:
                number = self.keeper("heap_find_thread", LABEL)
                if number != -1:
                    live, at = [], 0
                    while at := self.keeper("mempool_next_live", self.pool, at, number):
                        live.append(at)
                    if self.keeper("heap_reap", number, LABEL) != 1:
                        return False
                    if any(self.keeper("mempool_free", self.pool, at) not in (0, 1) for at in live):
                        return False
            return self.inspect("heap_check", self.heap, BYTES - 65536) == 0
        except Trap:
            return False


def measure(heaps, before, call):
    """At most MOST budgets of fuel, evenly spread from none to what the whole call takes."""
    core, names = heaps.started(before)
    core(*(names.get(word, word) for word in call))
    whole = PLENTY - core.store.get_fuel()
    sound, points, unsound = {}, 0, 0
    for fuel in range(0, whole, -(-whole // MOST)):
        core, names = heaps.started(before)
        if not core.cut(fuel, *(names.get(word, word) for word in call)):
            break
        points += 1
        # Many budgets end at the same place: wasmtime looks at fuel where a function or a loop begins.
        state = sha256(string_at(heaps.data, BYTES)).digest()
        if state not in sound:
            sound[state] = heaps.is_sound()
        unsound += not sound[state]
    return {"fuel": whole, "points": points, "states": len(sound), "unsound": unsound}


folder = sys.argv[1]
plain = Heaps(folder, ["core.imported"], "inspect.imported")
threads = Heaps(folder, ["core.shared", "control.shared"], "inspect.shared")
table = {
    "core.imported.wasm": {name: measure(plain, *case) for name, case in CASES.items()},
    "core.shared.wasm": {name: measure(threads, *case) for name, case in {**CASES, **OF_THREADS}.items()},
}
print(json.dumps(table))
