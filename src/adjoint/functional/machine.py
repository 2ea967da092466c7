"""What programs set up before they compute: device, threads, whether results are repeatable."""

from __future__ import annotations

import operator

from ..core import denormals
from ..core.device import need_cpu
from ..core.threads import granted, threads
from ..errors import ArgumentError, ArgumentTypeError
from .face import function

_between = {"operations": 0}  # what PyTorch calls interop threads; nothing runs on them


@function
def set_default_device(device) -> None:
    """The device that new tensors are on: the CPU, which it is already.

    >>> set_default_device("cpu")
    """
    need_cpu(device)


@function
def set_num_threads(n: int | None) -> None:
    """How many threads a compiled program may use, from its next call on.

    At first as many as `ADJOINT_NUM_THREADS` or `OMP_NUM_THREADS` says, else as there are
    cores that this process may use. That is looked up once, and again with None: after a change
    of affinity, or of a container's quota. A large program is also compiled by so many. Results are
    the same bits for any number.

    >>> before = get_num_threads()
    >>> set_num_threads(2)
    >>> get_num_threads()
    2
    >>> set_num_threads(before)
    """
    threads.count = granted() if n is None else _positive("set_num_threads", n)


@function
def get_num_threads() -> int:
    """How many threads a compiled program may use.

    >>> get_num_threads() >= 1
    True
    """
    return threads.count


@function
def set_num_interop_threads(n: int) -> None:
    """Accepted as in PyTorch; operations run one after the other all the same.

    >>> set_num_interop_threads(2)
    >>> get_num_interop_threads()
    2
    """
    _between["operations"] = _positive("set_num_interop_threads", n)


@function
def get_num_interop_threads() -> int:
    """What was set for operations side by side.

    >>> get_num_interop_threads() >= 1
    True
    """
    return _between["operations"] or threads.count


def _positive(name, n) -> int:
    try:
        count = operator.index(n)
    except TypeError:
        count = None
    if count is None or isinstance(n, bool):
        raise ArgumentTypeError(
            f"{name}: the number of threads must be an int, got {type(n).__name__}"
        )
    if count < 1:
        raise ArgumentError(f"{name}: the number of threads must be positive, got {n}")
    return count


@function
def use_deterministic_algorithms(mode: bool, *, warn_only: bool = False) -> None:
    """Whether results must be the same from run to run; here they always are.

    >>> use_deterministic_algorithms(True)
    """


@function
def are_deterministic_algorithms_enabled() -> bool:
    """True: results are the same from run to run, for any number of threads.

    >>> are_deterministic_algorithms_enabled()
    True
    """
    return True


_precision = ["highest"]


@function
def set_float32_matmul_precision(precision: str) -> None:
    """How exactly float32 matrices must be multiplied; here it is always as float32 does.

    >>> set_float32_matmul_precision("high")
    >>> get_float32_matmul_precision()
    'high'
    >>> set_float32_matmul_precision("highest")
    """
    if precision not in ("highest", "high", "medium"):
        raise ArgumentError(
            "set_float32_matmul_precision: expected highest, high or medium, got "
            f"{precision!r}"
        )
    _precision[0] = precision


@function
def get_float32_matmul_precision() -> str:
    """What `set_float32_matmul_precision` was told.

    >>> get_float32_matmul_precision()
    'highest'
    """
    return _precision[0]


@function
def set_flush_denormal(mode: bool) -> bool:
    """Take numbers below 2^-126 (float32) or 2^-1022 (float64) as 0, or, as at first, not.

    For what this thread computes, and its compiled programs on all their threads: processors
    need a hundred cycles for each of these numbers. Says whether the processor can.

    >>> if set_flush_denormal(True):
    ...     print(tensor(1e-40) * 1, end=" ")
    ...     set_flush_denormal(False)
    tensor(0.) True
    """
    if not isinstance(mode, bool):
        raise ArgumentTypeError(f"set_flush_denormal: mode is a bool, got {mode!r}")
    return denormals.flush(mode)
