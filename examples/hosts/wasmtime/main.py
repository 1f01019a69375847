"""The core in wasmtime, from Python. What it is given and what it prints: see hosts.mjs."""
import sys
from concurrent.futures import ThreadPoolExecutor
from ctypes import POINTER, c_int32, cast
from wasmtime import Config, Engine, Instance, Limits, Memory, MemoryType, Module, SharedMemory, Store, Trap
from wasmtime import _ffi as ffi

# The binding passes a shared memory on by one pointer too many.
SharedMemory._as_extern = lambda self: ffi.wasmtime_extern_t(
    ffi.WASMTIME_EXTERN_SHAREDMEMORY, ffi.wasmtime_extern_union(sharedmemory=self.ptr())
)

shared, initial, maximum = (int(word) for word in sys.argv[1:4])
config = Config()
config.shared_memory = bool(shared)
engine = Engine(config)
modules = [Module.from_file(engine, file) for file in sys.argv[4:]]
common = Store(engine)
pages = MemoryType(Limits(initial, maximum), shared=bool(shared))
memory = SharedMemory(engine, pages) if shared else Memory(common, pages) if initial else None


class Core:
    """An instance with a thread of its own, and a store of its own if the memory is shared."""
    def __init__(self):
        self.thread = ThreadPoolExecutor(1)
        self.store = Store(engine) if shared else common
        self.exports = {}
        # The second half of a core in two halves imports what the first exports.
        for module in modules:
            imports = [memory if i.module == "env" else self.exports[i.name] for i in module.imports]
            self.exports.update(Instance(self.store, module, imports).exports(self.store))

    def call(self, name, args):
        own = self.exports["memory"]
        words = cast(own.data_ptr() if shared else own.data_ptr(self.store), POINTER(c_int32))
        if name == "memory.load":
            return words[args[0] % 2**32 // 4]
        if name == "memory.store":
            words[args[0] % 2**32 // 4] = args[1]
        elif name != "end":
            function = self.exports[name]
            kinds = function.type(self.store).params
            try:
                return function(self.store, *(float(n) if str(kind) == "f64" else n for n, kind in zip(args, kinds)))
            except Trap:
                return "trap"

    def serve(self, line):
        _, name, *args = line.split()
        answer = self.call(name, [int(arg) for arg in args])
        # One text: other threads print too.
        print(f"{line} = {'none' if answer is None else answer}\n", end="", flush=True)


cores = {}
for line in sys.stdin:
    at = line.split()[0]
    core = cores[at] = cores.get(at) or Core()
    core.thread.submit(core.serve, line.strip()).add_done_callback(lambda done: done.result())
