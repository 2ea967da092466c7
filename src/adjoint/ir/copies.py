"""Copies: of a value that is the same along some dims, one element each is enough.

A sum over copies is a multiple, and a product of rows that are copies of one row is made once.
"""

from __future__ import annotations

import math

import numpy as np

from ..core.primitive import op
from ..ops.contract import among, letters_of, sizes_of


def _stretched(x, y) -> tuple[int, ...]:
    """The shape of y with all dims of x, to which it is expanded."""
    return (1,) * (x.ndim - y.ndim) + tuple(y.shape)


def _ones(copied, sizes) -> tuple[int, ...]:
    """The sizes of (dim, size), 1 for those that are copied."""
    return tuple(1 if d in copied else n for d, n in sizes)


def summed_copies(m):
    """The sum over dims along which nothing changes, of floats: x n."""
    found = m.inputs(m.x, "expand")
    if not found or m.x.dtype.kind != "f" or m.x.dtype.itemsize < 4:
        return None
    (x,), sizes = found, m.x.shape
    shape = _stretched(m.x, x)
    copied = [d for d in m.dim if shape[d] != sizes[d]]
    if not copied or any(sizes[d] == 0 for d in m.dim):
        return None
    n = math.prod(sizes[d] for d in copied)
    if n & (n - 1):  # only powers of two are exact
        return None
    x = op.reshape(x, shape=shape)
    x = op.expand(x, shape=_ones(copied, enumerate(sizes)))
    y = op.sum(x, dim=m.dim, keepdim=m.keepdim)
    return op.mul(y, np.asarray(n, m.x.dtype))


def product_of_copies(m):
    """Products of rows that are copies of one another: of one, copied."""
    left, right, out = letters_of(m.spec)
    for i, (mine, other) in enumerate(((left, right), (right, left))):
        x = _one(m, m.xs[i])
        if x is None:
            continue
        pairs = zip(mine, x.shape, m.xs[i].shape, strict=True)
        copied = {c for c, one, n in pairs if one != n} - set(other)
        if copied and copied <= set(out):
            return _copied(m, i, x, (mine, other, out), copied)
    return None


def _copied(m, i, x, letters, copied):
    """The product in which x, with one element in dims that are `copied`, is operand i."""
    (mine, other, out), y = letters, m.xs[1 - i]
    size = sizes_of(m.spec, [v.shape for v in m.xs])
    kept, rest = ("".join(c for c in s if c not in copied) for s in (mine, out))
    x = op.expand(x, shape=_ones(copied, ((c, size[c]) for c in mine)))
    x = op.reshape(x, shape=tuple(size[c] for c in kept))
    operands = ((x, kept), (y, other)) if i == 0 else ((y, other), (x, kept))
    (a, first), (b, second) = operands
    z = op.contract(a, b, spec=f"{first},{second}->{rest}")
    return op.expand(among(z, rest, out), shape=tuple(size[c] for c in out))


def _one(m, x):
    """`x` with one element in the dims along which it consists of copies, if there are any."""
    found = m.inputs(x, "expand")
    if found:
        (y,) = found
        return op.reshape(y, shape=_stretched(x, y))
    put = m.made(x, "unslice")
    return None if put is None else _one_among_zeros(m, x, put["key"], put["shape"])


def _one_among_zeros(m, x, key, shape):
    """The same of copies with zeros around them, in other dims alone."""
    (inner,) = m.inputs(x, "unslice")
    y, dims = _one(m, inner), [d for d, k in enumerate(key) if isinstance(k, tuple)]
    if y is None or len(key) != x.ndim or len(dims) != y.ndim:
        return None
    sizes = zip(dims, inner.shape, y.shape, strict=True)
    copied = {d for d, n, one in sizes if n != one and key[d] == (0, shape[d], 1)}
    if not copied:
        return None
    y = op.expand(y, shape=_ones(copied, zip(dims, inner.shape, strict=True)))
    key = tuple((0, 1, 1) if d in copied else k for d, k in enumerate(key))
    return op.unslice(y, shape=_ones(copied, enumerate(shape)), key=key)


__all__ = ["product_of_copies", "summed_copies"]
