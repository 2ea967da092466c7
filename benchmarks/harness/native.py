"""Hand-written C beside the rest: compiled on the spot, called through ctypes."""

from __future__ import annotations

import ctypes
import subprocess
import tempfile
from pathlib import Path

import numpy as np

from .workload import HERE, Run

FLAGS = [
    "-O3",
    "-march=native",
    "-mprefer-vector-width=512",
    "-ffast-math",
    "-shared",
    "-fPIC",
]


def library(name: str) -> ctypes.CDLL:
    """The library of c/NAME.c; FileNotFoundError where there is no C compiler."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{name}.so"
        source = HERE / "c" / f"{name}.c"
        subprocess.run(["cc", *FLAGS, source, "-o", path, "-lm"], check=True)
        return ctypes.CDLL(str(path))


def aligned(array) -> np.ndarray:
    """A float32 copy that begins at a cache line."""
    array = np.asarray(array, np.float32)
    memory = np.empty(array.nbytes + 64, np.uint8)
    start = -memory.ctypes.data % 64
    placed = memory[start : start + array.nbytes].view(np.float32).reshape(array.shape)
    placed[...] = array
    return placed


def pointer(array):
    return ctypes.c_void_p(array.ctypes.data)


def run(name: str, function: str, arguments: list, results, steps: int = 1) -> Run:
    """The run of `function`(*arguments): arrays, Python ints and floats."""
    called = getattr(library(name), function)
    called.restype = None
    given = [_argument(a) for a in arguments]

    def step(keep=arguments):  # the arrays stay alive with the step
        called(*given)

    return Run(step, lambda: [np.array(a) for a in results], steps=steps)


def _argument(x):
    if isinstance(x, np.ndarray):
        return pointer(x)
    return ctypes.c_long(x) if isinstance(x, int) else ctypes.c_float(x)
