"""Triangles and diagonals of matrices."""

from __future__ import annotations

import numpy as np

from ..core.bind import bind
from ..core.primitive import Linear, batch_to_front, op
from ..core.shape import Spec
from ..errors import ShapeError
from .samples import normals


class _Triangle(Linear, abstract=True):
    """A part of each matrix in the last two dims, zeros elsewhere: its own adjoint."""

    samples = normals((2, 3, 4), diagonal=1)

    def infer(self, x, *, diagonal):
        if x.ndim < 2:
            raise ShapeError(
                f"{self.name}: input tensor must have at least 2 dimensions, got {x}"
            )
        return x

    def vjp(self, g, y, xs, params, need):
        return (bind(self, g, **params),)

    def batch(self, size, xs, dims, params):
        return bind(self, batch_to_front(xs[0], dims[0]), **params), 0

    def errors():
        return [((np.ones(3),), {"diagonal": 0}, ShapeError, "at least 2 dimensions")]


class Tril(_Triangle):
    """The lower triangle of each matrix, up to diagonal number `diagonal`; zeros above.

    >>> tril(tensor([[1, 2], [3, 4]]))
    tensor([[1, 0],
            [3, 4]])
    """

    reference = staticmethod(lambda x, diagonal: x * np.tri(*x.shape[-2:], k=diagonal))

    def eager(x, *, diagonal):
        if x.ndim < 2:
            raise ValueError("a vector has no triangle")
        return np.tril(x, diagonal)


class Triu(_Triangle):
    """The upper triangle of each matrix, from diagonal number `diagonal` on; zeros below.

    >>> triu(tensor([[1, 2], [3, 4]]))
    tensor([[1, 2],
            [0, 4]])
    """

    reference = staticmethod(
        lambda x, diagonal: x * (1 - np.tri(*x.shape[-2:], k=diagonal - 1))
    )

    def eager(x, *, diagonal):
        if x.ndim < 2:
            raise ValueError("a vector has no triangle")
        return np.triu(x, diagonal)


def _diagonal_size(rows, cols, offset):
    """How many elements diagonal number `offset` has."""
    return max(0, min(rows + min(offset, 0), cols - max(offset, 0)))


def _without(shape, *dims):
    return tuple(n for i, n in enumerate(shape) if i not in dims)


class Diagonal(Linear):
    """Diagonal number `offset` of the matrices in two dims, as the last dim: a view.

    >>> diagonal(tensor([[1, 2], [3, 4]]))
    tensor([1, 4])
    """

    view = True

    def samples(rng):
        x = rng.normal(size=(3, 2, 4))
        return [
            ((x,), {"offset": 1, "dim1": 0, "dim2": 2}),
            ((x,), {"offset": -1, "dim1": 1, "dim2": 0}),
        ]

    def reference(x, offset, dim1, dim2):
        x = np.moveaxis(x, (dim1, dim2), (-2, -1))
        n = _diagonal_size(*x.shape[-2:], offset)
        pairs = [(i - min(offset, 0), i + max(offset, 0)) for i in range(n)]
        return np.stack([x[..., i, j] for i, j in pairs], -1)

    def eager(x, *, offset, dim1, dim2):
        y = np.diagonal(x, offset, dim1, dim2)
        y.flags.writeable = x.flags.writeable
        return y

    def shape(x, *, offset, dim1, dim2):
        n = _diagonal_size(x.shape[dim1], x.shape[dim2], offset)
        return Spec((*_without(x.shape, dim1, dim2), n), x.dtype)

    def transpose(g, x, **params):
        return op.undiagonal(g, shape=tuple(x.shape), **params)

    def batched(x, *, offset, dim1, dim2):
        return op.diagonal(x, offset=offset, dim1=dim1 + 1, dim2=dim2 + 1)


class Undiagonal(Linear):
    """Zeros of `shape` with x on a diagonal: the adjoint of `diagonal`.

    >>> op.undiagonal(tensor([5., 6.]), shape=(2, 2), offset=0, dim1=0, dim2=1)
    tensor([[5., 0.],
            [0., 6.]])
    """

    samples = normals((2, 3), shape=(3, 2, 4), offset=1, dim1=0, dim2=2)

    def reference(x, shape, offset, dim1, dim2):
        out = np.zeros(shape)
        wide = np.moveaxis(out, (dim1, dim2), (-2, -1))
        for i in range(x.shape[-1]):
            wide[..., i - min(offset, 0), i + max(offset, 0)] = x[..., i]
        return out

    def eager(x, *, shape, offset, dim1, dim2):
        out = np.zeros(shape, x.dtype)
        Diagonal.eager(out, offset=offset, dim1=dim1, dim2=dim2)[...] = x
        return out

    def shape(x, *, shape, offset, dim1, dim2):
        return Spec(tuple(shape), x.dtype)

    def transpose(g, x, *, shape, offset, dim1, dim2):
        return op.diagonal(g, offset=offset, dim1=dim1, dim2=dim2)

    def batched(x, *, shape, offset, dim1, dim2):
        shape = (x.shape[0], *shape)
        return op.undiagonal(
            x, shape=shape, offset=offset, dim1=dim1 + 1, dim2=dim2 + 1
        )
