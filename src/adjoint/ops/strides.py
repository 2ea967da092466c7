"""Windows over an array: frames of a dim, and any strides; and what adds them up again."""

from __future__ import annotations

import math

import numpy as np

from ..core.primitive import Linear, op
from ..core.shape import Spec
from .samples import normals


class Frames(Linear):
    """Slices of `size` elements of dim `dim`, one every `step`, as a new last dim: a view.

    >>> tensor([1, 2, 3, 4]).unfold(0, 2, 1)
    tensor([[1, 2],
            [2, 3],
            [3, 4]])
    """

    view = True

    def samples(rng):
        x = rng.normal(size=(2, 7, 3))
        return [
            ((x,), {"dim": 1, "size": 3, "step": 2}),
            ((x,), {"dim": 1, "size": 5, "step": 1}),
        ]

    def reference(x, dim, size, step):
        starts = range(0, x.shape[dim] - size + 1, step)
        slices = [np.take(x, range(i, i + size), dim) for i in starts]
        return np.stack([np.moveaxis(s, dim, -1) for s in slices], dim)

    def eager(x, *, dim, size, step):
        shape = _frames(x.shape, dim, size, step)
        strides = list(x.strides)
        strides[dim] *= step
        strides.append(x.strides[dim])
        return np.lib.stride_tricks.as_strided(x, shape, strides)

    def shape(x, *, dim, size, step):
        return Spec(_frames(x.shape, dim, size, step), x.dtype)

    def transpose(g, x, **params):
        return op.overlap_add(g, n=x.shape[params["dim"]], **params)

    def batched(x, *, dim, size, step):
        return op.frames(x, dim=dim + 1, size=size, step=step)


def _frames(shape, dim, size, step):
    count = (shape[dim] - size) // step + 1
    return (*shape[:dim], count, *shape[dim + 1 :], size)


class OverlapAdd(Linear):
    """The frames of `frames` added up where they lie, in a dim of n: its adjoint.

    >>> op.overlap_add(ones(3, 2), n=4, dim=0, size=2, step=1)
    tensor([1., 2., 2., 1.])
    """

    def samples(rng):
        return [
            (
                (rng.normal(size=(2, 3, 4, 3)),),
                {"n": 8, "dim": 1, "size": 3, "step": 2},
            ),
            ((rng.normal(size=(2, 5)),), {"n": 6, "dim": 0, "size": 5, "step": 1}),
        ]

    def reference(x, n, dim, size, step):
        x = np.moveaxis(x, dim, 0)
        out = np.zeros((n, *x.shape[1:-1]))
        for i in range(x.shape[0]):
            for k in range(size):
                out[i * step + k] += x[i, ..., k]
        return np.moveaxis(out, 0, dim)

    def eager(x, *, n, dim, size, step):
        out = np.zeros((*x.shape[:dim], n, *x.shape[dim + 1 : -1]), x.dtype)
        into, count = np.moveaxis(out, dim, -1), x.shape[dim]
        x = np.moveaxis(x, dim, -2)
        if size <= count:
            for k in range(size):
                into[..., k : k + step * count : step] += x[..., k]
        else:
            for i in range(count):
                into[..., i * step : i * step + size] += x[..., i, :]
        return out

    def shape(x, *, n, dim, size, step):
        return Spec((*x.shape[:dim], n, *x.shape[dim + 1 : -1]), x.dtype)

    def transpose(g, x, *, n, **params):
        return op.frames(g, **params)

    def batched(x, *, n, dim, size, step):
        return op.overlap_add(x, n=n, dim=dim + 1, size=size, step=step)


class AsStrided(Linear):
    """Elements offset + Σ i_k · stride_k of the elements of x in row-major order.

    >>> as_strided(tensor([1, 2, 3]), (2, 2), (1, 1))
    tensor([[1, 2],
            [2, 3]])
    """

    view = True

    def samples(rng):
        x = rng.normal(size=(3, 4))
        return [
            ((x,), {"size": (2, 3), "stride": (3, 2), "offset": 1}),
            ((x,), {"size": (4, 3), "stride": (2, 0), "offset": 0}),
        ]

    def reference(x, size, stride, offset):
        return np.take(x, _strided_places(size, stride, offset))

    def eager(x, *, size, stride, offset):
        if math.prod(size) == 0:
            return np.zeros(size, x.dtype)
        # An expanded x has no steps of its own.
        flat = np.ascontiguousarray(x).reshape(-1)[offset:]
        steps = [s * x.itemsize for s in stride]
        return np.lib.stride_tricks.as_strided(flat, size, steps)

    def shape(x, *, size, stride, offset):
        return Spec(tuple(size), x.dtype)

    def transpose(g, x, **params):
        return op.strided_add(g, shape=tuple(x.shape), **params)

    def batched(x, *, size, stride, offset):
        n, rest = x.shape[0], math.prod(x.shape[1:])
        return op.as_strided(x, size=(n, *size), stride=(rest, *stride), offset=offset)


def _strided_places(size, stride, offset):
    """The place in memory of each element of a strided view."""
    places = np.array(offset)
    for n, s in zip(size, stride, strict=True):
        places = places[..., None] + s * np.arange(n)
    return places


class StridedAdd(Linear):
    """Zeros of `shape`, to whose elements x is added at the places of `as_strided`.

    >>> op.strided_add(ones(2, 2), shape=(3,), size=(2, 2), stride=(1, 1), offset=0)
    tensor([1., 2., 1.])
    """

    samples = normals((2, 3), shape=(3, 4), size=(2, 3), stride=(1, 2), offset=1)

    def reference(x, shape, size, stride, offset):
        out = np.zeros(math.prod(shape))
        for i in np.ndindex(*size):
            out[offset + np.dot(i, stride)] += x[i]
        return out.reshape(shape)

    def eager(x, *, shape, size, stride, offset):
        out = np.zeros(math.prod(shape), x.dtype)
        np.add.at(out, _strided_places(size, stride, offset), x)
        return out.reshape(shape)

    def shape(x, *, shape, size, stride, offset):
        return Spec(tuple(shape), x.dtype)

    def transpose(g, x, *, shape, **params):
        return op.as_strided(g, **params)

    def batched(x, *, shape, size, stride, offset):
        n, rest = x.shape[0], math.prod(shape)
        size, stride = (n, *size), (rest, *stride)
        return op.strided_add(
            x, shape=(n, *shape), size=size, stride=stride, offset=offset
        )
