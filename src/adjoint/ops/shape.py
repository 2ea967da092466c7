"""Movement: the same numbers in another shape. Linear maps, most of them views."""

from __future__ import annotations

import math

import numpy as np

from ..core.primitive import Linear, op, sum_to
from ..core.shape import Spec, broadcast, undoing
from ..errors import ShapeError
from .samples import normals


class Reshape(Linear):
    """The same elements in row-major order in another shape; a view where strides allow.

    >>> tensor([[1, 2], [3, 4]]).reshape(4)
    tensor([1, 2, 3, 4])
    """

    view = True
    samples = normals((2, 6), shape=(3, 4))
    reference = staticmethod(
        lambda x, shape: np.array(x.ravel().tolist()).reshape(shape)
    )

    def eager(x, *, shape):
        return x.reshape(shape)

    def shape(x, *, shape):
        if math.prod(x.shape) != math.prod(shape):
            raise ShapeError(
                f"reshape: shape {shape} does not hold the elements of {x.shape}"
            )
        return Spec(tuple(shape), x.dtype)

    def transpose(g, x, *, shape):
        return op.reshape(g, shape=tuple(x.shape))

    def batched(x, *, shape):
        return op.reshape(x, shape=(x.shape[0], *shape))


class Permute(Linear):
    """Dims in another order.

    >>> permute(tensor([[1, 2], [3, 4]]), (1, 0))
    tensor([[1, 3],
            [2, 4]])
    """

    view = True
    samples = normals((2, 3, 4), dims=(2, 0, 1))
    reference = staticmethod(lambda x, dims: np.moveaxis(x, dims, range(x.ndim)))

    def eager(x, *, dims):
        return x.transpose(dims)

    def shape(x, *, dims):
        return Spec(tuple(x.shape[d] for d in dims), x.dtype)

    def transpose(g, x, *, dims):
        return op.permute(g, dims=undoing(dims))

    def batched(x, *, dims):
        return op.permute(x, dims=(0, *(d + 1 for d in dims)))


class Expand(Linear):
    """Broadcast to a shape without copying.

    >>> tensor([[1], [2]]).expand(2, 2)
    tensor([[1, 1],
            [2, 2]])
    """

    view = True
    samples = normals((3, 1), shape=(2, 3, 4))
    reference = staticmethod(lambda x, shape: x + np.zeros(shape))

    def eager(x, *, shape):
        return _stretched(x, shape)

    def shape(x, *, shape):
        if broadcast(x.shape, shape, name="expand") != tuple(shape):
            raise ShapeError(f"expand: {x.shape} does not expand to {tuple(shape)}")
        return Spec(tuple(shape), x.dtype)

    def transpose(g, x, *, shape):
        return sum_to(g, x.shape)

    def batched(x, *, shape):
        lead = len(shape) - (x.ndim - 1)
        x = op.reshape(x, shape=(x.shape[0], *(1,) * lead, *x.shape[1:]))
        return op.expand(x, shape=(x.shape[0], *shape))


def _stretched(x, shape):
    """`np.broadcast_to`, which costs four times as much where new dims are all it adds."""
    lead = len(shape) - x.ndim
    if x.ndim and (x.shape != tuple(shape[lead:]) or not x.flags.c_contiguous):
        return np.broadcast_to(x, shape)
    if type(x) is not np.ndarray or lead < 0 or not x.size or min(shape, default=1) < 0:
        return np.broadcast_to(x, shape)
    y = np.ndarray(shape, x.dtype, x, 0, (0,) * lead + x.strides)
    y.flags.writeable = False
    return y


