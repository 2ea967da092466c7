"""The competitors: which modules each needs, and how it is told its number of threads."""

from __future__ import annotations

import importlib
import os
from dataclasses import dataclass

OURS, PEER, REFERENCE, LIMIT = "ours", "peer", "reference", "limit"


@dataclass(frozen=True)
class Competitor:
    """A library in one of its forms; builders are handed the first of `modules`."""

    kind: str
    modules: tuple[str, ...]


TORCH = ("torch", "torch.func", "torch.nn.functional")
JAX = ("jax", "jax.numpy", "jax.nn", "jax.lax")
COMPETITORS = {
    "adjoint": Competitor(OURS, ("adjoint",)),
    "adjoint eager": Competitor(OURS, ("adjoint",)),
    "torch": Competitor(PEER, TORCH),
    "torch.compile": Competitor(PEER, TORCH),
    "jax": Competitor(PEER, JAX),
    "jax scan": Competitor(PEER, JAX),
    "tinygrad": Competitor(PEER, ("tinygrad", "tinygrad.nn.optim")),
    "mlx": Competitor(PEER, ("mlx.core", "mlx.nn", "mlx.optimizers")),
    "autograd": Competitor(PEER, ("autograd", "autograd.numpy", "autograd.scipy")),
    "NumPy": Competitor(REFERENCE, ("numpy",)),
    "C": Competitor(REFERENCE, ("numpy",)),
    "machine": Competitor(LIMIT, ("numpy",)),
}
# What a competitor calls itself where a name says more than the key above.
MEANS = {
    "adjoint": "`adjoint.compile` of the step",
    "torch": "eager, fused optimizers",
    "torch.compile": "inductor, the whole functional step",
    "jax": "jax.jit, state donated",
    "jax scan": "lax.scan inside jax.jit, time of one step",
    "tinygrad": "TinyJit, kernels by clang",
    "mlx": "mx.compile, CPU",
    "autograd": "HIPS autograd over NumPy",
    "NumPy": "NumPy's own cost, no derivatives where the title says so",
    "C": "hand-written C, cc -O3 -march=native, one thread",
    "machine": "the machine's limit measured in turns with the rest",
}
THREADS = ["OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "CPU_COUNT"]


def environment(threads: int) -> dict[str, str]:
    """Variables that libraries read when they are imported."""
    return {
        **{name: str(threads) for name in THREADS},
        "JAX_PLATFORMS": "cpu",
        "DEV": "CPU",
        "TRAINING": "1",
        "PYTHONWARNINGS": "ignore",
    }


def pin(threads: int) -> None:
    """Keep this process on as many cores as it may use threads: JAX listens to that."""
    cores = sorted(os.sched_getaffinity(0))
    if threads < len(cores):
        os.sched_setaffinity(0, cores[-threads:])


def library(name: str, threads: int):
    """Import what the competitor needs and hand back its main module."""
    modules = [importlib.import_module(m) for m in COMPETITORS[name].modules]
    limit = getattr(modules[0], "set_num_threads", None)
    if limit is not None:
        limit(threads)
    return modules[0]


def absent(name: str) -> str | None:
    """Why a competitor cannot take part here; None where it can."""
    try:
        for module in COMPETITORS[name].modules[:1]:
            importlib.import_module(module)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return None
