"""Products with diagonal matrices: rows of numbers, times a factor each.

The derivative of a function of single elements, along all unit vectors at once, is what
`vmap` makes of ones on a diagonal: a matrix of which all but the diagonal is 0. Or NaN, as
0 ∞ is: so a row of the product is NaN where another row meets an infinity or NaN.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..core.primitive import op
from ..ops.contract import among, letters_of

FEW = 16  # a product with a matrix of fewer rows is as fast


class Diagonal(NamedTuple):
    """A value as what it is `on` a diagonal of two dims and `beside` it, where it is 0 or
    NaN: both of size 1 along `row`, so that they do not depend on it."""

    on: object
    beside: object
    row: int  # from the end, as dims are when shapes are broadcast
    column: int


# Operations that make 0 of 0, or NaN: the inputs of which all must be 0 for that.
_ZEROS = {
    "add": ((0, 1),),
    "cast": ((0,),),
    "div": ((0,),),
    "gate": ((0,),),
    "guard": ((0,),),
    "mul": ((0,), (1,)),
    "neg": ((0,),),
    "sub": ((0, 1),),
    "where": ((1, 2),),
}


def diagonal(prim, xs, params, known, is_zero) -> Diagonal | None:
    """What is known of the result of an operation, by what is `known` of its inputs."""
    if prim.name == "undiagonal":
        return _placed(*xs, **params)
    found = [known.get(x.var) for x in xs]
    dims = {d[2:] for d in found if d is not None}
    if len(dims) != 1 or prim.name not in _ZEROS:
        return None
    ((row, column),) = dims
    zero = [d is not None or is_zero(x) for x, d in zip(xs, found, strict=True)]
    if not any(all(zero[i] for i in places) for places in _ZEROS[prim.name]):
        return None
    if not all(d or _alike(x, row) for x, d in zip(xs, found, strict=True)):
        return None
    both = ([d[i] if d else x for x, d in zip(xs, found, strict=True)] for i in (0, 1))
    return Diagonal(*(prim(*vs, **params) for vs in both), row, column)


def _placed(x, shape, offset, dim1, dim2):
    if offset or len(shape) != 2 or not shape[0] == shape[1] >= FEW:
        return None
    zero = np.zeros((1, 1), x.dtype)
    return Diagonal(op.reshape(x, shape=(1, *x.shape)), zero, -2, -1)


def _alike(x, row) -> bool:
    """Whether x is the same for all rows."""
    return x.ndim < -row or x.shape[row] == 1


def by_diagonal(m):
    """diag(d) M as d M, each row times its number; so for either operand."""
    left, right, out = letters_of(m.spec)
    sides = (*m.xs, left, right), (*m.xs[::-1], right, left)
    for x, y, letters, others in sides:
        d = m.level.diagonals.get(x.var)
        if d is None or not _suits(x, y):
            continue
        row, column = letters[d.row], letters[d.column]
        summed = {c for c in letters + others if c not in out}
        if summed == {column} and column in others and row not in others:
            return _rows(d, y, letters, others, out)
    return None


def _suits(x, y) -> bool:
    """Whether the products are of numbers that are added up as they are."""
    whole = x.dtype.kind in "iu"
    return x.dtype == y.dtype and (
        whole or (x.dtype.kind == "f" and x.dtype.itemsize > 2)
    )


def _rows(d, y, letters, others, out):
    """The product: the dim that is summed becomes the one that the rows are numbered by."""
    row, column = letters[d.row], letters[d.column]
    own = letters.replace(row, "").replace(column, row)
    on, beside = (among(_without(v, d.row), own, out) for v in d[:2])
    y = among(y, others.replace(column, row), out)
    product = op.mul(on, y)
    if y.dtype.kind != "f":
        return product
    lost = _lost(op.mul(beside, y), out.index(row))
    # Sums begin at 0: -0 alone becomes 0.
    product = op.add(product, np.zeros((), y.dtype))
    return op.where(lost, np.full((), np.nan, y.dtype), product)


def _without(x, dim):
    shape = list(x.shape)
    del shape[dim]
    return op.reshape(x, shape=tuple(shape))


def _lost(zeros, dim):
    """Whether anything else along `dim` is NaN instead of 0."""
    one, none = (np.array(n, zeros.dtype) for n in (1, 0))
    lost = op.where(op.ne(zeros, zeros), one, none)
    return op.gt(op.sum(lost, dim=(dim,), keepdim=True), lost)


__all__ = ["by_diagonal", "diagonal"]