class Slice(Linear):
    """Basic indexing by integers, slices and None: a view.

    `key` holds (start, stop, step) triples, integers and None, one a dim of x but None.

    >>> tensor([1, 2, 3, 4])[1:3]
    tensor([2, 3])
    """

    view = True
    reference = staticmethod(lambda x, key: np.array(x.tolist())[_keys(key)])

    def samples(rng):
        x = rng.normal(size=(4, 3, 5))
        return [
            ((x,), {"key": ((1, 3, 1), 0, None, (0, 5, 2))}),
            ((x,), {"key": ((0, 4, 1), (0, 3, 1), 4)}),
        ]

    def eager(x, *, key):
        return x[_keys(key)]

    def shape(x, *, key):
        out, i = [], 0
        for k in key:
            if k is None:
                out.append(1)
                continue
            if isinstance(k, tuple):
                out.append(len(range(*k)))
            i += 1
        return Spec(tuple(out), x.dtype)

    def transpose(g, x, *, key):
        return op.unslice(g, shape=tuple(x.shape), key=key)

    def batched(x, *, key):
        return op.slice(x, key=((0, x.shape[0], 1), *key))


def _keys(key):
    return (*(slice(*k) if isinstance(k, tuple) else k for k in key), ...)


class Unslice(Linear):
    """Zeros of `shape` with x where `slice` by `key` would read; the adjoint of slice.

    >>> op.unslice(tensor([5.]), shape=(3,), key=((1, 2, 1),))
    tensor([0., 5., 0.])
    """

    samples = normals((2, 3), shape=(4, 3), key=((0, 4, 2), (0, 3, 1)))

    def reference(x, shape, key):
        out = np.zeros(shape)
        out[_keys(key)] = x
        return out

    def eager(x, *, shape, key):
        out = np.zeros(shape, x.dtype)
        out[_keys(key)] = x
        return out

    def shape(x, *, shape, key):
        return Spec(tuple(shape), x.dtype)

    def transpose(g, x, *, shape, key):
        return op.slice(g, key=key)

    def batched(x, *, shape, key):
        n = x.shape[0]
        return op.unslice(x, shape=(n, *shape), key=((0, n, 1), *key))


class Select(Linear):
    """The slice at `index` along `dim`, without that dim.

    >>> select(tensor([[1, 2], [3, 4]]), 0, 1)
    tensor([3, 4])
    """

    view = True
    samples = normals((3, 4), dim=1, index=2)
    reference = staticmethod(lambda x, dim, index: np.take(x, index, dim))

    def eager(x, *, dim, index):
        return x[(slice(None),) * dim + (index, ...)]

    def shape(x, *, dim, index):
        return Spec((*x.shape[:dim], *x.shape[dim + 1 :]), x.dtype)

    def transpose(g, x, *, dim, index):
        whole = tuple((0, n, 1) for n in x.shape)
        return op.unslice(
            g, shape=tuple(x.shape), key=(*whole[:dim], index, *whole[dim + 1 :])
        )

    def batched(x, *, dim, index):
        return op.select(x, dim=dim + 1, index=index)


class Flip(Linear):
    """Reversed along `dims`.

    >>> flip(tensor([1, 2, 3]), [0])
    tensor([3, 2, 1])
    """

    samples = normals((2, 3), dims=(1,))
    reference = staticmethod(lambda x, dims: np.array(np.flip(x, dims)))

    def eager(x, *, dims):
        return np.flip(x, dims).copy()

    def shape(x, *, dims):
        return x

    def transpose(g, x, *, dims):
        return op.flip(g, dims=dims)

    def batched(x, *, dims):
        return op.flip(x, dims=tuple(d + 1 for d in dims))


class Roll(Linear):
    """Elements moved by `shifts` along `dims`; what falls off one end comes in at the other.

    >>> roll(tensor([1, 2, 3]), 1)
    tensor([3, 1, 2])
    """

    samples = normals((3, 4), shifts=(1, -2), dims=(0, 1))

    def reference(x, shifts, dims):
        for s, d in zip(shifts, dims, strict=True):
            x = np.take(x, (np.arange(x.shape[d]) - s) % x.shape[d], d)
        return x

    def eager(x, *, shifts, dims):
        return np.roll(x, shifts, dims)

    def shape(x, *, shifts, dims):
        return x

    def transpose(g, x, *, shifts, dims):
        return op.roll(g, shifts=tuple(-s for s in shifts), dims=dims)

    def batched(x, *, shifts, dims):
        return op.roll(x, shifts=shifts, dims=tuple(d + 1 for d in dims))
