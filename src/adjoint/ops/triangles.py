"""Triangular systems, which NumPy lacks, by blocks. Rules: Giles (2008)."""

from __future__ import annotations

import numpy as np

from ..core.primitive import batch_to_front, op, total
from ..core.shape import broadcast
from ..errors import ShapeError
from .matrix import OfMatrix, complex_well, mH, mm, square, tril, triu, well


def as_columns(solve, b):
    """(solve(b), 0) for one matrix and a batch of right sides: they are more columns."""
    size, n, k = b.shape[0], b.shape[-2], b.shape[-1]
    lead = tuple(b.shape[1:-2])
    last = b.ndim - 1
    wide = op.permute(b, dims=(*range(1, last), 0, last))
    y = solve(op.reshape(wide, shape=(*lead, n, size * k)))
    y = op.reshape(y, shape=(*lead, n, size, k))
    return op.permute(y, dims=(last - 1, *range(last - 1), last)), 0


class TriangularSolve(OfMatrix):
    """x₁⁻¹ x₂, of x₁ only one triangle read, of which `unit` takes the diagonal for ones.

    >>> op.triangular_solve(tensor([[2., 9.], [1., 1.]]), tensor([[2.], [3.]]),
    ...                     upper=False, unit=False)
    tensor([[1.],
            [2.]])
    """

    def samples(rng):
        b = rng.normal(size=(2, 3, 2))
        lower = well(rng, 2, 3, 3) + 2 * np.eye(3)
        upper = complex_well(rng, 3, 3) + 2 * np.eye(3)
        return [
            ((lower, b), {"upper": False, "unit": False}),
            ((lower, b), {"upper": True, "unit": True}),
            ((upper, complex_well(rng, 3, 2)), {"upper": True, "unit": False}),
        ]

    def reference(a, b, upper, unit):
        a = np.triu(a) if upper else np.tril(a)
        if unit:
            eye = np.eye(a.shape[-1])
            a = a * (1 - eye) + eye
        return np.linalg.solve(a, b)

    def eager(a, b, *, upper, unit):
        return substitute(a, b, upper, unit)

    def infer(self, a, b, *, upper, unit):
        square(a, "triangular_solve")
        if b.shape[-2] != a.shape[-1] or a.shape[:-2] != b.shape[:-2]:
            raise ShapeError(f"triangular_solve: the rows of {b} do not fit {a}")
        return b

    def keeps(self, need, count):
        return (True, False)

    def vjp(self, g, y, xs, params, need):
        upper, unit = params["upper"], params["unit"]
        gb = op.triangular_solve(mH(xs[0]), g, upper=not upper, unit=unit)
        ga = _triangle(-mm(gb, mH(y)), **params) if need[0] else None
        return ga, gb

    def jvp(self, ts, y, xs, params):
        ta, tb = ts
        moved = None if ta is None else -mm(_triangle(ta, **params), y)
        return op.triangular_solve(xs[0], total(tb, moved), **params)

    def batch(self, size, xs, dims, params):
        a, b = xs
        if dims[0] is not None:
            return super().batch(size, xs, dims, params)
        return as_columns(
            lambda b: op.triangular_solve(a, b, **params), batch_to_front(b, dims[1])
        )


def _triangle(x, upper, unit):
    """The part of a matrix that a triangular solve reads."""
    return triu(x, int(unit)) if upper else tril(x, -int(unit))


BLOCK = 32


def substitute(a, b, upper, unit):
    """Triangular solve: blocks by halving, matrix products between, substitution below."""
    lead = broadcast(a.shape[:-2], b.shape[:-2])
    x = np.empty((*lead, *b.shape[-2:]), b.dtype)
    x[...] = b
    substitute_in(a, x, upper, unit)
    return x


def substitute_in(a, x, upper, unit):
    n = a.shape[-1]
    if n <= BLOCK:
        return _substitute_rows(a, x, upper, unit)
    h = n // 2
    first, second = (slice(h, n), slice(0, h)) if upper else (slice(0, h), slice(h, n))
    substitute_in(a[..., first, first], x[..., first, :], upper, unit)
    x[..., second, :] -= a[..., second, first] @ x[..., first, :]
    substitute_in(a[..., second, second], x[..., second, :], upper, unit)


def _substitute_rows(a, x, upper, unit):
    n = a.shape[-1]
    for i in reversed(range(n)) if upper else range(n):
        done = slice(i + 1, n) if upper else slice(0, i)
        if done.stop > done.start:
            x[..., i, :] -= (a[..., i : i + 1, done] @ x[..., done, :])[..., 0, :]
        if not unit:
            x[..., i, :] /= a[..., i, i, None]
