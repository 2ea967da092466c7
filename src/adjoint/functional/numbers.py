"""Numbers as they are stored: signs, exponents, neighbours, what is not finite; degrees."""

from __future__ import annotations

import math
from collections import namedtuple

import numpy as np

from ..core.bind import Box, dtype_of, quiet
from ..core.primitive import number, op
from ..errors import ArgumentTypeError, DtypeError
from .face import cast, give, inexact, method, need_tensor, promote
from .pointwise import binary

Frexp = namedtuple("frexp", "mantissa exponent")


def _face(name: str):
    f = binary(getattr(op, name))
    f.__name__ = f.__qualname__ = name
    f.__doc__ = type(getattr(op, name)).__doc__
    f.__module__ = __name__
    return method(f)


copysign, nextafter = _face("copysign"), _face("nextafter")


def _real(x, name):
    x = need_tensor(x, name)
    if dtype_of(x).kind == "c":
        raise DtypeError(f"{name}: not defined for {dtype_of(x).name}")
    return x


@method
def heaviside(input, values, *, out=None):
    """0 where input is negative, 1 where it is positive, `values` where it is 0.

    >>> heaviside(tensor([-1., 0., 2.]), tensor(0.5))
    tensor([0.0000, 0.5000, 1.0000])
    """
    x, v = _real(input, "heaviside"), _real(values, "heaviside")
    if dtype_of(x) != dtype_of(v):
        raise DtypeError(
            f"heaviside: expects tensors of one dtype, got {dtype_of(x).name} and "
            f"{dtype_of(v).name}"
        )
    return give(op.heaviside(x, v), out)


@method
def ldexp(input, other, *, out=None):
    """input · 2^other.

    >>> ldexp(tensor([1., 2.]), tensor([1, 2]))
    tensor([2., 8.])
    """
    for x in (input, other):
        if not isinstance(x, (Box, int, float, np.generic)):
            raise ArgumentTypeError(
                f"ldexp(): arguments must be Tensors or numbers, not {type(x).__name__}"
            )
    whole = isinstance(other, Box) and dtype_of(other).kind in "iu"
    if whole and isinstance(input, Box) and dtype_of(input).kind in "fV":
        return give(op.ldexp(input, other), out)
    x, n = (inexact(v) for v in promote("ldexp", input, other))
    return give(x * op.exp2(n), out)


@method
def frexp(input, *, out=None):
    """m and e with input = m · 2^e and ½ ≤ |m| < 1.

    >>> mantissa, exponent = frexp(tensor([3., 0.]))
    >>> mantissa, exponent
    (tensor([0.7500, 0.0000]), tensor([2, 0], dtype=adjoint.int32))
    """
    x = need_tensor(input, "frexp")
    if dtype_of(x).kind not in "fV":
        raise DtypeError(f"frexp: expects floating input, got {dtype_of(x).name}")
    exponent = op.exponent(x)
    return give(Frexp(op.ldexp(x, -exponent), exponent), out)


@method
def nan_to_num(input, nan=0.0, posinf=None, neginf=None, *, out=None):
    """With numbers for NaN and the infinities: by default 0 and the largest there are.

    >>> nan_to_num(tensor([nan, inf, 1.]), posinf=9.)
    tensor([0., 9., 1.])
    """
    x = need_tensor(input, "nan_to_num")
    d = dtype_of(x)
    if d.kind in "bui":
        return give(op.contiguous(x), out)
    if d.kind == "c":
        parts = (op.real(x), op.imag(x))
        a, b = (nan_to_num(v, nan, posinf, neginf) for v in parts)
        return give(cast(a, d) + cast(b, d) * np.array(1j, d), out)
    most = _largest(d)
    numbers = (
        0.0 if nan is None else nan,
        most if posinf is None else posinf,
        -most if neginf is None else neginf,
    )
    bad = (op.isnan(x), x == np.array(np.inf, d), x == np.array(-np.inf, d))
    for where, value in zip(bad, numbers, strict=True):
        x = op.where(where, quiet.run(np.array, value, d), x)
    return give(x, out)


def _largest(d) -> float:
    if d.kind == "f":
        return float(np.finfo(d).max)
    return float.fromhex("0x1.fep127")  # bfloat16's


@method
def isposinf(input, *, out=None):
    """Is +∞.

    >>> isposinf(tensor([inf, -inf, 1.]))
    tensor([ True, False, False])
    """
    x = _real(input, "isposinf")
    return give(op.logical_and(op.isinf(x), op.gt(x, number(0, x))), out)


@method
def isneginf(input, *, out=None):
    """Is −∞.

    >>> isneginf(tensor([inf, -inf, 1.]))
    tensor([False,  True, False])
    """
    x = _real(input, "isneginf")
    return give(op.logical_and(op.isinf(x), op.lt(x, number(0, x))), out)


@method
def rad2deg(input, *, out=None):
    """Radians in degrees.

    >>> rad2deg(tensor([3.14159265]))
    tensor([180.])
    """
    return give(inexact(_real(input, "rad2deg")) * (180 / math.pi), out)


@method
def deg2rad(input, *, out=None):
    """Degrees in radians.

    >>> deg2rad(tensor([180.]))
    tensor([3.1416])
    """
    return give(inexact(_real(input, "deg2rad")) * (math.pi / 180), out)
