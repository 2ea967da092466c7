"""autocast: the mode in which functions choose the precision they compute in.

Which function computes in which precision stands at its definition (`functional/precision.py`);
here is where the mode holds, and the copies of weights that are made once in a region.
"""

from __future__ import annotations

import contextlib
import warnings
from contextvars import ContextVar
from typing import NamedTuple

import numpy as np

from ..core import dtype as dt
from ..core.bind import NUMPY, Box, dtype_of, floor
from ..core.dtype import DType, bfloat16
from ..core.primitive import op
from ..errors import ArgumentError, ArgumentTypeError
from .modes import Switch, inferring, recording
from .node import Leaf
from .tape import BASE
from .versions import versioned

_SINGLE = np.dtype("float32")
_LOWER = tuple(d.np for d in (bfloat16, dt.float16) if d is not None)


class Copy(NamedTuple):
    """A weight in the lower precision, and what the weight was when it was made."""

    x: Box  # kept, so that no other tensor has its id
    value: object
    node: object
    writes: int
    y: Box

    def is_of(self, x) -> bool:
        """Whether the weight is what it was."""
        same = self.x is x and self.value is x.value and self.node is x.node
        return same and self.writes == versioned(x).n


class Casting(NamedTuple):
    """The mode: the lower precision, and copies of weights, which the outermost region has."""

    enabled: bool = False
    dtype: np.dtype = _LOWER[0]
    caching: bool = True
    copies: dict | None = None

    def lowered(self, x):
        """`x` in the lower precision, if it is a float of single or less."""
        d = dtype_of(x)
        if d == self.dtype or not (d == _SINGLE or dt.is_short(d)):
            return x
        if self.copies is None or not self.caching or not _is_weight(x):
            return op.cast(x, dtype=self.dtype)
        return self._copy(x)

    def single(self, x):
        """`x` in single precision, if it is a float of less."""
        return op.cast(x, dtype=_SINGLE) if dt.is_short(dtype_of(x)) else x

    def _copy(self, x):
        key = id(x), self.dtype, recording.get(), inferring.get()
        found = self.copies.get(key)
        if found is None or not found.is_of(x):
            y = op.cast(x, dtype=self.dtype)
            found = Copy(x, x.value, x.node, versioned(x).n, y)
            self.copies[key] = found
        return found.y


def _is_weight(x) -> bool:
    """A leaf that requires grad; a program that is written down finds equal casts itself."""
    leaf = x.level is BASE and type(x.node) is Leaf and x.base is None
    return leaf and dtype_of(x) == _SINGLE and floor.get() is NUMPY


_OFF = Casting()
chosen: ContextVar[Casting] = ContextVar("chosen", default=_OFF)
# The same while it is enabled, else None: what every function that casts looks at.
casting: ContextVar[Casting | None] = ContextVar("casting", default=None)


def choose(mode: Casting) -> None:
    """Have this be the mode from here on."""
    chosen.set(mode)
    casting.set(mode if mode.enabled else None)


@contextlib.contextmanager
def as_it_was(mode: Casting):
    """The mode of another time in a block, without its copies."""
    before, now = chosen.get(), casting.get()
    choose(mode._replace(copies=None))
    try:
        yield
    finally:
        chosen.set(before)
        casting.set(now)


def lower_dtype() -> DType | None:
    """The lower precision where `autocast` holds, else None."""
    mode = casting.get()
    return None if mode is None else DType(mode.dtype)


