"""What this machine can do, and how much memory a process has held."""

from __future__ import annotations

import ctypes
import os
import platform
import resource
import shutil
import subprocess
from pathlib import Path

from .workload import Run


def limit(np, workload) -> Run:
    """The machine's speed at what bounds a workload: multiplying, or moving bytes."""
    return (
        sgemm(np, 512 if workload.flop < 1e9 else 2048) if workload.flop else copy(np)
    )


def sgemm(np, n: int) -> Run:
    """A square product of float32 by NumPy's BLAS."""
    a, b = np.ones((2, n, n), np.float32)
    out = np.empty_like(a)
    return Run(lambda: np.matmul(a, b, out=out), list, flop=2.0 * n**3)


def copy(np, count: int = 1 << 26) -> Run:
    """A copy of 256 MB: what is read and what is written both count."""
    source, target = np.ones((2, count), np.float32)
    return Run(lambda: np.copyto(target, source), list, bytes=8.0 * count)


def resident(forget: bool = False) -> int:
    """Bytes of this process in memory now; `forget` starts its peak anew."""
    try:
        if forget:
            Path("/proc/self/clear_refs").write_text("5")
        return _status("VmRSS")
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def trim() -> None:
    """Give back what the C library keeps of memory that was freed, such as results' copies."""
    give = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if give is not None:
        give(ctypes.c_size_t(0))


def peak() -> int:
    """The most bytes that this process has held since it was told to forget."""
    try:
        return _status("VmHWM")
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _status(field: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(x.split()[1]) * 1024 for x in lines if x.startswith(field))


def describe() -> str:
    """Processor, cores, memory and compiler, in one line."""
    gigabytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    cores = len(os.sched_getaffinity(0))
    return f"{_processor()}, {cores} cores, {gigabytes:.0f} GiB; {_compiler()}"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        name = next(x for x in lines if x.startswith("model name")).split(":")[1]
        number = next(x for x in lines if x.startswith("model\t")).split(":")[1]
        return f"{name.strip()} (model {number.strip()})"
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def _compiler() -> str:
    if shutil.which("cc") is None:
        return "no C compiler"
    done = subprocess.run(["cc", "--version"], capture_output=True, text=True)
    return done.stdout.splitlines()[0]
