"""Peak memory of forward and backward, beside PyTorch eager's.

    python benchmarks/memory.py                # prints a table; needs torch installed
    python benchmarks/memory.py --who cnn      # which lines of ours held the peak

Each run is a process of its own, one thread. Inputs, parameters, the import and a tiny run
of the same model come first; reported is how far the resident memory then rises above what
it is. Medians of some runs with their range. Goal: not above PyTorch.

Twice: with the C library as it comes, whose heap also keeps holes between aligned blocks,
and with each large array mapped by itself, so that what is resident is what is alive.
"""

from __future__ import annotations

import argparse
import importlib
import os
import statistics
import subprocess
import sys
import tracemalloc
from itertools import pairwise

import numpy as np
from harness import machine

F = {"adjoint": "adjoint", "torch": "torch.nn.functional"}


def mlp(lib, f, batch):
    sizes = (784, 512, 512, 10)
    x, target = numbers(lib, batch, 784), numbers(lib, batch, 10)
    ws = [numbers(lib, n, m, grad=True) for m, n in pairwise(sizes)]
    bs = [numbers(lib, n, grad=True) for n in sizes[1:]]

    def run():
        h = x
        for i, (w, b) in enumerate(zip(ws, bs, strict=True)):
            h = h @ w.T + b
            h = lib.relu(h) if i < 2 else h
        return ((h - target) ** 2).mean()

    return run, (*ws, *bs)


def cnn(lib, f, batch):
    x = numbers(lib, batch, 1, 28, 28)
    w1, w2 = numbers(lib, 16, 1, 5, 5, grad=True), numbers(lib, 32, 16, 5, 5, grad=True)
    b1, b2 = numbers(lib, 16, grad=True), numbers(lib, 32, grad=True)
    w3 = numbers(lib, 32 * 7 * 7, 10, grad=True)

    def run():
        h = f.max_pool2d(lib.relu(f.conv2d(x, w1, b1, padding=2)), 2)
        h = f.max_pool2d(lib.relu(f.conv2d(h, w2, b2, padding=2)), 2)
        return ((h.flatten(1) @ w3) ** 2).mean()

    return run, (w1, b1, w2, b2, w3)


def chain(lib, f, count):
    x = numbers(lib, count, grad=True)

    def run():
        h = x
        for _ in range(25):
            h = ((h * 1.01 + 0.5).tanh()) - 0.1
        return h.sum()

    return run, (x,)


def reused(lib, f, count):
    """A chain whose operations read their inputs, and inputs that are read twice."""
    x = numbers(lib, count, grad=True)

    def run():
        h = x
        for _ in range(20):
            h = h * h.sin() + x * 0.5
        return h.sum()

    return run, (x,)


# name: model, size of the warm-up, size measured
WORKLOADS = {
    "mlp": (mlp, 2, 1024),
    "cnn": (cnn, 2, 128),
    "chain": (chain, 8, 1_000_000),
    "reused": (reused, 8, 1_000_000),
}
TITLES = {
    "mlp": "MLP 784-512-512-10, batch 1024",
    "cnn": "CNN of two convolutions, batch 128",
    "chain": "chain of 100 operations on 1e6",
    "reused": "chain that saves inputs, 100 on 1e6",
}


def numbers(lib, *shape, grad=False):
    values = np.random.default_rng(0).normal(size=shape).astype(np.float32) * 0.05
    return lib.from_numpy(values).requires_grad_(grad)


def step(run, leaves) -> None:
    for x in leaves:
        x.grad = None
    run().backward()


def peak(library: str, workload: str) -> int:
    """Bytes by which the resident memory rose above what it was before."""
    lib, f = importlib.import_module(library), importlib.import_module(F[library])
    if library == "torch":
        lib.set_num_threads(1)
    model, small, size = WORKLOADS[workload]
    for _ in range(3):
        step(*model(lib, f, small))
    run, leaves = model(lib, f, size)
    before = machine.resident(forget=True)
    for _ in range(3):
        step(run, leaves)
    return machine.peak() - before


def holders(workload: str, top: int = 12) -> None:
    """Print the lines of ours whose arrays lived at the end of the forward pass."""
    lib = importlib.import_module("adjoint")
    model, _, size = WORKLOADS[workload]
    run, leaves = model(lib, lib, size)
    step(run, leaves)
    for x in leaves:
        x.grad = None
    tracemalloc.start(12)
    loss = run()
    forward = tracemalloc.take_snapshot()
    held = tracemalloc.get_traced_memory()[0]
    tracemalloc.reset_peak()
    loss.backward()
    high = tracemalloc.get_traced_memory()[1]
    print(f"held after forward {held / 2**20:.1f} MiB, peak {high / 2**20:.1f} MiB")
    for entry in forward.statistics("traceback")[:top]:
        print(f"\n{entry.size / 2**20:.1f} MiB in {entry.count} blocks")
        print("\n".join(entry.traceback.format()[-8:]))


ALLOCATORS = {"as it comes": {}, "alive": {"MALLOC_MMAP_THRESHOLD_": "65536"}}


def measured(library: str, workload: str, settings: dict) -> float:
    """The peak in MiB, of a new process."""
    command = [sys.executable, __file__, "--one", library, workload]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, **settings},
    )
    return int(done.stdout) / 2**20


def report(runs: int, settings: dict) -> None:
    """A row for each workload, the two libraries in turns."""
    for name in WORKLOADS:
        pairs = [
            [measured(lib, name, settings) for lib in ("adjoint", "torch")]
            for _ in range(runs)
        ]
        ours, theirs = zip(*pairs, strict=True)
        a, b = statistics.median(ours), statistics.median(theirs)
        spread = f"{min(ours):.0f}-{max(ours):.0f}, {min(theirs):.0f}-{max(theirs):.0f}"
        print(f"{TITLES[name]:<38}{a:>9.1f}{b:>9.1f}{a / b:>7.2f}   {spread}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--who", choices=WORKLOADS)
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(peak(*options.one))
        return
    if options.who:
        holders(options.who)
        return
    for name, settings in ALLOCATORS.items():
        print(
            f"{'peak, MiB, ' + name:<38}{'adjoint':>9}{'torch':>9}{'ratio':>7}   ranges"
        )
        report(options.runs, settings)


if __name__ == "__main__":
    main()
