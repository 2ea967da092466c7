"""The competitors: which modules each needs, and how it is told its number of threads."""

from __future__ import annotations

import compileall
import importlib
import importlib.util
import json
import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

OURS, PEER, REFERENCE, LIMIT = "ours", "peer", "reference", "limit"


@dataclass(frozen=True)
class Competitor:
    """A library in one of its forms; builders are handed the first of `modules`."""

    kind: str
    modules: tuple[str, ...]
    programs: tuple[str, ...] = ()  # compilers that it calls


TORCH = ("torch", "torch.func", "torch.nn.functional")
JAX = ("jax", "jax.numpy", "jax.nn", "jax.lax")
COMPETITORS = {
    "adjoint": Competitor(OURS, ("adjoint",)),
    "adjoint eager": Competitor(OURS, ("adjoint",)),
    "torch": Competitor(PEER, TORCH),
    "torch.compile": Competitor(PEER, TORCH, ("c++",)),
    "jax": Competitor(PEER, JAX),
    "jax scan": Competitor(PEER, JAX),
    "tinygrad": Competitor(PEER, ("tinygrad", "tinygrad.nn.optim"), ("clang",)),
    "mlx": Competitor(PEER, ("mlx.core", "mlx.nn", "mlx.optimizers"), ("c++",)),
    "autograd": Competitor(PEER, ("autograd", "autograd.numpy", "autograd.scipy")),
    "NumPy": Competitor(REFERENCE, ("numpy",)),
    "C": Competitor(REFERENCE, ("numpy",), ("cc",)),
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
    who = COMPETITORS[name]
    for program in who.programs:
        if shutil.which(program) is None:
            return f"needs the compiler {program}"
    try:
        importlib.import_module(who.modules[0])
    except Exception as error:
        return _not_installed(who.modules[0]) or f"{type(error).__name__}: {error}"
    return None


def _not_installed(module: str) -> str | None:
    """What pip said when the environment was made."""
    said = Path(sys.prefix) / "absent.json"
    if not said.exists():
        return None
    return json.loads(said.read_text()).get(module.split(".")[0])


def bytecode() -> None:
    """Compile adjoint's sources, as pip has compiled those of the others."""
    found = importlib.util.find_spec("adjoint")
    for folder in (found and found.submodule_search_locations) or ():
        compileall.compile_dir(folder, quiet=2)
