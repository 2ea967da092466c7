"""Settings: what is asked of a compiled function, and the errors for what makes no sense."""

from __future__ import annotations

from typing import NamedTuple

from ..errors import ArgumentError, ArgumentTypeError
from . import log
from .amounts import read_bytes

# PyTorch's names for ways to run a program are names of ours.
BACKENDS = {
    "native": "native",
    "numpy": "numpy",
    "inductor": "native",
    "eager": "numpy",
}
CHECKS = "nan", "inf"  # what results are looked through for, one by one
MODES = None, "default", "reduce-overhead", "max-autotune", "max-autotune-no-cudagraphs"


class Settings(NamedTuple):
    """What is asked of a compiled function."""

    backend: str = "native"
    cache_size: int = 32
    background: bool = False
    batch: bool | int = False
    memory: int | None = None  # bytes


def settings_of(
    backend, cache_size, background, check, batch, memory, mode
) -> Settings:
    """The settings that are asked for, looked at."""
    _need_check(check)
    _need_batch(batch)
    _need_one(backend, "backend", list(BACKENDS))
    _need_one(mode, "mode", MODES)
    _need_count(cache_size)
    if type(background) is not bool:
        raise ArgumentTypeError(
            f"compile: background must be True or False, got {background!r}"
        )
    most, way = read_bytes(memory, "memory"), check or BACKENDS[backend]
    if most is not None and way != "native":
        log.warning(
            "memory=%r has no effect with %s: it runs operation by operation",
            memory,
            f"check={check!r}" if check else f"backend={backend!r}",
        )
    return Settings(way, cache_size, background, batch, most)


def _need_check(name) -> None:
    """The error for a check that there is none of."""
    if name is not None and name not in CHECKS:
        raise ArgumentError(f"compile: check must be 'nan' or 'inf', got {name!r}")


def _need_batch(batch) -> None:
    """True, False, or the number of examples from the start."""
    if type(batch) not in (bool, int):
        kind = type(batch).__name__
        raise ArgumentTypeError(
            f"compile: batch must be True, False or a number, got {kind}"
        )
    if batch is not True and batch is not False and batch < 2:
        raise ArgumentError(f"compile: batch must be 2 or more examples, got {batch}")


def _need_one(x, name, known) -> None:
    if not (x is None or isinstance(x, str)):
        kind = type(x).__name__
        raise ArgumentTypeError(f"compile: {name} must be a string, got {kind}")
    if x not in known:
        names = ", ".join(repr(k) for k in known if k)
        raise ArgumentError(f"compile: {name} must be one of {names}, got {x!r}")


def _need_count(n) -> None:
    if type(n) is not int:
        kind = type(n).__name__
        raise ArgumentTypeError(f"compile: cache_size must be an int, got {kind}")
    if n < 0:
        raise ArgumentError(f"compile: cache_size must be 0 or more, got {n}")
