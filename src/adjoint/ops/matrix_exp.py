"""The exponential of matrices, by Padé's approximation and squaring."""

from __future__ import annotations

import math

import numpy as np

from ..core.primitive import op
from .matrix import OfMatrix, mH, not_square, part, real_and_complex, square


class MatrixExp(OfMatrix):
    """eˣ by scaling and squaring with a Padé approximant of degree 13 (Higham 2005).

    Its derivative along dx is the upper right block of exp [[x, dx], [0, x]].

    >>> op.matrix_exp(tensor([[0., 1.], [0., 0.]]))
    tensor([[1., 1.],
            [0., 1.]])
    """

    saves_y = False
    samples = real_and_complex((3, 3), (2, 2, 2))
    errors = not_square()

    def reference(x):
        """Taylor's series of x / 2¹⁰, squared ten times."""
        term = y = 0 * x + np.eye(x.shape[-1])
        for k in range(1, 12):
            term = term @ x / (1024 * k)
            y = y + term
        for _ in range(10):
            y = y @ y
        return y

    def eager(x):
        wide = x.astype(np.result_type(x.dtype, np.float64))
        return _matrix_exp(wide).astype(x.dtype)

    def infer(self, x):
        return square(x, "matrix_exp")

    def vjp(self, g, y, xs, params, need):
        return (_exp_along(mH(xs[0]), g),)

    def jvp(self, ts, y, xs, params):
        return _exp_along(xs[0], ts[0])


def _exp_along(x, t):
    n, last = x.shape[-1], x.ndim - 1
    top = op.cat(x, t, dim=last)
    bottom = op.cat(op.zeros_like(x), x, dim=last)
    y = op.matrix_exp(op.cat(top, bottom, dim=last - 1))
    return part(y, (0, n), (n, 2 * n))


# Coefficients of the numerator of the [13/13] approximant of eˣ, and the 1-norm up to
# which it is exact to double precision.
_PADE = [
    math.factorial(26 - k) * math.comb(13, k) // math.factorial(13) for k in range(14)
]

_PADE_REACH = 5.371920351148152


def _matrix_exp(x):
    size = np.abs(x).sum(-2).max(-1, initial=0)
    bad = ~np.isfinite(size)
    x = np.where(bad[..., None, None], 0, x)
    ratio = np.where(bad, 0, size) / _PADE_REACH
    halvings = np.maximum(0, np.ceil(np.log2(np.maximum(ratio, 1)))).astype(int)
    y = _pade(x / np.exp2(halvings)[..., None, None])
    for i in range(halvings.max(initial=0)):
        y = np.where((halvings > i)[..., None, None], y @ y, y)
    return np.where(bad[..., None, None], np.nan, y)


def _pade(x):
    c = [float(b) for b in _PADE]
    eye = np.eye(x.shape[-1])
    x2 = x @ x
    x4 = x2 @ x2
    x6 = x4 @ x2

    def four(k):
        return c[k] * eye + c[k + 2] * x2 + c[k + 4] * x4 + c[k + 6] * x6

    def high(k):
        return x6 @ (c[k] * x2 + c[k + 2] * x4 + c[k + 4] * x6)

    even = four(0) + high(8)
    odd = x @ (four(1) + high(9))
    return np.linalg.solve(even - odd, even + odd)
