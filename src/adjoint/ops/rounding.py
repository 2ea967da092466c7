"""Sizes, signs, and the nearest whole numbers."""

from __future__ import annotations

import numpy as np

from ..core.bind import dtype_of
from ..core.primitive import Elementwise, op
from .samples import any1, positive1, uniform


class Abs(Elementwise):
    """Magnitude, |x|; the derivative at 0 is 0.

    >>> abs(tensor([-1., 2.]))
    tensor([1., 2.])
    """

    lowers = "buif"
    eager = np.abs
    out = "real"
    samples = any1

    def dx(t, x):
        s = op.sgn(x)
        return op.real(t * op.conj(s)) if dtype_of(s).kind == "c" else t * s

    def pull(t, x):
        s = op.sgn(x)
        return op.cast(t, dtype=dtype_of(s)) * s if dtype_of(s).kind == "c" else t * s

    def lower(b, x):
        return b.abs(x)

    def parts(x):
        return op.hypot(*x)


class Sign(Elementwise):
    """−1, 0 or 1 by the sign; 0 for NaN, as in PyTorch.

    >>> sign(tensor([-2., 0., 3.]))
    tensor([-1.,  0.,  1.])
    """

    lowers = "buif"
    samples = positive1
    takes = "buif"
    reference = np.sign

    def eager(x):
        return _sign(x)

    def dx(t):
        return op.zeros_like(t)

    def lower(b, x):
        return b.sign(x)


def _sign(x):
    """NumPy's sign, but 0 for NaN, and for truth values."""
    if x.dtype.kind in "bu":
        return (x > 0).astype(x.dtype)
    return np.subtract(x > 0, x < 0, dtype=np.int8).astype(x.dtype)


class Sgn(Elementwise):
    """x/|x|, 0 at 0; `sign` for complex numbers too.

    >>> sgn(tensor([3+4j]))
    tensor([0.6000+0.8000j])
    """

    lowers = "buif"
    samples = positive1
    singular = True
    reference = np.sign

    def eager(x):
        return np.sign(x) if x.dtype.kind == "c" else _sign(x)

    def dx(t, y, x):
        if dtype_of(x).kind != "c":
            return op.zeros_like(t)
        zero = op.eq(x, op.zeros_like(x))
        r = op.where(zero, op.ones_like(x), op.cast(op.abs(x), dtype=dtype_of(x)))
        dy = (t - y * op.cast(op.real(op.conj(y) * t), dtype=dtype_of(x))) / r
        return op.where(zero, op.zeros_like(dy), dy)

    def pull(t, y, x):
        return Sgn.dx(t, y, x)

    def lower(b, x):
        return b.sign(x)

    def parts(x):
        size = op.hypot(*x)
        none = op.eq(size, op.zeros_like(size))
        size = op.where(none, op.ones_like(size), size)
        return x[0] / size, x[1] / size


class _Rounding(Elementwise, abstract=True):
    """Whole numbers: constant but where it jumps, where the derivative is 0 as well."""

    lowers = takes = "uif"
    samples = uniform((3, 2), low=0.1, high=0.9)

    def dx(t):
        return op.zeros_like(t)


class Floor(_Rounding):
    """Largest integer not above x.

    >>> floor(tensor([1.5, -1.5]))
    tensor([ 1., -2.])
    """

    eager = np.floor

    def lower(b, x):
        return b.floor(x)


class Ceil(_Rounding):
    """Smallest integer not below x.

    >>> ceil(tensor([1.5, -1.5]))
    tensor([ 2., -1.])
    """

    eager = np.ceil

    def lower(b, x):
        return b.ceil(x)


class Trunc(_Rounding):
    """The integer part, towards 0.

    >>> trunc(tensor([1.5, -1.5]))
    tensor([ 1., -1.])
    """

    eager = np.trunc

    def lower(b, x):
        return b.trunc(x)


class Round(_Rounding):
    """Nearest integer, halves to even; `decimals` places.

    >>> round(tensor([0.5, 1.5, 1.234]), decimals=1)
    tensor([0.5000, 1.5000, 1.2000])
    """

    lowers = "f"
    reference = staticmethod(lambda x, decimals: np.around(x, decimals))

    def samples(rng):
        return [((rng.uniform(0.1, 0.4, (3, 2)),), {"decimals": 0})]

    def eager(x, *, decimals):
        return np.round(x, decimals)

    def lower(b, x, decimals):
        return b.round_to(x, decimals)

    def expand(x, *, decimals):
        whole = dtype_of(x).kind in "ui" and decimals >= 0
        return x if whole else op.round(x, decimals=decimals)
