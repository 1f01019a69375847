"""
The core in wasmtime: pairs inside wasm. Not pairs of calls: those would be times of Python.

Arguments: module, rounds, ms of a sample.
"""
import json
import sys
import time
from importlib.metadata import version

from wasmtime import Engine, Instance, Module, Store

path, rounds, sample_ms = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
engine = Engine()
store = Store(engine)
exports = Instance(store, Module.from_file(engine, path), []).exports(store)
exports["memory"].grow(store, 3)
if not exports["heap_create"](store, 0, 4 * 65536, 2**20, 1):
    sys.exit("no heap")
pool = exports["mempool_create"](store, 32, 16, 4, -1, 0)
inside = exports["pair"]


def pairs_inside(n):
    inside(store, pool, n)


def sample(work, n):
    start = time.perf_counter_ns()
    work(n)
    return time.perf_counter_ns() - start


def measure(subjects):
    # As many operations as a sample's time takes.
    sizes = {}
    for name, work in subjects.items():
        n = 1
        while sample(work, n) < sample_ms * 1e6:
            n *= 2
        sizes[name] = n
    samples = {name: [] for name in subjects}
    for _ in range(rounds):
        for name, work in subjects.items():
            samples[name].append(sample(work, sizes[name]) / sizes[name])
    return samples


tables = {"pair-in-wasm": measure({"ours": pairs_inside, "same": pairs_inside})}
print(json.dumps({"version": f"wasmtime {version('wasmtime')}, Python {sys.version.split()[0]}", "tables": tables}))
