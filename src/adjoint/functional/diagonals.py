"""Diagonals and triangles of matrices."""

from __future__ import annotations

import numpy as np

from ..core.bind import dtype_of
from ..core.primitive import op
from ..core.shape import norm_dim
from ..errors import (
    DimError,
    ShapeError,
)
from .face import (
    cast,
    give,
    method,
    need_tensor,
)
from .precision import single
from .shapes import clone, reshape


@method
def diagonal(input, offset=0, dim1=0, dim2=1):
    """Diagonal number `offset` of the matrices in two dims, as the last dim: a view.

    >>> diagonal(tensor([[1, 2], [3, 4]]), 1)
    tensor([2])
    """
    x = need_tensor(input, "diagonal")
    return op.diagonal(x, **_planes("diagonal", offset, dim1, dim2, x.ndim))


def _planes(name, offset, dim1, dim2, ndim):
    a, b = norm_dim(dim1, ndim), norm_dim(dim2, ndim)
    if a == b:
        raise ShapeError(f"{name}: the dims cannot be identical, got {dim1} and {dim2}")
    return {"offset": int(offset), "dim1": a, "dim2": b}


@method
def diag_embed(input, offset=0, dim1=-2, dim2=-1):
    """Matrices in two dims, zero but for the diagonal, which holds the last dim of `input`.

    >>> diag_embed(tensor([1., 2.]))
    tensor([[1., 0.],
            [0., 2.]])
    """
    x = need_tensor(input, "diag_embed")
    if x.ndim == 0:
        raise DimError("diag_embed: expects at least a 1-dimensional tensor")
    places = _planes("diag_embed", offset, dim1, dim2, x.ndim + 1)
    n = x.shape[-1] + abs(int(offset))
    shape = list(x.shape[:-1])
    for d in sorted((places["dim1"], places["dim2"])):
        shape.insert(d, n)
    return op.undiagonal(x, shape=tuple(shape), **places)


@method
def diag(input, diagonal=0, *, out=None):
    """The matrix with a vector on its diagonal; of a matrix, the diagonal (a copy).

    >>> diag(tensor([1., 2.]))
    tensor([[1., 0.],
            [0., 2.]])
    """
    x = need_tensor(input, "diag")
    if x.ndim not in (1, 2):
        raise ShapeError(f"diag: supports 1-D or 2-D tensors, got {x.ndim}-D")
    if x.ndim == 1:
        y = diag_embed(x, diagonal)
    else:
        y = clone(op.diagonal(x, offset=int(diagonal), dim1=0, dim2=1))
    return give(y, out)


@method
def diagflat(input, offset=0):
    """The matrix with all elements of `input` on its diagonal.

    >>> diagflat(tensor([[1., 2.]]))
    tensor([[1., 0.],
            [0., 2.]])
    """
    return diag_embed(reshape(input, -1), offset)


def _triangle(name, record, words):
    def f(input, diagonal=0, *, out=None):
        y = record(need_tensor(input, name), diagonal=int(diagonal))
        return give(y, out)

    f.__name__ = f.__qualname__ = name
    f.__doc__ = type(record).__doc__
    return method(f)


tril, triu = _triangle("tril", op.tril, "lower"), _triangle("triu", op.triu, "upper")


@method
@single
def trace(input):
    """Sum of the diagonal of a matrix.

    >>> trace(tensor([[1., 2.], [3., 4.]]))
    tensor(5.)
    """
    x = need_tensor(input, "trace")
    if x.ndim != 2:
        raise ShapeError(f"trace: expected a matrix, but got tensor with dim {x.ndim}")
    d = op.diagonal(x, offset=0, dim1=0, dim2=1)
    d = cast(d, np.dtype("int64")) if dtype_of(d).kind in "bui" else d
    return op.sum(d, dim=(0,), keepdim=False)
