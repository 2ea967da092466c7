"""Systems of linear equations, and inverses. Rules: Giles (2008)."""

from __future__ import annotations

import numpy as np

from ..core.primitive import batch_to_front, op, total
from ..errors import LinAlgError, ShapeError
from .lu import lu_of, order_of
from .matrix import (
    OfMatrix,
    OfResult,
    complex_well,
    lapack,
    mH,
    mm,
    not_square,
    one_by_one,
    real_and_complex,
    square,
    well,
)
from .triangles import as_columns, substitute


def _singular(a):
    """Why a solve with `a` failed: where elimination met a zero pivot."""
    pivots = np.diagonal(lu_of(a)[0])
    zero = np.flatnonzero(pivots == 0)
    where = f": diagonal element {zero[0] + 1} of U in its LU factorization is zero"
    return f"the matrix is singular{where if zero.size else ''}"


class Solve(OfMatrix):
    """x₁⁻¹ x₂ for square x₁; `check` raises where x₁ is singular, else Inf and NaN show it.

    A X = B: dX = A⁻¹(dB − dA X), gB = A⁻ᴴ gX, gA = −gB Xᴴ.

    >>> op.solve(tensor([[2., 0.], [0., 4.]]), tensor([[2.], [2.]]), check=True)
    tensor([[1.0000],
            [0.5000]])
    """

    reference = staticmethod(lambda a, b, check: np.linalg.inv(a) @ b)

    def samples(rng):
        c = {"check": True}
        return [
            ((well(rng, 3, 3), rng.normal(size=(3, 2))), c),
            ((well(rng, 2, 2, 2), rng.normal(size=(2, 2, 3))), c),
            ((complex_well(rng, 2, 2), complex_well(rng, 2, 2)), c),
        ]

    def errors():
        a = np.ones((2, 2, 2)) + np.eye(2) * [[[1]], [[0]]]
        c = {"check": True}
        return [
            ((np.ones((2, 3)), np.ones((2, 1))), c, ShapeError, "must be square"),
            ((np.eye(2), np.ones((3, 1))), c, ShapeError, "rows"),
            ((a, np.ones((2, 2, 1))), c, LinAlgError, "batch element 1: the matrix is"),
        ]

    def eager(a, b, *, check):
        if check:
            return lapack("solve", np.linalg.solve, _singular, a, b)
        return one_by_one(np.linalg.solve, _eliminate, a, b)

    def infer(self, a, b, *, check):
        square(a, "solve")
        if b.shape[-2] != a.shape[-1] or a.shape[:-2] != b.shape[:-2]:
            raise ShapeError(f"solve: the rows of {b} do not fit {a}")
        return b

    def keeps(self, need, count):
        return (True, False)

    def vjp(self, g, y, xs, params, need):
        gb = op.solve(mH(xs[0]), g, **params)
        return (-mm(gb, mH(y)) if need[0] else None), gb

    def jvp(self, ts, y, xs, params):
        ta, tb = ts
        right = total(tb, None if ta is None else -mm(ta, y))
        return op.solve(xs[0], right, **params)

    def batch(self, size, xs, dims, params):
        a, b = xs
        if dims[0] is not None:
            return super().batch(size, xs, dims, params)
        return as_columns(
            lambda b: op.solve(a, b, **params), batch_to_front(b, dims[1])
        )


def _eliminate(a, b):
    """a⁻¹ b by elimination that goes on through zero pivots, as IEEE 754 has it."""
    lu, pivots = lu_of(a)
    b = np.take_along_axis(b, order_of(pivots, len(a))[:, None], 0)
    return substitute(np.triu(lu), substitute(lu, b, False, True), True, False)


class Inv(OfResult):
    """x⁻¹; `check` raises where x is singular, else Inf and NaN show it.

    dy = −y dx y.

    >>> op.inv(tensor([[2., 0.], [0., 4.]]), check=True)
    tensor([[0.5000, 0.0000],
            [0.0000, 0.2500]])
    """

    samples = real_and_complex((3, 3), (2, 2, 2), check=True)
    reference = staticmethod(
        lambda x, check: np.linalg.solve(x, 0 * x + np.eye(x.shape[-1]))
    )
    errors = not_square(check=True)

    def eager(x, *, check):
        if check:
            return lapack("inv", np.linalg.inv, _singular, x)
        return one_by_one(
            np.linalg.inv, lambda a: _eliminate(a, np.eye(len(a), dtype=a.dtype)), x
        )

    def infer(self, x, *, check):
        return square(x, "inv")

    def vjp(self, g, y, xs, params, need):
        return (-mm(mm(mH(y), g), mH(y)),)

    def jvp(self, ts, y, xs, params):
        return -mm(mm(y, ts[0]), y)
