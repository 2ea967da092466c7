"""Limits: what this machine can do at most, the roof under which a kernel runs."""

from __future__ import annotations

import functools
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from .native.late import pace

SIDE = 64  # of the matrices whose product is timed: so small that NumPy takes one core
SMALLEST, LARGEST = 2**17, 2**26  # bytes: they lie in a core's cache, and in none
TRIES, TIMES = 30, 10  # so often the best of a run of so many


def least(flop: float, bytes: int, kind: str, threads: int) -> float:
    """Seconds that so many operations on such numbers, and so many bytes, take at least."""
    return max(flop / (operations(kind) * threads), bytes / bandwidth(bytes, threads))


@functools.cache
def operations(kind: str) -> float:
    """Operations a second by one core, in products of matrices.

    Those of bfloat16, and of float32 in "thirds", are ours where the processor has instructions
    for them: NumPy has none.
    """
    if kind in ("bfloat16", "thirds"):
        return max(pace.pace(kind.removeprefix("bfloat16")), operations("float32"))
    a, out = (np.ones((SIDE, SIDE), kind) for _ in range(2))

    def products():
        for _ in range(TIMES):
            np.dot(a, a, out)

    return 2 * SIDE**3 * TIMES / _seconds(products, TRIES)


def bandwidth(bytes: int, threads: int) -> float:
    """Bytes a second, read and written, where so many lie: in a cache, or outside of all."""
    size = min(1 << max(bytes - 1, SMALLEST // 2).bit_length(), LARGEST)
    if size == LARGEST:
        return copies(size, threads)  # all cores share the memory
    return copies(size, 1) * threads


@functools.cache
def copies(size: int, threads: int) -> float:
    """Bytes a second of copies between two halves of `size` bytes."""
    n = size // 2 // threads
    pairs = [(np.ones(n, np.int8), np.ones(n, np.int8)) for _ in range(threads)]
    rounds = max(2**24 // size, 1)

    def copied(pair):
        for _ in range(rounds):
            np.copyto(*pair)

    with ThreadPoolExecutor(threads) as pool:
        took = _seconds(lambda: list(pool.map(copied, pairs)), TRIES // TIMES)
    return 2 * n * rounds * threads / took


def _seconds(f, tries: int) -> float:
    """Of the best of several runs."""
    return max(min(_once(f) for _ in range(tries)), 1e-9)


def _once(f) -> float:
    start = time.perf_counter()
    f()
    return time.perf_counter() - start
