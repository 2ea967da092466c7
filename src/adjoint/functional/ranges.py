"""Numbers at equal steps."""

from __future__ import annotations

import math

import numpy as np

from ..core import dtype as dt
from ..core.bind import dtype_of, quiet
from ..core.device import need_cpu
from ..errors import ArgumentError, ArgumentTypeError, DtypeError
from .creation import finish, plain_number, whole_count
from .face import SCALARS, function, give, need_tensor, np_dtype


@function
def arange(
    start=0,
    end=None,
    step=1,
    *,
    out=None,
    dtype=None,
    layout=None,
    device=None,
    requires_grad=False,
):
    """Numbers from start to end (not included) by step.

    >>> arange(3), arange(0, 1, 0.5)
    (tensor([0, 1, 2]), tensor([0.0000, 0.5000]))
    """
    need_cpu(device)
    start, end, step = (plain_number(v) for v in (start, end, step))
    if end is None:
        start, end = 0, start
    whole = _all_int(start, end, step)
    d = np_dtype(dtype) or (np.dtype("int64") if whole else dt.get_default_dtype().np)
    _need_range("arange", start, end, step, d)
    if d.kind in "iu":
        start, end, step = int(start), int(end), int(step)
    if step == 0:
        raise ArgumentError("arange: step must be nonzero")
    if (end - start) * step < 0:
        raise ArgumentError(
            "arange: upper bound and lower bound inconsistent with step sign: "
            f"{start}, {end}, {step}"
        )
    count = -((start - end) // step) if whole else math.ceil((end - start) / step)
    d = (
        d
        if out is None or dtype is not None
        else dtype_of(need_tensor(out, "arange", "out"))
    )
    return give(finish((start + step * np.arange(count)).astype(d), requires_grad), out)


def _range(start=0, end=None, step=1, **options):
    """Numbers from start to end, which is included; `arange` leaves it out, as Python does.

    >>> ad.range(1, 3)
    tensor([1., 2., 3.])
    """
    start, end = (0, start) if end is None else (start, end)
    options.setdefault("dtype", dt.get_default_dtype())
    count = (
        math.floor((plain_number(end) - plain_number(start)) / plain_number(step)) + 1
    )
    if count <= 0:
        raise ArgumentError(
            "range: upper bound and lower bound inconsistent with step sign"
        )
    return arange(count, **options) * step + start


_range.__name__ = _range.__qualname__ = "range"  # not to hide Python's in this file
function(_range)


def _need_range(name, start, end, step, d):
    """Finite real numbers, and a dtype that counts."""
    for v in (start, end, step):
        if isinstance(v, complex) or not isinstance(v, SCALARS):
            raise ArgumentTypeError(f"{name}: expects real numbers, got {v!r}")
        if not math.isfinite(v):
            raise ArgumentError(
                f"{name}: unsupported range: {start} -> {end} by {step}"
            )
    if d.kind in "bc":
        raise DtypeError(f"{name}: not defined for {d.name}")


def _all_int(*xs) -> bool:
    """All are Python integers."""
    return not [x for x in xs if not isinstance(x, int)]


def _between(name, start, end, steps, dtype):
    """`steps` numbers in double precision, from both ends inwards, and their dtype."""
    steps = whole_count(steps, name, "number of steps")
    start, end = plain_number(start), plain_number(end)
    for v in (start, end):
        if not isinstance(v, SCALARS):
            raise ArgumentTypeError(f"{name}: expects numbers, got {v!r}")
    d = dt.get_default_dtype().np
    if isinstance(start, complex) or isinstance(end, complex):
        d = dt.to_complex(d)
    i = np.arange(steps)
    step = (end - start) / (steps - 1) if steps > 1 else 0
    rising, falling = start + step * i, end - step * (steps - 1 - i)
    first = i < max(steps // 2, 1)
    return np.where(first, rising, falling), np_dtype(dtype) or d


@function
def linspace(
    start,
    end,
    steps,
    *,
    out=None,
    dtype=None,
    layout=None,
    device=None,
    requires_grad=False,
):
    """`steps` numbers evenly from start to end, both included.

    >>> linspace(0, 1, 3)
    tensor([0.0000, 0.5000, 1.0000])
    """
    need_cpu(device)
    value, d = _between("linspace", start, end, steps, dtype)
    return give(finish(_narrowed(value, d, "linspace"), requires_grad), out)


def _narrowed(value, d, name):
    """The array in dtype `d`, unless that loses the imaginary part."""
    if value.dtype.kind == "c" and d.kind != "c":
        raise DtypeError(f"{name}: complex numbers do not fit {d.name}")
    return quiet.run(value.astype, d)


@function
def logspace(
    start,
    end,
    steps,
    base=10.0,
    *,
    out=None,
    dtype=None,
    layout=None,
    device=None,
    requires_grad=False,
):
    """`steps` numbers from base^start to base^end, evenly in the exponent.

    >>> logspace(0, 2, 3)
    tensor([  1.,  10., 100.])
    """
    need_cpu(device)
    value, d = _between("logspace", start, end, steps, dtype)
    with np.errstate(all="ignore"):
        value = np.asarray(base) ** value
    return give(finish(_narrowed(value, d, "logspace"), requires_grad), out)
