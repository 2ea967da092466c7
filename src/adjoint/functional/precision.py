"""In which precision functions compute where `autocast` holds: PyTorch's lists for a CPU.

A function on one of them says so at its definition; all others compute in what they are given.
What such a function does inside is not cast again. One that is given `out`, or that writes its
first argument, computes in what it is given.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps

import numpy as np

from ..autodiff.casting import Casting, casting
from ..core import tree
from ..core.bind import Box, dtype_of

_SINGLE = np.dtype("float32")

LISTS: dict[str, list] = {"lower": [], "single": [], "widest": []}


def lower(f):
    """Mark `f`: it computes in the lower precision."""
    return _policy(f, "lower", lambda mode, _: mode.lowered)


def single(f):
    """Mark `f`: it computes in single precision."""
    return _policy(f, "single", lambda mode, _: mode.single)


def widest(f):
    """Mark `f`: it computes in the widest precision of its arguments."""
    return _policy(f, "widest", _to_widest)


def _to_widest(mode: Casting, arguments) -> Callable:
    found = {dtype_of(x) for x in tree.flatten(arguments)[0] if isinstance(x, Box)}
    return mode.single if _SINGLE in found else _as_it_is


def _as_it_is(x):
    return x


def _policy(f, name: str, caster: Callable):
    @wraps(f)
    def call(*args, **kwargs):
        mode = casting.get()
        if mode is None:
            return f(*args, **kwargs)
        given = kwargs.get("out") is not None
        return _cast(
            f, _as_it_is if given else caster(mode, (args, kwargs)), args, kwargs
        )

    call.as_given = _in_what_it_is_given(f)
    LISTS[name].append(call)
    return call


def _in_what_it_is_given(f):
    @wraps(f)
    def call(*args, **kwargs):
        return _cast(f, _as_it_is, args, kwargs)

    return call


def _cast(f, cast: Callable, args, kwargs):
    """f of the arguments as they are cast, and of the tensors in lists of them."""
    if cast is not _as_it_is:
        args, kwargs = tree.map_leaves(
            lambda x: cast(x) if isinstance(x, Box) else x, (args, kwargs)
        )
    token = casting.set(None)
    try:
        return f(*args, **kwargs)
    finally:
        casting.reset(token)
