"""Writes: the memory changes, versions count up, and the tape sees a new value.

A write to a view is a write to its base: the base becomes `overwrite(base, new, chain)`
and other views of it take their places anew when next used.
"""

from __future__ import annotations

import numpy as np

from ..core.bind import Box, bind, dtype_of
from ..core.primitive import op
from ..core.shape import broadcast
from ..errors import DtypeError, GradError, ShapeError, user_site
from .modes import inferring, recording
from .tape import Leaf, Version, alias, refresh


def assign(x, new, name: str):
    """x ← new, in x's memory and at x's place in the graph. Returns x."""
    _check(x, new, name)
    if x.base is not None:
        refresh(x)
    if tuple(new.shape) != tuple(x.shape):
        new = op.expand(new, shape=tuple(x.shape))
    if dtype_of(new) != dtype_of(x):
        new = op.cast(new, dtype=dtype_of(x))
    node = new.node if isinstance(new, Box) and new.level is x.level else None
    recorded = recording.get() and (node is not None or x.node is not None)
    value = new.value if isinstance(new, Box) and new.level is x.level else new
    functional = not (isinstance(x.value, np.ndarray) and isinstance(value, np.ndarray))
    if x.base is not None and (recorded or functional):
        base, before = x.base, alias(x.base, x.base.node)
        after = bind(op.overwrite, before, new, chain=x.chain)
        base.node = after.node
        if functional:
            base.value = after.value
        base.writes += 1
        x.seen = base.writes
    elif recorded or functional:
        x.writes += 1
    if functional:
        x.value = value
    else:
        np.copyto(x.value, value)
    if recorded:
        x.node = node
    _count(x)
    return x


def updated(x, f, name: str):
    """x ← f(x), the in-place form of a function."""
    before = alias(x, x.node) if x.node is not None else x
    if x.node is not None and recording.get() and isinstance(before.value, np.ndarray):
        _check(x, None, name)
    return assign(x, f(before), name)


def _check(x, new, name):
    if type(x.node) is Leaf and recording.get():
        raise GradError(
            f"{name}: a leaf Variable that requires grad is being used in an in-place operation",
            hint="with no_grad(): ... where the update itself is not to be differentiated",
        )
    if type(getattr(x.base, "node", None)) is Leaf and recording.get():
        raise GradError(
            f"{name}: a view of a leaf Variable that requires grad is being used in an in-place "
            "operation",
            hint="with no_grad(): ... where the update itself is not to be differentiated",
        )
    if x.inference and not inferring.get():
        raise GradError(f"{name}: inplace update to inference tensor outside InferenceMode")
    if isinstance(x.value, np.ndarray) and not x.value.flags.writeable:
        raise ShapeError(
            f"{name}: this tensor is an expanded or read-only view of memory", hint="clone() it first"
        )
    if new is None:
        return
    if broadcast(tuple(x.shape), tuple(new.shape), name=name) != tuple(x.shape):
        raise ShapeError(f"{name}: a result of shape {tuple(new.shape)} does not fit {tuple(x.shape)}")
    if not np.can_cast(dtype_of(new), dtype_of(x), "same_kind") and _rank_falls(new, x):
        raise DtypeError(
            f"{name}: result type {dtype_of(new).name} can't be cast to the desired output type "
            f"{dtype_of(x).name}"
        )


def _rank_falls(new, x) -> bool:
    order = "buiVfc"
    return order.index(dtype_of(new).kind) > order.index(dtype_of(x).kind)


def _count(x):
    if x.version is None:
        x.version = Version()
    x.version.n += 1
    x.version.site = user_site()
