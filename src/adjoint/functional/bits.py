"""Bitwise operations of integers and truth values, and greatest common divisors."""

from __future__ import annotations

from ..core.primitive import op
from .face import method
from .pointwise import binary, unary

_NAMES = (
    "bitwise_and",
    "bitwise_or",
    "bitwise_xor",
    "bitwise_not",
    "bitwise_left_shift",
    "bitwise_right_shift",
    "gcd",
    "lcm",
)


def _install() -> None:
    for name in _NAMES:
        prim = getattr(op, name)
        f = (unary if prim.nin == 1 else binary)(prim)
        f.__name__ = f.__qualname__ = name
        f.__doc__ = type(prim).__doc__
        f.__module__ = __name__
        globals()[name] = method(f)


_install()
__all__ = list(_NAMES)