class autocast(Switch):
    """Products in half precision, what needs more in single; a block or a decorator.

    Inside, matrix products, convolutions and attention take copies of their arguments in
    `dtype`, which is bfloat16 if none is given; losses, among others, take them in float32;
    all else computes in what it is given. Parameters and their gradients keep their dtype.
    A weight is copied once in the outermost region, unless `cache_enabled` is False.

    >>> import adjoint as ad
    >>> x, w = ad.ones(1, 2), ad.ones(2, 2, requires_grad=True)
    >>> with ad.autocast("cpu", dtype=ad.float16):
    ...     y = x @ w
    >>> y.dtype
    adjoint.float16
    >>> y.sum().backward()
    >>> w.grad.dtype
    adjoint.float32
    """

    def __init__(self, device_type, dtype=None, enabled=True, cache_enabled=None):
        on_cpu = _is_cpu(device_type)
        if dtype is None:
            dtype = _default_dtype(device_type, enabled)
        if enabled and not on_cpu:
            warnings.warn(
                f"User provided device_type of '{device_type}', but "
                f"{device_type.upper()} is not available. Disabling",
                stacklevel=2,
            )
        lower = dt.dtype(dtype).np
        if enabled and on_cpu and lower not in _LOWER:
            warnings.warn(
                "In CPU autocast, but the target dtype is not supported. Disabling autocast. "
                "CPU Autocast only supports dtype of bfloat16, float16 currently.",
                stacklevel=2,
            )
        can = on_cpu and lower in _LOWER
        caching = None if cache_enabled is None else bool(cache_enabled)
        self.value = bool(enabled) and can, lower if can else None, caching

    def __enter__(self):
        outer = chosen.get()
        self.__dict__.setdefault("_tokens", []).append((outer, casting.get()))
        enabled, lower, caching = self.value
        copies = {} if outer.copies is None else outer.copies
        caching = outer.caching if caching is None else caching
        choose(Casting(enabled, lower or outer.dtype, caching, copies))
        return self

    def __exit__(self, *_):
        copies = chosen.get().copies
        outer, now = self._tokens.pop()
        chosen.set(outer)
        casting.set(now)
        if outer.copies is None and copies is not None:
            copies.clear()


def _default_dtype(device_type, enabled) -> DType:
    if bfloat16 is None and enabled and chosen.get() is _OFF:
        raise ArgumentError(
            "autocast: bfloat16 needs the package ml_dtypes",
            hint="pip install ml_dtypes, or dtype=float16",
        )
    return get_autocast_dtype(device_type)


def _is_cpu(device_type) -> bool:
    if not isinstance(device_type, str):
        raise ArgumentTypeError(
            f"Expected `device_type` of type `str`, got: `{type(device_type)}`",
            hint="device.type is the name of a device's type",
        )
    return device_type == "cpu"


def _need_cpu(device_type, name: str) -> None:
    if not _is_cpu(device_type):
        raise ArgumentError(f"{name}: there is no device {device_type!r}, only 'cpu'")


def _need_bool(flag, name: str) -> None:
    if not isinstance(flag, bool):
        raise ArgumentTypeError(
            f"{name}(): argument 'enabled' must be bool, not {type(flag).__name__}"
        )


def is_autocast_enabled(device_type: str = "cpu") -> bool:
    """Whether `autocast` holds here.

    >>> import adjoint as ad
    >>> with ad.autocast("cpu"):
    ...     ad.is_autocast_enabled("cpu")
    True
    """
    return _is_cpu(device_type) and casting.get() is not None


def set_autocast_enabled(device_type: str | bool, enabled: bool | None = None) -> None:
    """Switch `autocast` on or off from here on; the device may be left out."""
    if enabled is None:
        device_type, enabled = "cpu", device_type
    _need_cpu(device_type, "set_autocast_enabled")
    _need_bool(enabled, "set_autocast_enabled")
    choose(chosen.get()._replace(enabled=enabled))


def get_autocast_dtype(device_type: str = "cpu") -> DType:
    """The lower precision of `autocast`.

    >>> import adjoint as ad
    >>> ad.get_autocast_dtype("cpu")
    adjoint.bfloat16
    """
    return DType(chosen.get().dtype) if _is_cpu(device_type) else dt.float16


def set_autocast_dtype(device_type: str, dtype) -> None:
    """Set the lower precision for regions that name none: bfloat16 or float16."""
    _need_cpu(device_type, "set_autocast_dtype")
    lower = dt.dtype(dtype).np
    if lower not in _LOWER:
        raise ArgumentError(
            f"set_autocast_dtype: must be bfloat16 or float16, got {lower.name}"
        )
    choose(chosen.get()._replace(dtype=lower))


def is_autocast_cache_enabled() -> bool:
    """Whether a weight is copied once in a region."""
    return chosen.get().caching


def set_autocast_cache_enabled(enabled: bool) -> None:
    """Have a weight copied once in a region, or each time that it is read."""
    _need_bool(enabled, "set_autocast_cache_enabled")
    choose(chosen.get()._replace(caching=enabled))


def clear_autocast_cache() -> None:
    """Forget the copies of weights; at the end of the outermost region they are anyway."""
    copies = chosen.get().copies
    if copies is not None:
        copies.clear()


def is_autocast_available(device_type: str) -> bool:
    """Whether there is `autocast` for a type of device.

    >>> import adjoint as ad
    >>> ad.amp.is_autocast_available("cpu")
    True
    """
    return _is_cpu(device_type)
