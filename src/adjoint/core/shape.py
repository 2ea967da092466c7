"""Shapes: `Size`, broadcasting, dims; `Spec`, a value's shape and dtype without its data."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ..errors import ArgumentError, ArgumentTypeError, DimError, ShapeError


class Size(tuple[int, ...]):
    """A shape.

    >>> zeros(2, 3).shape.numel()
    6
    """

    __slots__ = ()

    def __repr__(self):
        return f"adjoint.Size({list(self)})"

    def numel(self) -> int:
        """How many elements a tensor of this shape has."""
        return math.prod(self)


class Spec(NamedTuple):
    """Shape and dtype of a value; what shape rules take and give."""

    shape: tuple[int, ...]
    dtype: np.dtype

    ndim = property(lambda self: len(self.shape))
    size = property(lambda self: math.prod(self.shape))
    bytes = property(lambda self: self.size * self.dtype.itemsize)

    def __str__(self):
        return f"{self.dtype.name}[{', '.join(map(str, self.shape))}]"


def broadcast(*shapes: Sequence[int], name: str = "operation") -> tuple[int, ...]:
    """The common shape, or the error that names the first dim that does not fit.

    >>> broadcast((3, 1), (4,))
    (3, 4)
    """
    out = [1] * max(map(len, shapes), default=0)
    for shape in shapes:
        for i in range(1, len(shape) + 1):
            if shape[-i] != 1:
                if out[-i] not in (1, shape[-i]):
                    raise ShapeError(
                        f"{name}: shapes {' and '.join(str(tuple(s)) for s in shapes)} do not "
                        f"broadcast: dim -{i} is {out[-i]} and {shape[-i]}"
                    )
                out[-i] = shape[-i]
    return tuple(out)


def whole(n, name: str) -> int:
    """`n` as a Python integer, of at most 64 bits as PyTorch's are.

    >>> whole(3, "n")
    3
    """
    try:
        n = n.__index__()
    except (AttributeError, TypeError):
        raise ArgumentTypeError(f"{name} must be an integer, got {n!r}") from None
    if not -(2**63) <= n < 2**63:
        raise ArgumentError(f"{name} must fit 64 bits, got {n}")
    return n


def norm_dim(dim: int, ndim: int, name: str = "dim") -> int:
    """A dim counted from the front; PyTorch lets a 0-d value take 0 and -1.

    >>> norm_dim(-1, 3)
    2
    """
    dim, n = whole(dim, name), max(ndim, 1)
    if not -n <= dim < n:
        raise DimError(f"{name} {dim} is out of range: it must lie in [{-n}, {n - 1}]")
    return dim % n


def norm_dims(dim, ndim: int, name: str = "dim") -> tuple[int, ...]:
    """A tuple of dims counted from the front; None and () are all dims.

    >>> norm_dims(None, 2), norm_dims([-1], 2)
    ((0, 1), (1,))
    """
    if dim is None or (isinstance(dim, (tuple, list)) and len(dim) == 0):
        return tuple(range(ndim))
    dims = tuple(dim) if isinstance(dim, (tuple, list)) else (dim,)
    out = tuple(norm_dim(d, ndim, name) for d in dims)
    if len(set(out)) < len(out):
        raise ShapeError(f"{name} {dims} names a dim twice")
    return out


def reduced(
    shape: Sequence[int], dims: Sequence[int], keepdim: bool
) -> tuple[int, ...]:
    """The shape after reducing `dims`.

    >>> reduced((2, 3), (1,), keepdim=True)
    (2, 1)
    """
    if keepdim:
        return tuple(1 if i in dims else n for i, n in enumerate(shape))
    return tuple(n for i, n in enumerate(shape) if i not in dims)


def undoing(order: Sequence[int]) -> tuple[int, ...]:
    """The order of dims that undoes another.

    >>> undoing((2, 0, 1))
    (1, 2, 0)
    """
    return tuple(sorted(range(len(order)), key=order.__getitem__))


def row_by_row(shape: Sequence[int]) -> tuple[int, ...]:
    """The steps, in elements, of memory that holds `shape` row by row."""
    steps, step = [], 1
    for n in reversed(shape):
        steps.append(step)
        step *= max(n, 1)
    return tuple(reversed(steps))


def sum_dims(shape: Sequence[int], target: Sequence[int]) -> tuple[int, ...]:
    """The dims of `shape` over which a cotangent is summed to fit `target`.

    >>> sum_dims((5, 3, 4), (3, 1))
    (0, 2)
    """
    lead = len(shape) - len(target)
    stretched = (
        i + lead for i, n in enumerate(target) if n == 1 and shape[i + lead] != 1
    )
    return (*range(lead), *stretched)
